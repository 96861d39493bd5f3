"""Hears utterances with Moonshine base-en; `recogniser.Moonshine` starts it, as a script, and ends it after a few.

A process of its own because the library keeps 100 to 200 MB of every utterance (`moonshine-cpp` 0.1.4): only its end
gives them back. It imports nothing of this package, so that it starts fast and wherever that lies.

Standard input: for each utterance its number of bytes (uint32, little-endian) and the samples (int16, mono, 16 kHz).
Standard output: for each a line, what was heard as a JSON string.
"""

import json
import os
import struct
import sys
import tempfile
import wave
from pathlib import Path

RATE_HZ = 16_000


def main() -> None:
    """Hear what comes in, until nothing more does."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the library prints is no answer
    from moonshine_cpp import MoonshineModel

    model = MoonshineModel(language="en")  # any other language would be fetched, under another licence
    with tempfile.TemporaryDirectory(prefix="orpheus-heard-") as folder:
        file = Path(folder) / "utterance.wav"
        while head := sys.stdin.buffer.read(4):
            (num_bytes,) = struct.unpack("<I", head)
            with wave.open(str(file), "wb") as sound:
                sound.setnchannels(1)
                sound.setsampwidth(2)
                sound.setframerate(RATE_HZ)
                sound.writeframes(sys.stdin.buffer.read(num_bytes))
            out.write(json.dumps(model.transcribe_wav(str(file))) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
