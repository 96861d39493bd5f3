"""Which requests are with the engine, for how long, and what is to be done when it fails, dies or hangs.

About twice the batch is kept in flight, so that a slot that falls free is filled at once. When the process dies,
every request in flight is a suspect: they are taken again, fewer at a time, until they have come through or the
one that kills it is alone. No request is blamed on the word of an engine that may itself be broken: what failed is
held until a probe, a request that is known to work, has come through after it. Pure bookkeeping: no process, no
clock of its own.
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
    is_probe: bool = False
    """nobody waits for it: it tells whether the engine works"""
    error: str = ""
    """why it is held"""
    is_refused: bool = False
    """its arguments were not taken: no work of the engine's was at fault"""
    is_culprit: bool = False
    """it is held because the engine did not survive it, not for an answer"""


class Window:
    """Requests in flight, those to be sent again, and those that have failed and await the engine's proof."""

    def __init__(self, max_batch_size: int):
        self._full = WINDOW_BATCHES * max_batch_size
        self._size = self._full
        self._in_flight: dict[int, Flight] = {}
        self._again: deque[Flight] = deque()
        self._held: list[Flight] = []
        self._probe: Flight | None = None
        self._probed: list[Flight] = []
        """held when the probe was sent: those it speaks for"""
        self._next_number = 0
        self._num_suspects = 0

    @property
    def num_free(self) -> int:
        """How many more may be in flight now.

        What was answered with an error takes room, so that an engine that fails everything does not read a whole
        book. While suspects are told apart, a probe is alone with the engine.
        """
        if self._probe is not None and self._size < self._full:
            return 0
        num_failed = sum(not flight.is_culprit for flight in self._held)
        return max(0, self._size - len(self._in_flight) - num_failed)

    @property
    def num_again(self) -> int:
        """How many wait to be sent again; they go before new ones."""
        return len(self._again)

    @property
    def held(self) -> tuple[Flight, ...]:
        """Those that have failed and await a probe."""
        return tuple(self._held)

    @property
    def wants_probe(self) -> bool:
        """Whether something is held and no probe is out."""
        return bool(self._held) and self._probe is None

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._in_flight) or self._probe is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight, held or to be sent again."""
        return not self._in_flight and not self._again and not self._held

    def admit(self, request: TokenRequest, max_tokens: int, now: float) -> Flight:
        """Note a request that is being sent for the first time."""
        return self._launch(Flight(0, request, max_tokens), now)

    def readmit(self, now: float) -> Flight:
        """Note the next of those that are sent again; it gets a new number, so late answers are not mistaken."""
        return self._launch(self._again.popleft(), now)

    def probe(self, request: TokenRequest, max_tokens: int, now: float) -> Flight:
        """Note a request that is known to work, sent to see whether the engine does."""
        self._probe = Flight(self._new_number(), request, max_tokens, now, is_probe=True)
        self._probed = list(self._held)
        return self._probe

    def answered(self, number: int) -> Flight | None:
        """Take out the request that was answered; None for one that is not awaited any more.

        The caller says next what the answer was: `came_through`, `hold`, `release` or `died`.
        """
        if self._probe is not None and number == self._probe.number:
            probe, self._probe = self._probe, None
            return probe
        return self._in_flight.pop(number, None)

    def came_through(self, flight: Flight) -> None:
        """Note that a request is no suspect any more; without suspects the window is as wide as ever."""
        if flight.is_suspect:
            flight.is_suspect = False
            self._num_suspects -= 1
            if not self._num_suspects:
                self._size = self._full

    def hold(self, flight: Flight, error: str, *, is_refused: bool = False) -> None:
        """Keep an answered request that failed until it is known whose fault that was."""
        flight.error, flight.is_refused = error, is_refused
        self._held.append(flight)

    def release(self) -> list[Flight]:
        """Return the requests that failed while the engine worked, as the probe's answer has shown."""
        probed = set(self._probed)
        released = [flight for flight in self._held if flight in probed]
        self._held = [flight for flight in self._held if flight not in probed]
        self._probed = []
        for flight in released:
            self.came_through(flight)
        return released

    def overdue_since(self) -> float | None:
        """Return when the longest-waiting request was sent; they lie in the order in which they were sent."""
        first = next(iter(self._in_flight.values()), None)
        return min((flight.sent_at for flight in (first, self._probe) if flight is not None), default=None)

    def died(self, reason: str) -> None:
        """Put what was in flight or has failed back, before what waits already, and shrink the window.

        A request that was alone with the engine for the second time is a culprit: it is held, and given up once a
        process has shown that it works.

        Args:
            reason: For people.
        """
        suspects = [*(flight for flight in self._held if not flight.is_culprit), *self._in_flight.values()]
        culprits = [flight for flight in self._held if flight.is_culprit]
        is_found = len(suspects) == 1 and self._size == 1 and suspects[0].is_suspect
        if suspects and not is_found:
            self._put_back(suspects, are_suspects=True)
        self._forget()
        self._held = culprits
        if is_found:
            self._convict(suspects[0], reason)

    def hung(self, sent_before: float, reason: str, *, stands_still: bool) -> None:
        """Put everything back as after a death; hold requests that have hung too often.

        Args:
            sent_before: What was sent before and is unanswered has hung.
            reason: For people.
            stands_still: Nothing else has been answered either: then it is the engine, unless one is alone with it.
        """
        flights = list(self._in_flight.values())
        overdue = [flight for flight in flights if flight.sent_at <= sent_before]
        for flight in overdue:
            flight.num_hangs += 1
        if stands_still and len(flights) != 1:
            self.died(reason)
            return
        culprits = [flight for flight in overdue if flight.num_hangs >= MAX_HANGS]
        held = self._held
        self._put_back([flight for flight in flights if flight not in culprits], are_suspects=False)
        self._held = held
        for flight in [*held, *culprits]:
            flight.is_suspect = False
        for flight in culprits:
            self._convict(flight, reason)

    def clear(self) -> None:
        """Forget all requests; answers that still come are strangers'."""
        self._forget()
        self._again.clear()
        self._size = self._full
        self._num_suspects = 0

    def _launch(self, flight: Flight, now: float) -> Flight:
        flight.number = self._new_number()
        flight.sent_at = now
        self._in_flight[flight.number] = flight
        return flight

    def _new_number(self) -> int:
        self._next_number += 1
        return self._next_number - 1

    def _convict(self, flight: Flight, reason: str) -> None:
        self.came_through(flight)
        flight.is_culprit = True
        self.hold(flight, f"the engine did not survive it: {reason}")

    def _forget(self) -> None:
        """Await no answer any more, and hold nothing."""
        self._in_flight, self._held = {}, []
        self._probe, self._probed = None, []

    def _put_back(self, flights: list[Flight], *, are_suspects: bool) -> None:
        """Let ``flights`` be the first to be sent again, and the only suspects or none."""
        self._forget()
        self._again.extendleft(reversed(flights))
        for flight in self._again:
            flight.is_suspect = False
        for flight in flights:
            flight.is_suspect = are_suspects
        self._num_suspects = len(flights) if are_suspects else 0
        self._size = max(1, len(flights) // SHRINK) if self._num_suspects else self._full
