"""What does LAME's quality setting cost, and what does it give, at the bit rates that publishers ask for?

    python benchmarks/mp3_quality.py [--minutes 3]

The sample chapter's recording, resampled to 44.1 kHz, is encoded at every setting, decoded and held against what
was given to the encoder: signal to noise in blocks of 23 ms that hold speech, and in each critical band of them.
Seconds of audio a second of CPU time. The last line is JSON.
"""

import argparse
import json
import resource
import tempfile
from pathlib import Path

import numpy as np
from export_speed import RECORDING

from orpheus_batch.audio.ffmpeg import run_ffmpeg

RATE = 44_100
BLOCK = 1024
BAND_EDGES_HZ = (
    0, 100, 200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700, 4400, 5300,
    6400, 7700, 9500, 12_000,
)  # fmt: skip
"""Source: Zwicker's critical bands, up to the codec's highest frequency"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0)
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = folder / "source.wav"
        cut = ["-t", str(args.minutes * 60), "-i", f"file:{RECORDING}", "-ac", "1", "-ar", str(RATE)]
        filters = ["-af", f"aresample={RATE}:resampler=soxr:precision=28"]
        run_ffmpeg([*cut, *filters, "-c:a", "pcm_f32le", str(source)], what="cutting the recording")
        given = samples(source)
        for kbps in (128, 192):
            for quality in (0, 2, 3, 5, 7, 9):
                file = folder / "encoded.mp3"
                settings = ["-b:a", f"{kbps}k", "-compression_level", str(quality), "-y", str(file)]
                before_s = cpu_s()
                run_ffmpeg(["-i", str(source), *settings], what="encoding")
                spent_s = cpu_s() - before_s
                mean_db, low_db, band_db, low_band_db = noise(given, samples(file))
                found.append(
                    {
                        "kbps": kbps,
                        "quality": quality,
                        "speedup_a_core": round(len(given) / RATE / spent_s, 1),
                        "snr_db": round(mean_db, 1),
                        "snr_of_worst_twentieth_db": round(low_db, 1),
                        "median_band_snr_db": round(band_db, 1),
                        "band_snr_of_worst_twentieth_db": round(low_band_db, 1),
                    }
                )
                print(found[-1])
    print(json.dumps(found))


def samples(file: Path) -> np.ndarray:
    """Return a file's samples as float64."""
    args = ["-i", f"file:{file}", "-map", "0:a", "-f", "f32le", "-ar", str(RATE), "pipe:1"]
    return np.frombuffer(run_ffmpeg(args, what=f"reading {file}"), "<f4").astype(np.float64)


def noise(given: np.ndarray, decoded: np.ndarray) -> tuple[float, float, float, float]:
    """Return signal to noise in dB: mean and 5th percentile of blocks, median and 5th percentile of their bands."""
    length = min(len(given), len(decoded)) // BLOCK * BLOCK
    gain = (given[:length] @ decoded[:length]) / (given[:length] @ given[:length])
    signal = given[:length].reshape(-1, BLOCK)
    error = (decoded[:length] / gain).reshape(-1, BLOCK) - signal
    power = (signal**2).mean(axis=1)
    is_speech = power > 1e-5
    snr_db = 10 * np.log10(power[is_speech] / np.maximum((error[is_speech] ** 2).mean(axis=1), 1e-12))
    window = np.hanning(BLOCK)
    spectra = [np.abs(np.fft.rfft(part[is_speech] * window)) ** 2 for part in (signal, error)]
    edges = np.searchsorted(np.fft.rfftfreq(BLOCK, 1 / RATE), BAND_EDGES_HZ)
    starts, stops = edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)
    bands = [
        np.stack([part[:, a:b].sum(axis=1) for a, b in zip(starts, stops, strict=True)]) for part in spectra
    ]
    band_db = 10 * np.log10(bands[0] / np.maximum(bands[1], 1e-20))
    return (
        float(snr_db.mean()),
        float(np.percentile(snr_db, 5)),
        float(np.median(band_db)),
        float(np.percentile(band_db, 5)),
    )


def cpu_s() -> float:
    """Return the CPU time of processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
