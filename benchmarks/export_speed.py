"""How fast is a finished book exported, on all cores, beside plain ffmpeg doing the same conversion?

    python benchmarks/export_speed.py [--chapters 6] [--minutes 5] [--preset acx]

A ledger whose cache holds the sample chapter's recording, over and over, goes through `export_books`: stitched,
measured, leveled, encoded, decoded and held against the preset. ffmpeg is given the same speech as one file a
chapter, as many at a time as there are cores, and only resamples and encodes: once with the settings that export
uses, once with none but rate and bit rate, as people type it. Nothing is checked there. Seconds of audio a second
of wall time, and a second of CPU time. The last line is JSON.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from orpheus_batch.audio.cache import AudioCache
from orpheus_batch.audio.delivery.presets import Preset, load_preset
from orpheus_batch.audio.delivery.produce import conversion_args
from orpheus_batch.audio.ffmpeg import run_ffmpeg
from orpheus_batch.audio.pcm import from_int16
from orpheus_batch.config import load_config
from orpheus_batch.data import Waveform
from orpheus_batch.ledger.records import Take
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline import Factories
from orpheus_batch.pipeline.book_run import CACHE_FOLDER
from orpheus_batch.pipeline.export import export_books
from orpheus_batch.pipeline.export_report import ExportOptions
from orpheus_batch.testing import make_plan
from orpheus_batch.units import SAMPLE_RATE_HZ

RECORDING = Path(__file__).parents[1] / "samples" / "buster-bear-goes-fishing.mp3"
SEGMENT_S = 6.0
CODEC = "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chapters", type=int, default=6)
    parser.add_argument("--minutes", type=float, default=5.0, help="of each chapter")
    parser.add_argument("--preset", default="acx")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time")
    args = parser.parse_args()
    preset = load_preset(args.preset)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        speech = recording()
        num_segments = round(args.minutes * 60 / SEGMENT_S)
        make_book(folder / "book", speech, args.chapters, num_segments)
        options = ExportOptions(credits=False, retail_sample=False, num_processes=args.jobs)
        factories = Factories(codec_fingerprint=lambda pack, config, device: CODEC)
        (export, wall_s, cpu_s) = timed(
            lambda: export_books(folder / "book", preset, options, factories=factories)[0]
        )
        if export.error:
            raise SystemExit(export.error)
        audio_s = sum(file.duration_s for file in export.files)
        found = {
            "preset": preset.name,
            "audio_s": round(audio_s, 1),
            "num_files": len(export.files),
            "num_processes": args.jobs,
            "num_encodings": sum(file.num_encodings for file in export.files),
            "num_passed": sum(file.verdict.ok for file in export.files),
            "speedup": round(audio_s / wall_s, 1),
            "speedup_a_core": round(audio_s / cpu_s, 1),
        }
        pcm = folder / "chapter.pcm"
        np.concatenate([segment(speech, i) for i in range(num_segments)]).tofile(pcm)
        plain_s = pcm.stat().st_size / 2 / SAMPLE_RATE_HZ * args.chapters
        for name, settings in (("same_settings", conversion_args(preset)), ("no_settings", plain_args(preset))):
            _, wall_s, cpu_s = timed(lambda s=settings: convert(pcm, s, preset, args.chapters, args.jobs))
            found[f"ffmpeg_{name}_speedup"] = round(plain_s / wall_s, 1)
            found[f"ffmpeg_{name}_speedup_a_core"] = round(plain_s / cpu_s, 1)
    print(json.dumps(found))


def recording() -> np.ndarray:
    """Return the sample chapter as int16 at 24 kHz."""
    args = ["-i", f"file:{RECORDING}", "-f", "s16le", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), "pipe:1"]
    return np.frombuffer(run_ffmpeg(args, what=f"reading {RECORDING}"), "<i2")


def segment(speech: np.ndarray, number: int) -> np.ndarray:
    """Return a stretch of the recording, which begins again at its end."""
    length = round(SEGMENT_S * SAMPLE_RATE_HZ)
    start = number * length % (len(speech) - length)
    return speech[start : start + length]


def make_book(folder: Path, speech: np.ndarray, num_chapters: int, num_segments: int) -> None:
    """Write a finished ledger and its audio cache, in records of 32 segments, as a render does."""
    texts = [[f"Words {c} {i}." for i in range(num_segments)] for c in range(num_chapters)]
    book, plans = make_plan(*texts)
    cache = AudioCache(folder / CACHE_FOLDER, CODEC)
    with Ledger.open(folder) as ledger:
        ledger.record_plan(book, plans, load_config(None, {}).to_dict(), {})
        for plan in plans:
            ids = [s.segment_id for s in plan.segments]
            takes = [
                Take(i, 0, 0, np.zeros(7, np.int32), "stop", "none", (), 1.0, True, SEGMENT_S) for i in ids
            ]
            ledger.record_takes(takes, max_attempts=1)
            audio = [
                Waveform(from_int16(segment(speech, number)), SAMPLE_RATE_HZ) for number in range(len(ids))
            ]
            for first in range(0, len(ids), 32):
                entries = [(i, 0, wave) for i, wave in zip(ids, audio, strict=True)][first : first + 32]
                cache.put(plan.chapter_index, entries)


def plain_args(preset: Preset) -> list[str]:
    """Return what people give ffmpeg."""
    rate = ["-b:a", f"{preset.bitrate_kbps}k"] if preset.format not in ("flac", "wav") else []
    return ["-ar", str(preset.sample_rate_hz), *rate]


def convert(pcm: Path, settings: list[str], preset: Preset, times: int, num_processes: int) -> None:
    """Convert a file several times, so many at a time."""
    source = ["-y", "-f", "s16le", "-ar", str(SAMPLE_RATE_HZ), "-ac", "1", "-i", f"file:{pcm}"]

    def one(number: int) -> None:
        run_ffmpeg([*source, *settings, f"{pcm.with_name(str(number))}.{preset.format}"], what="plain ffmpeg")

    with ThreadPoolExecutor(num_processes) as pool:
        list(pool.map(one, range(times)))


def timed(action: Callable) -> tuple:
    """Return what an action gave, and its seconds of wall and of CPU time, its processes' too."""
    wall_s, cpu_s = time.monotonic(), _cpu_s()
    result = action()
    return result, time.monotonic() - wall_s, _cpu_s() - cpu_s


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
