"""When each sentence is heard in a file, for reading along: SubRip or JSON. It knows no sound."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orpheus_batch.units import SAMPLE_RATE_HZ

CueFormat = Literal["srt", "json"]


@dataclass(frozen=True, slots=True)
class TextCue:
    """A segment's words, where they stand in the source and where they are heard."""

    segment_id: str
    text: str
    """as it is spoken"""
    chapter_title: str
    source_start: int
    """first character in the book's source"""
    source_end: int
    start_sample: int
    """in the file, at 24 kHz"""
    num_samples: int


def format_cues(cues: Sequence[TextCue], cue_format: CueFormat) -> str:
    """Return a file's cues; segments without sound are left out.

    SubRip knows milliseconds; JSON has the exact sample beside the seconds.
    """
    heard = [cue for cue in cues if cue.num_samples]
    if cue_format == "srt":
        blocks = (
            f"{number}\n{_time(cue.start_sample)} --> {_time(cue.start_sample + cue.num_samples)}\n{cue.text}\n"
            for number, cue in enumerate(heard, start=1)
        )
        return "\n".join(blocks)
    listed = [
        {
            "segment_id": cue.segment_id,
            "text": cue.text,
            "chapter": cue.chapter_title,
            "source": [cue.source_start, cue.source_end],
            "start_sample": cue.start_sample,
            "num_samples": cue.num_samples,
            "start_s": round(cue.start_sample / SAMPLE_RATE_HZ, 6),
            "end_s": round((cue.start_sample + cue.num_samples) / SAMPLE_RATE_HZ, 6),
        }
        for cue in heard
    ]
    return json.dumps({"sample_rate_hz": SAMPLE_RATE_HZ, "cues": listed}, ensure_ascii=False, indent=1) + "\n"


def _time(sample: int) -> str:
    milliseconds = round(sample * 1000 / SAMPLE_RATE_HZ)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},{milliseconds:03d}"
