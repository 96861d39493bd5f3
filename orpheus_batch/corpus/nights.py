"""When a night ends: at a time of day, after so long, or with so much audio."""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orpheus_batch.errors import ConfigError

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|min|h|d)")


@dataclass
class Night:
    """What a run may take."""

    max_wall_s: float = math.inf
    """from now"""
    max_audio_s: float = math.inf
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def is_over(self, audio_s: float) -> bool:
        """Return whether nothing more is to be begun, ``audio_s`` of speech being made."""
        return audio_s >= self.max_audio_s or self.clock() - self._started >= self.max_wall_s


def make_night(
    until: str | None = None, budget: str | None = None, hours: float | None = None, now: datetime | None = None
) -> Night:
    """Return the night of a command line; of several limits the first one reached counts.

    Args:
        until: "06:00": the next time that a clock here shows it.
        budget: "8h", "90m", "1h30m".
        hours: Of audio.
        now: For tests.

    Raises:
        ConfigError: One of them can't be read.
    """
    max_wall_s = math.inf
    if until is not None:
        match = _CLOCK.fullmatch(until.strip())
        if not match:
            raise ConfigError(f"--until {until}: write a time of day, such as 06:00")
        now = now or datetime.now()
        end = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
        if end <= now:
            end += timedelta(days=1)
        max_wall_s = (end - now).total_seconds()
    if budget is not None:
        parts = _SPAN.findall(budget.strip())
        if not parts or "".join(number + unit for number, unit in parts) != budget.strip():
            raise ConfigError(f"--budget {budget}: write a time, such as 8h, 90m or 1h30m")
        max_wall_s = min(max_wall_s, sum(float(number) * _UNITS[unit] for number, unit in parts))
    if hours is not None and not hours > 0:
        raise ConfigError(f"--hours {hours}: write hours of audio, above 0")
    return Night(max_wall_s, math.inf if hours is None else hours * 3600)
