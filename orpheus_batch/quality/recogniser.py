"""Recognisers, which write down what they hear: Moonshine and faster-whisper, whichever is installed.

Neither is a dependency: `pip install 'orpheus-batch[asr]'`. Both decode greedily or by beam, without chance, so that a
take is heard the same whenever it is heard. What is thought of what was heard is not known here.
"""

import importlib.util
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np

from orpheus_batch.audio.ffmpeg import run_ffmpeg
from orpheus_batch.config import AsrConfig
from orpheus_batch.data import Waveform
from orpheus_batch.errors import ConfigError, RecogniserError
from orpheus_batch.units import SAMPLE_RATE_HZ

RATE_HZ = 16_000
"""of what recognisers hear: two samples for three of ours"""
MARGIN_SAMPLES = 2_400
"""0.1 s of silence on either side: a word that begins with the first sample is often missed"""

INSTALL = "pip install 'orpheus-batch[asr]'"


class Recogniser(Protocol):
    """Writes down what it hears."""

    name: str
    """with its version, for manifests"""

    def transcribe(self, utterances: Sequence[np.ndarray]) -> list[str]:
        """Return what is said in each utterance, in order.

        Args:
            utterances: int16 [num_samples] each, mono at 16 kHz; see `to_utterances`.

        Raises:
            RecogniserError: It can't go on.
        """
        ...

    def close(self) -> None:
        """Free the model, end processes."""
        ...


def load_recogniser(config: AsrConfig, language: str, device: str) -> Recogniser:
    """Return the configured recogniser.

    Args:
        config: Which, and how; "auto" takes faster-whisper on a GPU, else Moonshine for English, if installed.
        language: BCP 47 primary tag of what is said.
        device: "cpu" or "cuda…", where the speech is made; faster-whisper runs there too.

    Raises:
        ConfigError: It is not installed, or does not understand the language; says what to do.
        RecogniserError: It can't be loaded.
    """
    has_moonshine, has_whisper = _is_installed("moonshine_cpp"), _is_installed("faster_whisper")
    name = config.recogniser
    if name == "auto":
        wants_whisper = device != "cpu" or language != "en" or not has_moonshine
        name = "faster-whisper" if has_whisper and wants_whisper else "moonshine"
    if name == "moonshine":
        if not has_moonshine:
            what = "no recogniser is installed" if config.recogniser == "auto" else "Moonshine is not installed"
            raise ConfigError(f"{what}: {INSTALL}")
        if language != "en":
            raise ConfigError(
                f"Moonshine hears English, and this pack speaks '{language}'; install faster-whisper: {INSTALL}"
            )
        from orpheus_batch.quality.moonshine import Moonshine

        return Moonshine(config.processes)
    if not has_whisper:
        raise ConfigError(f"faster-whisper is not installed: {INSTALL}")
    return FasterWhisper(config.model or ("small.en" if language == "en" else "small"), language, device)


def to_utterances(waveforms: Sequence[Waveform]) -> list[np.ndarray]:
    """Return speech at 24 kHz as recognisers take it: int16 [num_samples] at `RATE_HZ`, silence on either side.

    Raises:
        EncodeError: ffmpeg, which resamples, failed.
    """
    # All in one ffmpeg: each begins at a multiple of three samples, with silence before, so none hears another.
    padded = [np.pad(w.samples, (MARGIN_SAMPLES, MARGIN_SAMPLES + -len(w.samples) % 3)) for w in waveforms]
    pcm = (np.concatenate(padded).clip(-1, 1) * 32_767).astype("<i2").tobytes()
    raw = ("-f", "s16le", "-ac", "1")
    args = [*raw, "-ar", str(SAMPLE_RATE_HZ), "-i", "pipe:0", *raw, "-ar", str(RATE_HZ), "pipe:1"]
    resampled = np.frombuffer(run_ffmpeg(args, stdin=pcm, what="resampling for the recogniser"), "<i2")
    ends = np.cumsum([len(samples) for samples in padded]) * 2 // 3
    return np.split(resampled, ends[:-1])


class FasterWhisper:
    """Whisper by `faster-whisper` (MIT), which fetches its weights from a hub the first time.

    Args:
        model: A size ("small.en"), a name on the hub, or a folder.
        language: BCP 47 primary tag.
        device: "cpu" or "cuda…".

    Raises:
        RecogniserError: It can't be loaded.
    """

    def __init__(self, model: str, language: str, device: str):
        import faster_whisper

        self._language = language
        kind, _, index = device.partition(":")
        num_workers = 1 if kind == "cpu" else 2  # one takes all cores; two fill a GPU's gaps
        try:
            self._model = faster_whisper.WhisperModel(
                model,
                device=kind,
                device_index=int(index or 0),
                compute_type="int8" if kind == "cpu" else "float16",
                num_workers=num_workers,
            )
        except Exception as error:  # weights that can't be fetched, a folder without them, no cuDNN
            raise RecogniserError(
                f"faster-whisper can't load '{model}' on {device}: {error}; where there is no network, fetch the model "
                "elsewhere and name its folder: asr.model"
            ) from error
        self.name = f"Whisper {Path(model).name} (faster-whisper {faster_whisper.__version__})"
        self._threads = ThreadPoolExecutor(num_workers, "whisper")

    def transcribe(self, utterances: Sequence[np.ndarray]) -> list[str]:
        """See `Recogniser.transcribe`."""
        try:
            return list(self._threads.map(self._hear, utterances))
        except (RuntimeError, ValueError) as error:
            raise RecogniserError(f"faster-whisper can't go on: {error}") from error

    def close(self) -> None:
        """Free the model."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _hear(self, samples: np.ndarray) -> str:
        # One temperature, and no look at what came before: an utterance is heard the same in any company.
        segments, _ = self._model.transcribe(
            samples.astype(np.float32) / 32_768.0,
            language=self._language,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            vad_filter=False,
        )
        return " ".join(segment.text.strip() for segment in segments)


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
