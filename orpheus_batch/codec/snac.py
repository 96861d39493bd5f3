"""The SNAC codec: loads a model folder and decodes streams of codes, each as if it were alone.

On a CPU every stream is decoded by itself in one thread, several streams side by side: that keeps a level's
tile in the cache, and makes the samples independent of the batch and of the number of threads, bit for bit. On
a GPU streams of like length share padded, masked batches; there a stream's samples depend on its batch by
rounding alone (`BATCH_TOLERANCE`), and where Triton is installed they are computed in half precision.

It does not know tokens, text or books, and it never encodes audio: a folder may lack the encoder's weights.
"""

import functools
import json
import os
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orpheus_batch.data import SnacCodes, Waveform
from orpheus_batch.errors import CodecError
from orpheus_batch.fingerprint import fingerprint_files
from orpheus_batch.units import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

if TYPE_CHECKING:
    import torch
    from snac import SNAC

    from orpheus_batch.codec.batches import BatchedDecoder

IMPLEMENTATION_VERSION = 1
"""Part of the fingerprint: raised whenever the same weights and codes may give other samples."""

FUSED_VERSION = 1
"""Likewise, of half precision alone."""

BATCH_TOLERANCE = 1e-5
"""Largest difference of a sample (full scale 1.0) between a stream in a batch and alone, on a GPU in float32."""

PRECISIONS = ("auto", "float32", "float16", "bfloat16")

MAX_FRAMES_PER_BATCH = 4096
"""Padded frames decoded at once on a GPU, in float32 or with a narrow codec. SNAC 24 kHz at full width takes 170 MB
for a stream of 6 s in float32 (measured), so about 10 GB; on a CPU memory is that of one stream a thread."""

MAX_BATCH_BYTES = 1_200_000_000
"""Of a batch in half precision at its widest level, some 1,100 frames of SNAC 24 kHz: enough to keep a GPU busy."""

LENGTH_STEP = 8
"""Frames, 0.7 s, to multiples of which streams are padded in half precision: some 4 % of a book's samples more, and
143 sizes of a batch in all. Beside a language model, loading a kernel for a new size takes 0.2 s."""

_LEVEL_STRIDES = [4, 2, 1]
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


class SnacCodec:
    """Decodes SNAC codes on a CPU or a GPU. Implements `orpheus_batch.codec.base.Codec`.

    Args:
        codec_dir: Holds ``config.json`` as the `snac` package writes it, and ``model.safetensors`` or
            ``pytorch_model.bin``.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1".
        precision: "float32"; "float16" or "bfloat16", meant for a GPU with Triton and slow elsewhere; "auto":
            float16 there, else float32. Streams that float16 can't hold are decoded in float32.
        num_threads: Streams decoded side by side on a CPU; None: as many as PyTorch uses.
        max_frames_per_batch: On a GPU; None: what `MAX_FRAMES_PER_BATCH` and `MAX_BATCH_BYTES` allow. A single
            longer stream still runs, alone.

    Raises:
        CodecError: A file is missing or damaged, or the model is of another kind.
    """

    def __init__(
        self,
        codec_dir: Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        num_threads: int | None = None,
        max_frames_per_batch: int | None = None,
    ):
        import torch

        from orpheus_batch.codec.snac_decoder import SnacDecoder

        if max_frames_per_batch is not None and max_frames_per_batch < 1:
            raise CodecError(f"max_frames_per_batch must be at least 1, not {max_frames_per_batch}")
        self.device = torch.device(_resolve_device(device))
        self.precision = resolve_codec_precision(precision, self.device.type)
        model = load_model(codec_dir)
        self.fingerprint = codec_fingerprint(codec_dir, self.precision)
        self._codebook_size = model.codebook_size
        self._decoder = SnacDecoder(model, self.device)
        self._num_threads = num_threads or torch.get_num_threads()
        self._batches = self._batched_decoder(max_frames_per_batch)

    def decode(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[Waveform]:
        """Decode each stream as if it were alone.

        While it runs on a CPU, threads that PyTorch has not used before start with one thread each; the
        caller's own number of threads is untouched.

        Args:
            streams: Any number of streams of any lengths.
            seeds: One a stream, each in [0, 2^63), for the noise; the same codes and seed give the same
                samples.

        Returns:
            One waveform a stream, float32 [2048 * num_frames], in the same order.

        Raises:
            CodecError: Lengths or codes are not legal; names the stream by its position.
        """
        if len(streams) != len(seeds):
            raise CodecError(f"{len(streams)} streams came with {len(seeds)} seeds")
        for index, (codes, seed) in enumerate(zip(streams, seeds, strict=True)):
            self._check(index, codes, seed)
        if self.device.type == "cpu" and self.precision == "float32":
            samples = self._decode_apart(streams, seeds)
        else:
            samples = self.decode_batched(streams, seeds)
        return [Waveform(row, SAMPLE_RATE_HZ) for row in samples]

    def decode_batched(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[np.ndarray]:
        """Decode in padded, masked batches of like lengths: a GPU's way, on any device.

        Args:
            streams: Checked by `decode`.
            seeds: One a stream.

        Returns:
            float32 [2048 * num_frames] a stream.
        """
        return self._batches.decode(streams, seeds)

    def warm_up(self) -> None:
        """Load the kernels of half precision on a GPU, for batches of all sizes; elsewhere nothing waits."""
        if self.device.type == "cuda" and self.precision != "float32":
            self._batches.warm_up()

    def _batched_decoder(self, max_frames: int | None) -> "BatchedDecoder":
        import torch

        from orpheus_batch.codec.batches import BatchedDecoder
        from orpheus_batch.codec.snac_fused import fused_decoder_that_runs

        exact = functools.partial(self._decoder.decode, tiled=False)
        max_exact_frames = max_frames or MAX_FRAMES_PER_BATCH
        if self.precision == "float32":
            return BatchedDecoder(exact, self.device, max_exact_frames)
        fused = fused_decoder_that_runs(self._decoder, getattr(torch, self.precision))
        if max_frames is None:
            max_frames = min(max(MAX_BATCH_BYTES // fused.bytes_per_frame, 1), MAX_FRAMES_PER_BATCH)
        return BatchedDecoder(
            fused.decode,
            self.device,
            max_frames,
            length_step=LENGTH_STEP,
            exact=exact,
            max_exact_frames=max_frames,
        )

    def _decode_apart(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[np.ndarray]:
        """Decode one stream at a time in each of a few threads."""
        import torch

        def decode_one(codes: SnacCodes, seed: int) -> np.ndarray:
            if not codes.num_frames:
                return np.zeros(0, np.float32)
            levels = [
                torch.from_numpy(level.astype(np.int64))[None]
                for level in (codes.coarse, codes.mid, codes.fine)
            ]
            with torch.inference_mode():
                return self._decoder.decode(levels, 4 * codes.num_frames, [seed], tiled=True)[0].numpy()

        if not streams:
            return []
        # Work within a stream is left on one thread: tiles are too small to share, and a matrix product cut
        # otherwise may round otherwise. set_num_threads sets the calling thread and the default of later ones.
        callers_threads = torch.get_num_threads()
        workers = min(self._num_threads, len(streams))
        with ThreadPoolExecutor(workers, "snac", initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                return list(pool.map(decode_one, streams, seeds))
            finally:
                torch.set_num_threads(callers_threads)

    def _check(self, index: int, codes: SnacCodes, seed: int) -> None:
        num_frames = codes.num_frames
        if len(codes.mid) != 2 * num_frames or len(codes.fine) != 4 * num_frames:
            raise CodecError(
                f"stream {index}: levels of {num_frames}, {len(codes.mid)} and {len(codes.fine)} codes "
                "must be as 1 : 2 : 4"
            )
        for name, level in (("coarse", codes.coarse), ("mid", codes.mid), ("fine", codes.fine)):
            wrong = np.flatnonzero((level < 0) | (level >= self._codebook_size))
            if len(wrong):
                raise CodecError(
                    f"stream {index}: {name} code {int(level[wrong[0]])} at {int(wrong[0])} lies outside "
                    f"[0, {self._codebook_size}); the model pack's codebook_size may not be this codec's"
                )
        if not 0 <= seed < 1 << 63:
            raise CodecError(f"stream {index}: the seed {seed} lies outside [0, 2^63)")


def resolve_codec_precision(precision: str, device: str) -> str:
    """Return "float32", "float16" or "bfloat16"; "auto" is float16 on a GPU with Triton, else float32.

    Args:
        precision: One of these, or "auto".
        device: "cpu", "cuda", "cuda:1".

    Raises:
        CodecError: It is none of these.
    """
    from orpheus_batch.triton_support import has_triton

    if precision not in PRECISIONS:
        raise CodecError(f"'{precision}' is not a precision of the codec; give {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision
    return "float16" if device.startswith("cuda") and has_triton() else "float32"


def codec_fingerprint(codec_dir: Path, precision: str = "float32") -> str:
    """Return what identifies a codec's audio: its files, this implementation and its precision, not the device.

    Args:
        codec_dir: The codec's folder.
        precision: Resolved: not "auto".

    Raises:
        CodecError: A file is missing.
    """
    files = [_file(codec_dir, "config.json"), _weights_file(codec_dir)]
    salt = f"snac decoder {IMPLEMENTATION_VERSION}"
    if precision != "float32":
        salt += f" {precision} {FUSED_VERSION}"
    return fingerprint_files(files, salt=salt)


def load_model(codec_dir: Path) -> "SNAC":
    """Build the `snac` package's model with a folder's weights, for decoding: its encoder is dropped.

    Raises:
        CodecError: Missing, damaged or unfitting files, or a kind of SNAC that Orpheus does not use.
    """
    import torch
    from snac import SNAC
    from torch.nn.utils import parametrize

    config_file = _file(codec_dir, "config.json")
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
        # On "meta" nothing is allocated or initialised: every tensor comes from the file.
        with torch.device("meta"):
            model = SNAC(**config)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CodecError(f"can't read {config_file}: {error}") from error
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise CodecError(f"{config_file} does not describe a SNAC model: {error}") from error
    _check_kind(config_file, config, model)
    del model.encoder
    weights_file = _weights_file(codec_dir)
    weights = {
        name: tensor.float()
        for name, tensor in _read_weights(weights_file).items()
        if not name.startswith("encoder.")
    }
    _check_weights(weights_file, model, weights)
    model.load_state_dict(weights, assign=True)
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return model.eval().requires_grad_(False)


def _check_kind(file: Path, config: dict[str, Any], model: "SNAC") -> None:
    """Refuse kinds of SNAC whose frames are not Orpheus's, or that `SnacDecoder` does not compute."""
    samples_per_frame = int(np.prod(model.decoder_rates)) * model.vq_strides[0]
    for ok, what in (
        (model.sampling_rate == SAMPLE_RATE_HZ, f"sampling_rate must be {SAMPLE_RATE_HZ}"),
        (list(model.vq_strides) == _LEVEL_STRIDES, f"vq_strides must be {_LEVEL_STRIDES}"),
        (samples_per_frame == SAMPLES_PER_FRAME, f"a frame must be {SAMPLES_PER_FRAME} samples"),
        (all(rate % 2 == 0 for rate in model.decoder_rates), "decoder_rates must be even"),
        (config.get("depthwise", True) is True, "depthwise must be true"),
        (model.attn_window_size is None, "attn_window_size must be null"),
    ):
        if not ok:
            raise CodecError(f"{file}: {what}; Orpheus's codec is hubertsiuzdak/snac_24khz")


def _check_weights(file: Path, model: "SNAC", weights: dict[str, "torch.Tensor"]) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    missing = sorted(set(wanted) - set(weights))
    unknown = sorted(set(weights) - set(wanted))
    if missing or unknown:
        raise CodecError(
            f"{file} does not go with its config.json: {len(missing)} tensors missing "
            f"({', '.join(missing[:3])}), {len(unknown)} unknown ({', '.join(unknown[:3])})"
        )
    for name, shape in wanted.items():
        if tuple(weights[name].shape) != shape:
            raise CodecError(
                f"{file} does not go with its config.json: '{name}' is {list(weights[name].shape)} instead of "
                f"{list(shape)}"
            )
        if not weights[name].isfinite().all():
            raise CodecError(f"{file}: '{name}' holds values that are not finite")


def _read_weights(file: Path) -> dict[str, "torch.Tensor"]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        weights = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CodecError(f"can't read the codec's weights {file}: {error}") from error
    if not isinstance(weights, dict) or not all(isinstance(t, torch.Tensor) for t in weights.values()):
        raise CodecError(f"{file} does not hold a table of tensors")
    return weights


def _file(codec_dir: Path, name: str) -> Path:
    file = codec_dir / name
    if not file.is_file():
        raise CodecError(
            f"no {name} in the codec's folder {os.fspath(codec_dir)!r}; give the folder that holds it "
            "with --codec-dir"
        )
    return file


def _weights_file(codec_dir: Path) -> Path:
    for name in _WEIGHT_FILES:
        if (codec_dir / name).is_file():
            return codec_dir / name
    return _file(codec_dir, " or ".join(_WEIGHT_FILES))


def _resolve_device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise CodecError(f"'{device}' is not a device; give auto, cpu, cuda or cuda:1") from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise CodecError(f"the device '{device}' was asked for, but PyTorch sees no GPU")
    return device
