"""Speak a JSONL of phonemised segments with the teacher, many processes at a time.

    python training/speak.py items.jsonl OUT --teacher KOKORO --gpus 0,1,2,3 --workers 16

Each worker appends int16 mono 24 kHz samples to its own ``audio-<worker>.s16`` and then
a line {id, offset, num_samples, text} to ``index-<worker>.jsonl`` (offset in samples).
The audio is flushed before its line, so a line always has its samples; what a killed run
left half-written is cut off when the next one starts. A restart speaks the ids that no
index holds, with any number of workers. ``speech.json`` records how the folder was made,
and a run that would mix voices in it is refused.

Items are shuffled, then batched by length inside windows, and the batches are shuffled
too: whenever a run stops, what it has made is a fair sample of the items.

Leading and trailing silence is cut to fixed margins. The teacher's silence lies 60 to 100
dB below its loudest 5 ms and its soft consonants above 45 dB below, so the cut is at 45 dB
and the margins keep what fades under that. The level is left alone: see LEVEL.

This module does not know where phonemes come from, nor whether the words came out right.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 24_000
LEAD_S, TAIL_S = 0.05, 0.12
STEP = 120
"""Samples of the window in which silence is judged: 5 ms."""
SILENCE_DB = -45.0
"""Against the item's loudest window."""
LEVEL = 1.0
"""Gain on every sample. Kokoro's loudness does not vary enough to be worth evening out."""
WINDOW = 4096
"""Items sorted by length together; more gives tighter batches, less a fairer early stop."""
TOKEN_S, ITEM_S = 0.062, 0.6
"""Expected seconds of speech a token, and of silence an item, for sizing batches."""


def trim(audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """``audio`` with ``LEAD_S`` before its first sound and ``TAIL_S`` after its last.

    Zeros are added where the teacher left less than that. Empty when all is silence.
    """
    steps = len(audio) // STEP
    energy = (audio[: steps * STEP].reshape(steps, STEP) ** 2).mean(axis=1) if steps else np.zeros(1)
    if energy.max() < 1e-8:
        return audio[:0]
    loud = np.flatnonzero(energy > energy.max() * 10 ** (SILENCE_DB / 10))
    start = int(loud[0]) * STEP - round(LEAD_S * SAMPLE_RATE)
    end = int(loud[-1] + 1) * STEP + round(TAIL_S * SAMPLE_RATE)
    kept = audio[max(start, 0) : end].copy()
    fade = np.linspace(0, 1, STEP, dtype=np.float32)
    kept[:STEP] *= fade
    kept[-STEP:] *= fade[::-1]
    return np.pad(kept, (max(-start, 0), max(end - len(audio), 0)))


def recover(folder: Path) -> tuple[set[str], int]:
    """The ids that ``folder`` holds whole and their samples; half-written tails are cut off."""
    done: set[str] = set()
    samples = 0
    for index in sorted(folder.glob("index-*.jsonl")):
        audio = folder / f"audio-{index.stem.removeprefix('index-')}.s16"
        held = audio.stat().st_size // 2 if audio.exists() else 0
        good = end = 0
        for line in index.read_bytes().splitlines(keepends=True):
            try:
                entry = json.loads(line) if line.endswith(b"\n") else None
            except json.JSONDecodeError:
                entry = None
            if entry is None or entry["offset"] + entry["num_samples"] > held:
                break
            good += len(line)
            end = entry["offset"] + entry["num_samples"]
            done.add(entry["id"])
            samples += entry["num_samples"]
        os.truncate(index, good)
        if audio.exists():
            os.truncate(audio, end * 2)
    return done, samples


def batches(items: list[dict[str, str]], limit_s: float, most: int, seed: int) -> list[list[dict[str, str]]]:
    """``items`` in batches of alike lengths, each at most ``most`` items and about ``limit_s``."""
    order = random.Random(seed)
    order.shuffle(items)
    made: list[list[dict[str, str]]] = []
    for first in range(0, len(items), WINDOW):
        batch: list[dict[str, str]] = []
        window = sorted(items[first : first + WINDOW], key=lambda i: len(i["phonemes"]))
        for item in window:
            longest = len(item["phonemes"]) * TOKEN_S + ITEM_S
            if batch and (len(batch) == most or (len(batch) + 1) * longest > limit_s):
                made.append(batch)
                batch = []
            batch.append(item)
        made.append(batch)
    order.shuffle(made)
    return made


@dataclass(frozen=True)
class Job:
    """What a worker is told, apart from its batches."""

    folder: Path
    teacher: Path
    voice: str
    noise: bool
    speed: float
    seed: int


def _attempt(teacher: Any, batch: list[dict[str, str]], speed: float) -> list[Any]:
    """Audio for each item; for one that cannot be spoken, its exception."""
    import torch
    from teacher import TeacherError

    try:
        return list(teacher.speak([item["phonemes"] for item in batch], speed))
    except (TeacherError, RuntimeError) as error:
        if len(batch) == 1:
            return [error]
    torch.cuda.empty_cache()
    half = len(batch) // 2
    return _attempt(teacher, batch[:half], speed) + _attempt(teacher, batch[half:], speed)


def work(name: str, device: str, job: Job, todo: Any, made: Any, failed: Any, stop: Any) -> None:
    """One process: takes batches until there are none or ``stop`` is set."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and sets `stop`
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch
    from teacher import Teacher

    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(job.seed * 1000 + int(name))
    teacher = Teacher(job.teacher, device, job.voice, job.noise)
    broken = 0
    with (
        (job.folder / f"audio-{name}.s16").open("ab") as audio_file,
        (job.folder / f"index-{name}.jsonl").open("a", encoding="utf-8") as index,
        (job.folder / f"errors-{name}.jsonl").open("a", encoding="utf-8") as errors,
    ):
        offset = audio_file.tell() // 2
        while not stop.is_set():
            batch = todo.get()
            if batch is None:
                return
            results = _attempt(teacher, batch, job.speed)
            lines = []
            for item, audio in zip(batch, results, strict=True):
                problem = audio if isinstance(audio, Exception) else None
                kept = np.zeros(0, np.float32) if problem else trim(audio * LEVEL)
                if len(kept) == 0 or not np.isfinite(kept).all():
                    reason = str(problem or "silent or not finite")
                    errors.write(json.dumps({"id": item["id"], "error": reason}) + "\n")
                    broken += 1
                    with failed.get_lock():
                        failed.value += 1
                    continue
                broken = 0
                samples = (kept.clip(-1, 1) * 32767).round().astype("<i2")
                audio_file.write(samples.tobytes())
                lines.append(
                    {"id": item["id"], "offset": offset, "num_samples": len(samples), "text": item["text"]}
                )
                offset += len(samples)
            audio_file.flush()
            index.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            index.flush()
            errors.flush()
            with made.get_lock():
                made.value += sum(line["num_samples"] for line in lines)
            if broken >= 50:
                raise RuntimeError(f"worker {name}: 50 items in a row failed, see errors-{name}.jsonl")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("items", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--teacher", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--voice", default="af_heart", show_default=True)
@click.option("--gpus", default="cpu", show_default=True, help="`0,1,2,3`, or `cpu`.")
@click.option("--workers", default=1, show_default=True, help="Processes in all, spread over the GPUs.")
@click.option("--batch-s", default=240.0, show_default=True, help="Seconds of speech a batch (GPU).")
@click.option("--batch-items", default=64, show_default=True, help="Items a batch at most (GPU).")
@click.option("--noise/--no-noise", default=True, show_default=True)
@click.option("--speed", default=1.0, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--limit-s", type=float, help="Stop when OUT holds this much speech.")
@click.option("--max-minutes", type=float, help="Stop after this long.")
def main(
    items: Path,
    out: Path,
    teacher: Path,
    voice: str,
    gpus: str,
    workers: int,
    batch_s: float,
    batch_items: int,
    noise: bool,
    speed: float,
    seed: int,
    limit_s: float | None,
    max_minutes: float | None,
) -> None:
    """Speak ITEMS, lines of {"id", "text", "phonemes"}, into the folder OUT."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    made_with = {"voice": voice, "noise": noise, "speed": speed, "sample_rate": SAMPLE_RATE}
    note = out / "speech.json"
    if note.exists() and json.loads(note.read_text()) != made_with:
        raise click.ClickException(f"{out} was made with {note.read_text()}: use another folder")
    note.write_text(json.dumps(made_with))
    done, samples = recover(out)
    with items.open(encoding="utf-8") as file:
        rows = [row for line in file if (row := json.loads(line))["id"] not in done]
    cpu = gpus == "cpu"
    plan = batches(rows, batch_s, 1 if cpu else batch_items, seed)
    click.echo(f"{len(done)} done, {len(rows)} to speak in {len(plan)} batches", err=True)

    context = multiprocessing.get_context("spawn")
    todo, stop = context.Queue(), context.Event()
    made, failed = context.Value("q", 0), context.Value("q", 0)
    for batch in [*plan, *[None] * workers]:
        todo.put(batch)
    job = Job(out, teacher, voice, noise, speed, seed + len(done))
    devices = ["cpu"] if cpu else [f"cuda:{g}" for g in gpus.split(",")]
    processes = [
        context.Process(
            target=work, args=(f"{w:02d}", devices[w % len(devices)], job, todo, made, failed, stop)
        )
        for w in range(workers)
    ]
    for process in processes:
        process.start()

    def report(since: float, before: int) -> str:
        rate = (made.value - before) / SAMPLE_RATE / max(time.monotonic() - since, 1e-3)
        return (
            f"{time.monotonic() - started:.0f} s: {made.value / SAMPLE_RATE / 3600:.3f} h made, "
            f"{rate:.1f} x real time, {failed.value} failed"
        )

    try:
        shown, shown_at, first = 0, time.monotonic(), 0.0
        while any(process.is_alive() for process in processes):
            time.sleep(0.2)
            if not first and made.value:
                first = time.monotonic()
            if time.monotonic() - shown_at >= 10:
                click.echo(report(shown_at, shown), err=True)
                shown, shown_at = made.value, time.monotonic()
            long = max_minutes is not None and time.monotonic() - started > max_minutes * 60
            if long or (limit_s is not None and samples + made.value >= limit_s * SAMPLE_RATE):
                stop.set()
    except KeyboardInterrupt:
        stop.set()
        click.echo("Stopping after the batches in hand; run the same command to go on.", err=True)
    for process in processes:
        process.join()
    todo.cancel_join_thread()
    click.echo(f"overall {report(started, 0)}", err=True)
    bad = [process.name for process in processes if process.exitcode]
    if bad:
        raise click.ClickException(f"workers died: {', '.join(bad)}; run the same command to go on")


if __name__ == "__main__":
    sys.exit(main())
