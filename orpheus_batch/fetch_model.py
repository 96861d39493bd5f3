"""Fetches a language model and the codec: only the files that are needed, each checked by its hash.

Orpheus' repository holds a hundred gigabytes of optimiser state beside seven of model. Downloads resume where they
were stopped; what is there and whole is not fetched again. Credentials are `huggingface_hub`'s affair: this module
neither reads nor keeps any.
"""

import fnmatch
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from orpheus_batch.errors import ConfigError, InputError
from orpheus_batch.fingerprint import sha256_file
from orpheus_batch.units import format_bytes
from orpheus_batch.voices import CODEC_FOLDER, SOURCE_RECORD, pack_of_weights

Say = Callable[[str], None]

WANTED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "pytorch_model.bin",
    "LICENSE*",
    "USE_POLICY*",
)
"""at the top of a repository; never ``optimizer*``, checkpoints of the training, or folders"""
INDEX = "model.safetensors.index.json"
HTTP_LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
CODEC_REPO = "hubertsiuzdak/snac_24khz"
CODEC_LICENCE = "MIT"
LLAMA_LICENCE = (
    'Llama 3.2 Community License (https://www.llama.com/llama3_2/license/): say "Built with Llama" where you publish '
    "a product of it, keep its notice, and heed its use policy"
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model lies."""

    repo: str
    folder: str
    """under the model directory"""
    licence: str
    ungated: str = ""
    """a copy that asks for no agreement; empty where none is known"""


MODELS = {  # each has a pack of its name
    "orpheus-3b": Source(
        "canopylabs/orpheus-3b-0.1-ft", "orpheus-3b-0.1-ft", LLAMA_LICENCE, "unsloth/orpheus-3b-0.1-ft"
    ),
    **{
        f"orpheus-3b-{language}": Source(
            f"canopylabs/3b-{language}-ft-research_release", f"orpheus-3b-{language}", LLAMA_LICENCE
        )
        for language in ("fr", "de", "es_it", "zh", "ko", "hi")
    },
}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the hub lists it."""

    name: str
    num_bytes: int
    sha256: str
    """of large files; empty for small ones, which have a git hash"""
    git_sha1: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """Where a model and its codec are."""

    model_dir: Path
    codec_dir: Path | None
    licence: str
    pack: str
    """that speaks with it; empty where no shipped one does"""


def fetch_model(
    name: str,
    folder: Path,
    say: Say,
    *,
    repo: str | None = None,
    codec: bool = True,
    endpoint: str | None = None,
) -> Fetched:
    """Fetch a model and the codec, or see that a local folder holds a model.

    Args:
        name: Of `MODELS`, or a folder, which is taken as it is.
        folder: Gets a folder for each.
        say: Hears of each step, a line at a time.
        repo: Another repository with the same model.
        codec: Whether to fetch the codec too.
        endpoint: Of the hub; None: `huggingface_hub`'s own.

    Raises:
        InputError: No such model; the hub refuses, can't be reached, or sent something else than it listed; too
            little room.
    """
    local = Path(name).expanduser()
    if local.is_dir():
        _check_local(local)
        say(f"{local} is taken as it is")
        try:
            pack = pack_of_weights(local)
        except ConfigError as error:
            say(f"note: {error}")
            pack = ""
        model_dir, licence = local, "as its own model card says"
    else:
        source = _source(name, repo)
        say(f"{repo or source.repo}: {source.licence}")
        model_dir = folder / source.folder
        _fetch(repo or source.repo, model_dir, say, source.ungated, endpoint, pack=name)
        _check_local(model_dir)
        licence, pack = source.licence, name
    codec_dir = None
    if codec:
        codec_dir = folder / CODEC_FOLDER
        say(f"{CODEC_REPO}: {CODEC_LICENCE}")
        _fetch(CODEC_REPO, codec_dir, say, "", endpoint)
    return Fetched(model_dir, codec_dir, licence, pack)


def wanted_files(files: list[RemoteFile], in_index: set[str] | None = None) -> list[RemoteFile]:
    """Return what of a repository is needed.

    Args:
        files: All of it.
        in_index: Weight files that the index names; None: there is no index.
    """
    wanted = [f for f in files if "/" not in f.name and any(fnmatch.fnmatch(f.name, p) for p in WANTED)]
    weights = {f.name for f in wanted if f.name.endswith(".safetensors")}
    if in_index is not None:
        weights &= in_index
    elif "model.safetensors" in weights:
        weights = {"model.safetensors"}  # others would be the same weights in another form
    if weights:
        wanted = [f for f in wanted if f.name != "pytorch_model.bin"]
    return [f for f in wanted if not f.name.endswith(".safetensors") or f.name in weights]


def _source(name: str, repo: str | None) -> Source:
    if name in MODELS:
        return MODELS[name]
    known = ", ".join(MODELS)
    raise InputError(f"no model '{name}' and no such folder; known: {known}{', with --repo' if repo else ''}")


def _fetch(repo: str, target: Path, say: Say, ungated: str, endpoint: str | None, pack: str = "") -> None:
    """Bring a repository's needed files into ``target``, in the state that it has now."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        info = HfApi(endpoint=endpoint).model_info(repo, files_metadata=True)
        files = [
            RemoteFile(s.rfilename, s.size or 0, s.lfs.sha256 if s.lfs else "", s.blob_id or "")
            for s in info.siblings
        ]

        def download(file: RemoteFile) -> None:
            hf_hub_download(repo, file.name, revision=info.sha, local_dir=target, endpoint=endpoint)

        in_index = None
        index = next((file for file in files if file.name == INDEX), None)
        if index is not None:
            if not _is_whole(target / INDEX, index):
                (target / INDEX).unlink(missing_ok=True)
                download(index)
            in_index = indexed_weights(target)
            lacking = sorted(in_index - {file.name for file in files})
            if lacking:
                raise InputError(f"{repo} is not whole: its index names {', '.join(lacking)}, which it has not")
        wanted = wanted_files(files, in_index)
        _check_room(target, wanted, say, repo, left_out=sum(f.num_bytes for f in files if f not in wanted))
        for number, file in enumerate(wanted, 1):
            path = target / file.name
            if _is_whole(path, file):
                say(f"{number}/{len(wanted)} {file.name}: there already, and whole")
                continue
            say(f"{number}/{len(wanted)} {file.name}: {format_bytes(file.num_bytes)}")
            path.unlink(missing_ok=True)
            download(file)
            if not _is_whole(path, file):
                path.unlink(missing_ok=True)
                raise InputError(
                    f"{repo}: {file.name} is not what the hub lists (its hash differs); fetch it again"
                )
    except GatedRepoError as error:
        copy = f", or fetch an ungated copy with --repo {ungated}" if ungated else ""
        raise InputError(
            f"{repo} asks for an agreement: open https://huggingface.co/{repo}, accept it, then `hf auth login` "
            f"(or set HF_TOKEN){copy}"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(f"the hub has no {repo}, or does not show it without `hf auth login`") from error
    except Exception as error:
        # which HTTP library raises here has changed with every release of huggingface_hub
        if (
            not isinstance(error, (HfHubHTTPError, OSError))
            and type(error).__module__.split(".")[0] not in HTTP_LIBRARIES
        ):
            raise
        raise InputError(
            f"can't fetch {repo}: {type(error).__name__}: {error}; what has come is kept, the same command goes on"
        ) from error
    record = {"repo": repo, "revision": info.sha, "pack": pack, "files": [asdict(file) for file in wanted]}
    (target / SOURCE_RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def check_record(folder: Path) -> str:
    """See that fetched files are still what the hub listed.

    Returns:
        The repository and its revision; empty where the folder was not fetched by `fetch_model`.

    Raises:
        InputError: One is missing or has changed, or the record of them can't be read.
    """
    file = folder / SOURCE_RECORD
    if not file.is_file():
        return ""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        repo, revision = str(record["repo"]), str(record["revision"])
        files = [RemoteFile(**entry) for entry in record["files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is damaged ({error}); fetch the model again") from error
    for listed in files:
        if not _is_whole(folder / listed.name, listed):
            raise InputError(f"{folder / listed.name} is not what {repo} lists; fetch it again")
    return f"{repo} at {revision[:7]}"


def indexed_weights(folder: Path) -> set[str]:
    """Return the weight files that a folder's index names.

    Raises:
        InputError: The index can't be read.
    """
    try:
        weight_map = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        return {str(name) for name in weight_map.values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder / INDEX} is not an index of weights: {error}; remove it and fetch again"
        ) from error


def _is_whole(path: Path, file: RemoteFile) -> bool:
    """Return whether a file has the hash that the hub lists; small files have that of their git blob."""
    if not path.is_file() or path.stat().st_size != file.num_bytes:
        return False
    if file.sha256:
        return sha256_file(path) == file.sha256
    content = path.read_bytes()
    return (
        hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == file.git_sha1
    )


def _check_room(target: Path, wanted: list[RemoteFile], say: Say, repo: str, *, left_out: int) -> None:
    """Say how much is to come and see that it fits."""
    if not wanted:
        raise InputError(f"{repo} holds none of the files that a model is made of")
    missing = sum(file.num_bytes for file in wanted if not (target / file.name).is_file())
    total = sum(file.num_bytes for file in wanted)
    say(
        f"{len(wanted)} files, {format_bytes(total)}; {format_bytes(left_out)} of other files are left where they are"
    )
    folder = next(parent for parent in (target, *target.resolve().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if free < missing:
        raise InputError(f"{format_bytes(missing)} are to come, and {folder} has {format_bytes(free)} free")


def _check_local(folder: Path) -> None:
    """See that a folder holds what a language model is made of.

    Raises:
        InputError: Something is missing; says what.
    """
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    weights = indexed_weights(folder) if (folder / INDEX).is_file() else set()
    missing += sorted(name for name in weights if not (folder / name).is_file())
    if not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        raise InputError(f"{folder} is no language model's folder: no {', '.join(missing)} in it")
