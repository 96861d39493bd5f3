"""Which requests are with the engine, for how long, and what is to be done when it dies or hangs.

About twice the batch is kept in flight, so that a slot that falls free is filled at once. When the process dies,
every request in flight is a suspect: they are taken again, fewer at a time, until they have come through or the
one that kills it is alone and is given up. Pure bookkeeping: no process, no clock of its own.
"""

from collections import deque
from dataclasses import dataclass

from orpheus_batch.data import TokenRequest

WINDOW_BATCHES = 2
SHRINK = 8
"""after a death so many-th part of the suspects is sent at a time: a culprit among 2,048 is alone after five deaths"""
MAX_HANGS = 2
"""a request that outlasts the watchdog so often is given up"""


@dataclass(slots=True, eq=False)
class Flight:
    """One request on its way."""

    number: int
    request: TokenRequest
    max_tokens: int
    sent_at: float = 0.0
    num_hangs: int = 0
    is_suspect: bool = False
    """it was in flight when the engine last died"""


class Window:
    """Requests in flight and those to be sent again."""

    def __init__(self, max_batch_size: int):
        self._full = WINDOW_BATCHES * max_batch_size
        self._size = self._full
        self._in_flight: dict[int, Flight] = {}
        self._again: deque[Flight] = deque()
        self._next_number = 0
        self._num_suspects = 0

    @property
    def num_free(self) -> int:
        """How many more may be in flight now."""
        return max(0, self._size - len(self._in_flight))

    @property
    def num_again(self) -> int:
        """How many wait to be sent again; they go before new ones."""
        return len(self._again)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight or waiting."""
        return not self._in_flight and not self._again

    def admit(self, request: TokenRequest, max_tokens: int, now: float) -> Flight:
        """Note a request that is being sent for the first time."""
        flight = Flight(self._next_number, request, max_tokens, now)
        self._next_number += 1
        self._in_flight[flight.number] = flight
        return flight

    def readmit(self, now: float) -> Flight:
        """Note the next of those that are sent again; it gets a new number, so late answers are not mistaken."""
        flight = self._again.popleft()
        flight.number = self._next_number
        flight.sent_at = now
        self._next_number += 1
        self._in_flight[flight.number] = flight
        return flight

    def answered(self, number: int) -> Flight | None:
        """Take out the request that was answered; None for one that is not awaited any more."""
        flight = self._in_flight.pop(number, None)
        if flight is not None and flight.is_suspect:
            self._num_suspects -= 1
            if not self._num_suspects:
                self._size = self._full
        return flight

    def oldest_sent_at(self) -> float | None:
        """Return when the longest-waiting request was sent."""
        return min((flight.sent_at for flight in self._in_flight.values()), default=None)

    def died(self) -> list[Flight]:
        """Put everything in flight back, before what waits already, and shrink the window.

        Returns:
            Those to give up: a request that was alone with the engine when it died.
        """
        given_up = []
        if len(self._in_flight) == 1 and self._size == 1:
            given_up = [flight for flight in self._in_flight.values() if flight.is_suspect]
        rest = [flight for flight in self._in_flight.values() if flight not in given_up]
        self._put_back(rest, are_suspects=True)
        return given_up

    def hung(self, sent_before: float) -> list[Flight]:
        """Do as after a death, and give up requests that have hung too often.

        Args:
            sent_before: What was sent before and is unanswered has hung.

        Returns:
            Those to give up.
        """
        overdue = [flight for flight in self._in_flight.values() if flight.sent_at <= sent_before]
        for flight in overdue:
            flight.num_hangs += 1
        # one alone is the culprit itself; several are an engine that stands still: fewer are sent, until one is left
        is_found = len(overdue) == 1
        given_up = [flight for flight in overdue if is_found and flight.num_hangs >= MAX_HANGS]
        rest = [flight for flight in self._in_flight.values() if flight not in given_up]
        self._put_back(rest, are_suspects=not is_found)
        return given_up

    def clear(self) -> None:
        """Forget all requests; answers that still come are strangers'."""
        self._in_flight.clear()
        self._again.clear()
        self._size = self._full
        self._num_suspects = 0

    def _put_back(self, flights: list[Flight], *, are_suspects: bool) -> None:
        """Let ``flights`` be the first to be sent again, and the only suspects or none."""
        self._again.extendleft(reversed(flights))
        for flight in self._again:
            flight.is_suspect = False
        for flight in flights:
            flight.is_suspect = are_suspects
        self._in_flight = {}
        self._num_suspects = len(flights) if are_suspects else 0
        self._size = max(1, len(flights) // SHRINK) if self._num_suspects else self._full
