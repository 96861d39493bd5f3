"""What a run tells while it goes on, and the arithmetic of how fast it is and how long it will take.

A watcher overrides what it cares about; the line works without one. How it is drawn is not known here.
"""

import time
from collections.abc import Callable


class Progress:
    """Hears of a run's steps, in the run's own thread; a method that raises ends the run."""

    def planned(self, num_segments: int, num_pending: int, pending_audio_s: float) -> None:
        """All books are read.

        Args:
            num_segments: Distinct segments of the books, whether done or not.
            num_pending: Those still to be generated.
            pending_audio_s: How long those will play, predicted from the text, in seconds.
        """

    def loading(self, what: str) -> None:
        """A model ("language model", "codec") is about to be loaded."""

    def loaded(self, what: str, elapsed_s: float) -> None:
        """It is loaded and took so long."""

    def generated(self, chapter_title: str, predicted_s: float, audio_s: float) -> None:
        """The engine finished a stream; it is not yet checked.

        Args:
            chapter_title: Of the segment's chapter.
            predicted_s: What the text had promised, in seconds.
            audio_s: What the stream will play, in seconds.
        """

    def settled(self, num_segments: int) -> None:
        """So many segments more are recorded for good and will not be taken again."""

    def retake(self, predicted_s: float, audio_s: float) -> None:
        """A stream of ``audio_s`` was refused: its segment joins the queue again."""

    def encoded(self, path: str, duration_s: float) -> None:
        """A chapter file is finished and playable."""

    def told(self, text: str) -> None:
        """Something worth knowing beforehand: how long a step will take."""

    def book_failed(self, source: str, error: str) -> None:
        """A book can't be done; the run goes on with the others."""


SURE_SHARE, SURE_S = 0.05, 60.0
"""From when on the time left can be told: a share of the work, or seconds, whichever comes first."""


class Meter(Progress):
    """Counts a run: how much is done, how fast, and for how long it will go on.

    Work is measured in seconds of predicted audio, not in segments, for a segment may be a word or three lines;
    a retake is new work. The clock stands still while models load.

    Args:
        check: Called at every step; what it raises ends the run.
        clock: Seconds from any beginning.
    """

    def __init__(self, check: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.monotonic):
        self._check = check
        self._clock = clock
        self._started: float | None = None
        self._paused_at: float | None = None
        self._paused_s = 0.0
        self.chapter_title = ""
        self.num_segments = 0
        self.num_done = 0
        self.total_s = 0.0
        """predicted audio to be generated in this run, retakes included"""
        self.done_s = 0.0
        """the part of it that is generated, still as predicted"""
        self.audio_s = 0.0
        """audio really made; refused takes left out"""

    def planned(self, num_segments: int, num_pending: int, pending_audio_s: float) -> None:
        """Start the clock."""
        self.num_segments, self.num_done = num_segments, num_segments - num_pending
        self.total_s = pending_audio_s
        self._started = self._clock()

    def loading(self, what: str) -> None:
        """Stop the clock."""
        self._paused_at = self._clock()

    def loaded(self, what: str, elapsed_s: float) -> None:
        """Let the clock go on."""
        self._check()
        if self._paused_at is not None:
            self._paused_s += self._clock() - self._paused_at
            self._paused_at = None

    def generated(self, chapter_title: str, predicted_s: float, audio_s: float) -> None:
        """Count a stream."""
        self._check()
        self.chapter_title = chapter_title
        self.done_s += predicted_s
        self.audio_s += audio_s

    def settled(self, num_segments: int) -> None:
        """Count finished segments."""
        self._check()
        self.num_done += num_segments

    def retake(self, predicted_s: float, audio_s: float) -> None:
        """Count new work, and take back what was made in vain."""
        self.total_s += predicted_s
        self.audio_s -= audio_s

    def encoded(self, path: str, duration_s: float) -> None:
        """Count nothing."""
        self._check()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the books were read, loading of models left out."""
        if self._started is None:
            return 0.0
        now = self._clock() if self._paused_at is None else self._paused_at
        return now - self._started - self._paused_s

    @property
    def speedup(self) -> float | None:
        """Seconds of audio made a second; None as long as there is none."""
        elapsed_s = self.elapsed_s
        return self.audio_s / elapsed_s if self.audio_s > 0 and elapsed_s > 0 else None

    @property
    def remaining_s(self) -> float | None:
        """Seconds until all is generated at the speed so far; None as long as nothing can be said.

        The first streams to end are short ones, out of a batch of which the rest is not counted yet: their speed
        says nothing. So nothing is said before `SURE_SHARE` of the work or `SURE_S` seconds.
        """
        if self.done_s <= 0 or (self.done_s < SURE_SHARE * self.total_s and self.elapsed_s < SURE_S):
            return None
        return max(0.0, self.total_s - self.done_s) * self.elapsed_s / self.done_s
