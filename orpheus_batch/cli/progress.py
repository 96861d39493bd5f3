"""How a run's progress looks on stderr: one bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from orpheus_batch.pipeline.progress import Meter
from orpheus_batch.units import format_duration

if TYPE_CHECKING:
    from tqdm import tqdm

LINE_EVERY_S = 30.0
"""between two lines of a log that nobody watches live"""


class Lines(Meter):
    """Sparse lines on stderr, for logs."""

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__(check)
        self._next_line_at = 0.0

    def loading(self, what: str) -> None:
        """Say so."""
        super().loading(what)
        self._say(f"loading the {what}")

    def generated(self, chapter_title: str, predicted_s: float, audio_s: float) -> None:
        """Say how far it is, if the last line is long ago."""
        super().generated(chapter_title, predicted_s, audio_s)
        now = time.monotonic()
        if now >= self._next_line_at:
            self._next_line_at = now + LINE_EVERY_S
            self._say(describe(self))

    def encoded(self, path: str, duration_s: float) -> None:
        """Name the file."""
        super().encoded(path, duration_s)
        self._say(f"{path} ({format_duration(duration_s)})")

    def told(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def book_failed(self, source: str, error: str) -> None:
        """Say so at once; the end of the run says it again."""
        self._say(named(source, error))

    def _say(self, text: str) -> None:
        click.echo(text, err=True)


class Bar(Meter):
    """One tqdm bar. Its length is predicted audio, so that it moves as the work does."""

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__(check)
        self._bar: tqdm | None = None

    def planned(self, num_segments: int, num_pending: int, pending_audio_s: float) -> None:
        """Open the bar, if there is anything to generate."""
        super().planned(num_segments, num_pending, pending_audio_s)
        if num_pending:
            from tqdm import tqdm

            self._bar = tqdm(
                total=pending_audio_s,
                desc=describe(self),
                bar_format="{percentage:3.0f}%|{bar}| {desc}",
                file=sys.stderr,
                dynamic_ncols=True,
                mininterval=0.2,
                leave=False,
            )

    def loading(self, what: str) -> None:
        """Say so in the bar."""
        super().loading(what)
        self._draw(f"loading the {what}")

    def loaded(self, what: str, elapsed_s: float) -> None:
        """Go back to the numbers."""
        super().loaded(what, elapsed_s)
        self._draw()

    def generated(self, chapter_title: str, predicted_s: float, audio_s: float) -> None:
        """Move the bar."""
        super().generated(chapter_title, predicted_s, audio_s)
        self._draw()

    def settled(self, num_segments: int) -> None:
        """Count on."""
        super().settled(num_segments)
        self._draw()

    def told(self, text: str) -> None:
        """Say it above the bar."""
        self._say(text)

    def book_failed(self, source: str, error: str) -> None:
        """Say so above the bar."""
        self._say(named(source, error))

    def _say(self, text: str) -> None:
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, text: str | None = None) -> None:
        if self._bar is not None:
            self._bar.total = self.total_s
            self._bar.set_description_str(text or describe(self), refresh=text is not None)
            self._bar.update(self.done_s - self._bar.n)


def named(source: str, error: str) -> str:
    """Return the error, with the book before it unless it names the book itself."""
    return error if source in error else f"{source}: {error}"


def describe(meter: Meter) -> str:
    """Return a run's state in a line: chapter, segments, audio made, speed, time left."""
    parts = [meter.chapter_title[:28]] if meter.chapter_title else []
    parts.append(f"{meter.num_done}/{meter.num_segments} segments")
    parts.append(f"{format_duration(meter.audio_s)} made")
    if meter.speedup is not None:
        parts.append(f"{meter.speedup:.1f}x")
    if meter.remaining_s is not None:
        parts.append(f"{format_duration(meter.remaining_s)} left")
    return ", ".join(parts)
