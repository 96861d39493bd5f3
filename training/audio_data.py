"""Speech on disk as `training/speak.py` writes it: raw 16-bit samples and an index beside them.

A folder holds any number of pairs ``audio-NAME.s16`` (24 kHz, mono, little-endian) and ``index-NAME.jsonl`` (one
line an utterance: id, offset in samples, num_samples, text). What made the speech is not known here.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Utterance:
    """One spoken segment, and where its samples lie in the corpus."""

    utterance_id: str
    text: str
    start: int
    """first sample in `Speech.samples`"""
    num_samples: int


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """A whole corpus in one tensor, so that random pieces of it cost nothing."""

    samples: torch.Tensor
    """int16 [total], on the device asked for"""
    utterances: list[Utterance]


def load_speech(
    folder: Path,
    device: torch.device | str = "cpu",
    max_hours: float | None = None,
    part: tuple[int, int] = (0, 1),
) -> Speech:
    """Read a folder of speech onto ``device``.

    Args:
        folder: As `training/speak.py` writes it.
        device: Where the samples go; an hour is 173 MB.
        max_hours: Stop reading after about so much.
        part: (i, n): only every n-th file, from the i-th on.

    Raises:
        FileNotFoundError: No index there, or an index without its samples.
    """
    parts, utterances, total = [], [], 0
    indexes = sorted(folder.glob("index-*.jsonl"))
    if not indexes:
        raise FileNotFoundError(f"no index-*.jsonl in {folder}")
    for index in indexes[part[0] :: part[1]]:
        samples = np.fromfile(
            folder / index.name.replace("index-", "audio-").replace(".jsonl", ".s16"), dtype="<i2"
        )
        for line in index.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["offset"] + row["num_samples"] > len(samples):
                continue  # the index is flushed apart from the samples; a killed writer may leave it ahead
            start = total + row["offset"]
            utterances.append(Utterance(row["id"], row["text"], start, row["num_samples"]))
        parts.append(torch.from_numpy(samples).to(device))
        total += len(samples)
        if max_hours is not None and total > max_hours * 3600 * 24_000:
            break
    return Speech(torch.cat(parts), utterances)
