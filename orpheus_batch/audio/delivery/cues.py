"""When each sentence is heard in a file, for reading along: SubRip or JSON. It knows no sound."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orpheus_batch.units import SAMPLE_RATE_HZ

CueFormat = Literal["srt", "json"]


@dataclass(frozen=True, slots=True)
class SegmentCue:
    """What was spoken in one go, and where it is heard."""

    segment_id: str
    text: str
    """as it is spoken"""
    start_sample: int
    """in the file, at 24 kHz"""
    num_samples: int


@dataclass(frozen=True, slots=True)
class SentenceCue:
    """A sentence (or a few short ones that were spoken in one go), where it stands and where it is heard."""

    text: str
    """in the book's own words where they are known, else as it is spoken"""
    chapter_title: str
    source_start: int
    """first character in the book's source"""
    source_end: int
    segments: tuple[SegmentCue, ...]
    """at least one: those that are heard, in order"""

    @property
    def start_sample(self) -> int:
        """In the file, at 24 kHz."""
        return self.segments[0].start_sample

    @property
    def end_sample(self) -> int:
        """One past the last."""
        return self.segments[-1].start_sample + self.segments[-1].num_samples


def format_cues(cues: Sequence[SentenceCue], cue_format: CueFormat) -> str:
    """Return a file's cues: SubRip knows milliseconds, JSON has the exact sample beside the seconds."""
    if cue_format == "srt":
        blocks = (
            f"{number}\n{_time(cue.start_sample)} --> {_time(cue.end_sample)}\n{_srt_text(cue.text)}\n"
            for number, cue in enumerate(cues, start=1)
        )
        return "\n".join(blocks)
    listed = [
        {
            "text": cue.text,
            "chapter": cue.chapter_title,
            "source": [cue.source_start, cue.source_end],
            "start_sample": cue.start_sample,
            "num_samples": cue.end_sample - cue.start_sample,
            "start_s": round(cue.start_sample / SAMPLE_RATE_HZ, 6),
            "end_s": round(cue.end_sample / SAMPLE_RATE_HZ, 6),
            "segments": [
                {
                    "segment_id": segment.segment_id,
                    "spoken": segment.text,
                    "start_sample": segment.start_sample,
                    "num_samples": segment.num_samples,
                }
                for segment in cue.segments
            ],
        }
        for cue in cues
    ]
    return json.dumps({"sample_rate_hz": SAMPLE_RATE_HZ, "cues": listed}, ensure_ascii=False, indent=1) + "\n"


def _srt_text(text: str) -> str:
    """Return a text on one line in which no player sees a new cue."""
    return " ".join(text.split()).replace("-->", "->")


def _time(sample: int) -> str:
    milliseconds = round(sample * 1000 / SAMPLE_RATE_HZ)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},{milliseconds:03d}"
