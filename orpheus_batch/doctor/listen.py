"""Whatever recogniser is installed, and how many words it got wrong. None is a dependency."""

import importlib.util
import re
import tempfile
import wave
from pathlib import Path
from typing import Protocol

RATE_HZ = 16_000


class Recogniser(Protocol):
    """Writes down what it hears."""

    name: str

    def transcribe(self, samples: bytes) -> str:
        """Return what is said in 16-bit mono at 16 kHz."""
        ...


class Moonshine:
    """Moonshine base-en of the package `moonshine_cpp`, weights included."""

    name = "Moonshine base"

    def __init__(self) -> None:
        from moonshine_cpp import MoonshineModel

        self._model = MoonshineModel(language="en")

    def transcribe(self, samples: bytes) -> str:
        """Return what is heard in int16 mono samples at `RATE_HZ`."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "heard.wav"
            with wave.open(str(file), "wb") as out:
                out.setnchannels(1)
                out.setsampwidth(2)
                out.setframerate(RATE_HZ)
                out.writeframes(samples)
            return self._model.transcribe_wav(str(file))


class _FasterWhisper:
    """Whisper of the package `faster_whisper`; it fetches its weights from a hub the first time."""

    name = "Whisper small.en"

    def __init__(self) -> None:
        from faster_whisper import WhisperModel

        self._model = WhisperModel("small.en", device="cpu", compute_type="int8")

    def transcribe(self, samples: bytes) -> str:
        import numpy as np

        audio = np.frombuffer(samples, dtype="<i2").astype(np.float32) / 32768.0
        segments, _ = self._model.transcribe(audio, language="en")
        return " ".join(segment.text for segment in segments)


def find_recogniser() -> tuple[Recogniser | None, str]:
    """Return the recogniser that is installed, and why there is none where there is none."""
    for module, kind in (("moonshine_cpp", Moonshine), ("faster_whisper", _FasterWhisper)):
        if importlib.util.find_spec(module) is not None:
            try:
                return kind(), ""
            except Exception as error:  # weights that can't be fetched, a wheel for another processor
                return None, f"{module} is installed and does not run: {error}"
    return None, "no recogniser is installed"


def num_wrong_words(said: str, heard: str) -> int:
    """Return the least number of words to replace, insert or drop to make ``said`` of ``heard``.

    Case and punctuation do not count.
    """
    reference, hypothesis = (re.findall(r"[a-z']+", text.lower().replace("’", "'")) for text in (said, heard))
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(diagonal + (word != other), row[j] + 1, row[j - 1] + 1)
    return row[-1]
