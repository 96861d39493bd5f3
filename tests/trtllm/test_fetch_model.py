"""`fetch-model` against a hub on this machine: what is fetched, what is checked, what is said when it is refused."""

import functools
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from orpheus_batch.cli import cli
from orpheus_batch.errors import ConfigError, InputError
from orpheus_batch.fetch_model import CODEC_REPO, MODELS, RemoteFile, check_record, fetch_model, wanted_files
from orpheus_batch.voices import SOURCE_RECORD, load_pack, shipped_packs

REVISION = "a" * 40
SHARDS = {f"model-0000{i}-of-00002.safetensors": bytes([i]) * 5000 for i in (1, 2)}
MODEL = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "model.safetensors.index.json": json.dumps({"weight_map": {f"t{n}": n for n in SHARDS}}).encode(),
    "consolidated.safetensors": b"the same weights again" * 100,
    "optimizer.bin": b"o" * 90_000,
    "checkpoint-100/model.safetensors": b"c" * 9000,
    "pytorch_model.bin": b"p" * 9000,
    "training_args.bin": b"t",
    **SHARDS,
}
CODEC = {"config.json": b"{}", "pytorch_model.bin": b"s" * 7000}


class Hub:
    """A hub that serves two repositories, counts what it is asked for, and can be told to misbehave."""

    def __init__(self):
        self.repos = {MODELS["orpheus-3b"].repo: dict(MODEL), CODEC_REPO: dict(CODEC)}
        self.fetched = []
        self.gated = self.lies = False
        self.break_after = None
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

            def do_HEAD(self):
                self.answer(head=True)

            def do_GET(self):
                self.answer(head=False)

            def answer(self, head):
                path = self.path.partition("?")[0]
                repo = next((repo for repo in hub.repos if f"/{repo}" in path), None)
                if repo is None:
                    return self.reply(404, b"", {"X-Error-Code": "RepoNotFound"})
                if path.startswith("/api/"):
                    if hub.gated:
                        return self.reply(403, b"{}", {"X-Error-Code": "GatedRepo"})
                    return self.reply(200, json.dumps(hub.listing(repo)).encode())
                name = path.partition(f"/resolve/{REVISION}/")[2]
                content = hub.repos[repo][name]
                etag = hashlib.sha256(content).hexdigest()
                headers = {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
                if head:
                    return self.reply(200, content, headers, body=False)
                start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
                hub.fetched.append((name, start))
                if hub.break_after is not None and len(content) > hub.break_after:
                    cut, hub.break_after = hub.break_after, None
                    return self.reply(200, content, headers, cut=cut)
                if hub.lies and name.endswith(".safetensors"):
                    content = content[:-1] + b"!"
                status = 206 if start else 200
                if start:
                    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                return self.reply(status, content[start:], headers)

            def reply(self, status, content, headers=None, body=True, cut=None):
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if body:
                    self.wfile.write(content if cut is None else content[:cut])
                if cut is not None:
                    self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def listing(self, repo):
        siblings = []
        for name, content in self.repos[repo].items():
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry = {"rfilename": name, "size": len(content), "blobId": git}
            if len(content) > 1000:
                entry["lfs"] = {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                    "pointerSize": 130,
                }
            siblings.append(entry)
        return {"id": repo, "sha": REVISION, "siblings": siblings, "private": False, "tags": [], "downloads": 0}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    made = Hub()
    yield made
    made.server.shutdown()
    made.server.server_close()


def fetch(hub, folder, name="orpheus-3b", **options):
    said = []
    return fetch_model(name, folder, said.append, endpoint=hub.endpoint, **options), "\n".join(said)


def test_only_what_is_needed_is_fetched(hub, tmp_path):
    """Not the optimiser, not a checkpoint of the training, not the same weights twice; the licence is said first."""
    fetched, said = fetch(hub, tmp_path)
    wanted = {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json", *SHARDS}
    assert wanted == {f.name for f in fetched.model_dir.iterdir() if f.is_file()} - {SOURCE_RECORD}
    assert {"config.json", "pytorch_model.bin"} == {
        f.name for f in fetched.codec_dir.iterdir() if f.is_file()
    } - {SOURCE_RECORD}
    for name in wanted:
        assert MODEL[name] == (fetched.model_dir / name).read_bytes()
    assert "Llama 3.2 Community License" in said.splitlines()[0]
    assert "hubertsiuzdak/snac_24khz: MIT" in said
    assert REVISION == json.loads((fetched.model_dir / SOURCE_RECORD).read_text())["revision"]


def test_the_same_again_fetches_nothing(hub, tmp_path):
    """Each file is known by its hash; one that was damaged since is fetched again."""
    fetched, _ = fetch(hub, tmp_path)
    hub.fetched.clear()
    fetch(hub, tmp_path)
    assert {"model.safetensors.index.json"} >= {name for name, _ in hub.fetched}
    damaged = fetched.model_dir / next(iter(SHARDS))
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    hub.fetched.clear()
    fetch(hub, tmp_path)
    assert damaged.name in {name for name, _ in hub.fetched}
    assert SHARDS[damaged.name] == damaged.read_bytes()


def test_a_broken_download_goes_on(hub, tmp_path, monkeypatch):
    """The line is cut in the middle of a shard: only the rest of it is asked for, and the file is whole."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.break_after = 3000
    fetched, _ = fetch(hub, tmp_path)
    assert [(next(iter(SHARDS)), 3000)] == [(name, start) for name, start in hub.fetched if start]
    assert all(content == (fetched.model_dir / name).read_bytes() for name, content in SHARDS.items())


def test_what_is_not_as_listed_is_not_kept(hub, tmp_path):
    """A proxy that alters a byte: the file is removed and named."""
    hub.lies = True
    with pytest.raises(InputError, match="is not what the hub lists"):
        fetch(hub, tmp_path)
    assert not list(tmp_path.rglob("*-of-00002.safetensors"))


def test_gating_is_explained(hub, tmp_path):
    """What to open, what to run, and the copy that asks for nothing."""
    hub.gated = True
    with pytest.raises(
        InputError, match=r"open https://huggingface.co/canopylabs/.*hf auth login.*--repo unsloth/"
    ):
        fetch(hub, tmp_path)


def test_a_hub_that_cannot_be_reached_is_said(hub, tmp_path):
    """No traceback of an HTTP library."""
    hub.server.shutdown()
    hub.server.server_close()
    with pytest.raises(InputError, match=r"can't fetch canopylabs.*the same command goes on"):
        fetch(hub, tmp_path)


def test_an_unknown_name_lists_the_known(hub, tmp_path):
    """And an unknown repository is not a missing agreement."""
    with pytest.raises(InputError, match="known: orpheus-3b, orpheus-3b-fr"):
        fetch(hub, tmp_path, "orpheus-4b")
    with pytest.raises(InputError, match="the hub has no somebody/else"):
        fetch(hub, tmp_path, repo="somebody/else")


def test_a_local_folder_is_taken_as_it_is(tiny, tmp_path):
    """Nothing is fetched or copied; one that is no model's is refused."""
    arguments = ["fetch-model", str(tiny / "language_model"), "-o", str(tmp_path), "--no-codec"]
    done = CliRunner().invoke(cli, arguments)
    assert 0 == done.exit_code, done.output
    assert (
        f"--model PACK --model-dir {tiny / 'language_model'}" in done.stdout
    )  # a vocabulary of no shipped pack
    assert "is that of no shipped pack" in done.stderr
    assert [] == list(tmp_path.iterdir())
    done = CliRunner().invoke(cli, ["fetch-model", str(tmp_path), "--no-codec"])
    assert 1 == done.exit_code
    assert "no config.json, tokenizer.json, *.safetensors in it" in done.output
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "lost.safetensors"}})
    )
    done = CliRunner().invoke(cli, ["fetch-model", str(tmp_path), "--no-codec"])
    assert "no config.json, tokenizer.json, lost.safetensors, *.safetensors in it" in done.output


def test_a_shard_that_the_index_names_and_the_hub_lacks_is_said(hub, tmp_path):
    """Half a model loads nowhere; and an index that is damaged here is fetched again."""
    fetched, _ = fetch(hub, tmp_path)
    (fetched.model_dir / "model.safetensors.index.json").write_text("{")
    fetch(hub, tmp_path)
    assert (
        MODEL["model.safetensors.index.json"]
        == (fetched.model_dir / "model.safetensors.index.json").read_bytes()
    )
    lost = hub.repos[MODELS["orpheus-3b"].repo].popitem()[0]
    with pytest.raises(InputError, match=f"not whole: its index names {lost}"):
        fetch(hub, tmp_path)


def test_the_next_command_is_printed(hub, tmp_path, monkeypatch):
    """Short where the folder says everything, and right for its language."""
    here = functools.partial(fetch_model, endpoint=hub.endpoint)
    monkeypatch.setattr("orpheus_batch.fetch_model.fetch_model", here)
    hub.repos[MODELS["orpheus-3b-fr"].repo] = dict(MODEL)
    done = CliRunner().invoke(cli, ["fetch-model", "orpheus-3b-fr", "-o", str(tmp_path), "-q"])
    assert f"orpheus-batch render BOOK -o out --model {tmp_path / 'orpheus-3b-fr'}\n" == done.output
    (tmp_path / "other").mkdir()
    arguments = ["fetch-model", str(tmp_path / "orpheus-3b-fr"), "-o", str(tmp_path / "other"), "-q"]
    done = CliRunner().invoke(cli, arguments)
    assert done.output.endswith(f"/orpheus-3b-fr --codec-dir {tmp_path / 'other' / 'snac_24khz'}\n")


def test_a_fetched_folder_names_its_pack_and_its_codec(hub, tmp_path):
    """`--model FOLDER` is enough afterwards, for other languages and for what was built of it too."""
    repo = MODELS["orpheus-3b-fr"].repo
    hub.repos[repo] = dict(MODEL)
    fetched, _ = fetch(hub, tmp_path, "orpheus-3b-fr")
    assert "orpheus-3b-fr" == fetched.pack
    pack = load_pack(str(fetched.model_dir))
    assert ("orpheus-3b-fr", "pierre") == (pack.name, pack.default_voice)
    assert (fetched.model_dir, fetched.codec_dir) == (pack.language_model_dir, pack.codec_dir)
    (fetched.model_dir / SOURCE_RECORD).unlink()
    with pytest.raises(ConfigError, match="a vocabulary of None, which is that of no shipped pack"):
        load_pack(str(fetched.model_dir))
    for config in ({"vocab_size": 156_940}, {"pretrained_config": {"vocab_size": 156_940}}):
        (fetched.model_dir / "config.json").write_text(json.dumps(config))
        assert "orpheus-3b" == load_pack(str(fetched.model_dir)).name


def test_every_model_has_a_pack():
    """Of its name, with the voices that it was trained on, in one shape."""
    voices = {name: [voice.name for voice in load_pack(name).voices] for name in shipped_packs()}
    assert set(MODELS) == set(voices) - {"builtin"}
    assert ["pierre", "amelie", "marie"] == voices["orpheus-3b-fr"]
    assert ["jana", "thomas", "max"] == voices["orpheus-3b-de"]
    assert ["javi", "sergio", "maria", "pietro", "giulia", "carlo"] == voices["orpheus-3b-es_it"]
    assert (["长乐", "白芷"], ["유나", "준서"], ["ऋतिका"]) == tuple(
        voices[f"orpheus-3b-{c}"] for c in ("zh", "ko", "hi")
    )
    assert {load_pack("orpheus-3b").layout} == {load_pack(name).layout for name in MODELS}


def test_what_has_changed_since_it_was_fetched_is_named(hub, tmp_path):
    """`doctor` holds a folder against the hashes that the hub listed."""
    fetched, _ = fetch(hub, tmp_path)
    assert "canopylabs/orpheus-3b-0.1-ft at aaaaaaa" == check_record(fetched.model_dir)
    assert "" == check_record(tmp_path)
    (fetched.model_dir / "tokenizer.json").write_bytes(b"[]")
    with pytest.raises(InputError, match=r"tokenizer\.json is not what canopylabs/.* lists"):
        check_record(fetched.model_dir)
    (fetched.model_dir / SOURCE_RECORD).write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        check_record(fetched.model_dir)


def test_one_file_of_weights_goes_before_its_doubles():
    """Without an index model.safetensors is the model."""
    files = [RemoteFile(n, 1, "", "") for n in ("model.safetensors", "other.safetensors", "pytorch_model.bin")]
    assert ["model.safetensors"] == [file.name for file in wanted_files(files)]
