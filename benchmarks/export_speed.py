"""How fast are delivered files made, beside plain ffmpeg doing the same conversion on the same samples?

    python benchmarks/export_speed.py [--minutes 20] [--preset acx]

One chapter on one core: measuring pass, stitching, quieting, leveling, encoding, decoding and measuring the file.
ffmpeg is given the stitched samples and only resamples and encodes. Seconds of audio a second, wall time.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from orpheus_batch.audio.cache import AudioCache
from orpheus_batch.audio.delivery.presets import load_preset
from orpheus_batch.audio.delivery.produce import FileJob, produce_file
from orpheus_batch.audio.delivery.sections import (
    Section,
    SectionJob,
    SpokenPiece,
    book_gain_db,
    measure_section,
    stitch_sections,
)
from orpheus_batch.audio.delivery.tags import Tags
from orpheus_batch.audio.encode import ChapterPiece
from orpheus_batch.audio.ffmpeg import run_ffmpeg
from orpheus_batch.data import Waveform
from orpheus_batch.units import SAMPLE_RATE_HZ, samples_to_seconds

SEGMENT_S = 6.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--preset", default="acx")
    args = parser.parse_args()
    preset = load_preset(args.preset)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        section = make_section(folder / "cache", round(args.minutes * 60 / SEGMENT_S))
        started = time.monotonic()
        level = measure_section(SectionJob(section, folder, preset.loudness == "lufs"))
        measured_s = time.monotonic() - started
        gain_db = book_gain_db(
            [level],
            target_db=preset.target_db,
            wants_lufs=preset.loudness == "lufs",
            silence_s=preset.head_s + preset.tail_s,
        )
        job = FileJob(
            path=folder / f"chapter.{preset.format}",
            sections=(section,),
            preset=preset,
            gain_db=gain_db,
            tags=Tags("Chapter", "Book", "Author", "Narrator", 1, 1),
            marks_chapters=False,
        )
        started = time.monotonic()
        file = produce_file(job)
        produced_s = time.monotonic() - started
        pcm = folder / "plain.pcm"
        stitched = stitch_sections([section], pcm, head_s=preset.head_s, tail_s=preset.tail_s)
        source = ["-f", "s16le", "-ar", str(SAMPLE_RATE_HZ), "-ac", "1", "-i", str(pcm)]
        output = ["-ar", str(preset.sample_rate_hz), "-b:a", f"{preset.bitrate_kbps}k", "-y"]
        started = time.monotonic()
        run_ffmpeg([*source, *output, str(folder / f"plain.{preset.format}")], what="plain ffmpeg")
        plain_s = time.monotonic() - started
        audio_s = samples_to_seconds(stitched.num_samples)
        print(
            json.dumps(
                {
                    "preset": preset.name,
                    "audio_s": round(audio_s, 1),
                    "num_encodings": file.num_encodings,
                    "passes": file.verdict.ok,
                    "speedup": round(audio_s / (measured_s + produced_s), 1),
                    "measuring_speedup": round(audio_s / measured_s, 1),
                    "plain_ffmpeg_speedup": round(audio_s / plain_s, 1),
                }
            )
        )


def make_section(cache_dir: Path, num_segments: int) -> Section:
    """Fill a cache with harmonics in the rhythm of syllables, and return a chapter of them."""
    time_s = np.arange(round(SEGMENT_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    cache = AudioCache(cache_dir, "benchmark")
    random = np.random.default_rng(0)
    entries = []
    for index in range(num_segments):
        pitch_hz = random.uniform(90, 180)
        wave = sum(np.sin(2 * np.pi * pitch_hz * k * time_s) / k for k in range(1, 16))
        wave *= 0.05 * (0.55 + 0.45 * np.cos(2 * np.pi * 3 * time_s)) * random.uniform(0.7, 1.3)
        wave += 1e-3 * random.standard_normal(len(time_s))
        entries.append((f"s{index}", 0, Waveform(wave.astype(np.float32), SAMPLE_RATE_HZ)))
    cache.put(0, entries)
    pieces = tuple(
        SpokenPiece(ChapterPiece(f"s{i}", i, 0, 0.4), "words", i, i + 1, ends_sentence=True)
        for i in range(num_segments)
    )
    return Section("Chapter", cache_dir, "benchmark", pieces)


if __name__ == "__main__":
    main()
