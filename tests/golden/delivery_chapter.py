"""A chapter of 16 seconds in the built-in voice, and what delivering it gives: `delivery.json`, made anew by

    python tests/golden/delivery_chapter.py

`chapter.flac` holds the decoded segments one after the other, as a codec gave them; `chapter.json` says what they
are. From there to the samples that an encoder is given everything is this package's arithmetic, so those are
golden by their hash. What an encoder makes of them differs a little from one ffmpeg to the next, so of finished
files the measured numbers are golden, each within a tolerance that is tested.
"""

import dataclasses
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from orpheus_batch.audio.cache import AudioCache
from orpheus_batch.audio.delivery.presets import PRESETS, Preset
from orpheus_batch.audio.ffmpeg import run_ffmpeg
from orpheus_batch.audio.pcm import from_int16
from orpheus_batch.config import load_config
from orpheus_batch.data import Boundary, Waveform
from orpheus_batch.ledger.records import Take
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline import Factories
from orpheus_batch.pipeline.book_run import CACHE_FOLDER
from orpheus_batch.pipeline.export import export_books
from orpheus_batch.pipeline.export_report import BookExport, ExportOptions
from orpheus_batch.testing import make_plan
from orpheus_batch.units import SAMPLE_RATE_HZ

FOLDER = Path(__file__).parent
GOLDEN = FOLDER / "delivery.json"
CODEC = "golden"
MEASURED = ("rms_db", "peak_db", "true_peak_db", "lufs", "noise_floor_db", "head_s", "tail_s", "duration_s")


def make_book(folder: Path) -> Path:
    """Write a finished ledger and its audio cache, and return their folder."""
    listed = json.loads((FOLDER / "chapter.json").read_text(encoding="utf-8"))
    args = ["-i", f"file:{FOLDER / 'chapter.flac'}", "-f", "s16le", "pipe:1"]
    samples = np.frombuffer(run_ffmpeg(args, what="reading the golden chapter"), "<i2")
    book, (plan,) = make_plan([segment["text"] for segment in listed])
    segments = tuple(
        dataclasses.replace(segment, boundary=Boundary(entry["boundary"]), pause_after_s=entry["pause_after_s"])
        for segment, entry in zip(plan.segments, listed, strict=True)
    )
    parts = np.split(samples, np.cumsum([entry["num_samples"] for entry in listed])[:-1])
    out = folder / "book"
    with Ledger.open(out) as ledger:
        ledger.record_plan(
            book, [dataclasses.replace(plan, segments=segments)], load_config(None, {}).to_dict(), {}
        )
        takes = [
            Take(s.segment_id, 0, 0, np.zeros(7, np.int32), "stop", "none", (), 1.0, True, 1.0)
            for s in segments
        ]
        ledger.record_takes(takes, max_attempts=1)
    entries = [
        (segment.segment_id, 0, Waveform(from_int16(part), SAMPLE_RATE_HZ))
        for segment, part in zip(segments, parts, strict=True)
    ]
    AudioCache(out / CACHE_FOLDER, CODEC).put(0, entries)
    return out


def deliver(book: Path, preset: Preset, to: Path) -> BookExport:
    """Export without credits and sample, which the book has no voice for."""
    options = ExportOptions(to=to, credits=False, retail_sample=False, cues="json", num_processes=1)
    factories = Factories(codec_fingerprint=lambda *_: CODEC)
    (export,) = export_books(book, preset, options, factories=factories)
    if export.error:
        raise SystemExit(export.error)
    return export


def results(folder: Path) -> dict:
    """Return everything that is golden."""
    book = make_book(folder)
    found: dict = {}
    lossless = dataclasses.replace(
        PRESETS["acx"],
        name="acx-lossless",
        format="flac",
        sample_rate_hz=SAMPLE_RATE_HZ,
        constant_bitrate=False,
    )
    for preset in (lossless, *PRESETS.values()):
        name = preset.name
        (file,) = deliver(book, preset, folder).files
        if preset.format == "flac":
            samples = run_ffmpeg(["-i", f"file:{file.path}", "-f", "s16le", "pipe:1"], what="reading it")
            found[f"samples of {name}"] = {
                "gain_db": round(file.gain_db, 6),
                "num_samples": len(samples) // 2,
                "sha256": hashlib.sha256(samples).hexdigest(),
                "cues_sha256": hashlib.sha256(file.path.with_suffix(".json").read_bytes()).hexdigest(),
            }
        measured = file.verdict.measured
        found[name] = {"passes": file.verdict.ok, "correction_db": round(file.correction_db, 3)}
        found[name] |= {key: round(getattr(measured, key), 3) for key in MEASURED}
        found[name] |= {"digital_silence_s": measured.digital_silence_s, "kbps": measured.stream.bitrate_kbps}
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        found = results(Path(temporary))
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1), file=sys.stderr)


if __name__ == "__main__":
    main()
