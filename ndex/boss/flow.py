"""How many requests for voxels are under way at once: found out by trying, as TCP finds out the width of a line.

It begins with few. As long as all turns are wanted, twice as many are tried, and kept if clearly more bytes get
through; when they do not, the line, the server or this machine is at its limit, and it goes back. An answer that asks
for patience, or a broken connection, halves the number.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import TransientError

FIRST = 4
"""Requests to begin with."""
BETTER = 1.25
"""By how much more must get through for a larger number to be kept."""
REST = 8
"""Rounds after a number that was not better until a larger one is tried again. A round: as many requests as may be
under way."""

FADING = 1 / 8
"""What is left of the weight of what was seen with another number of requests."""

TELLING = 12
"""Requests after which a line is known: a few are over before it is busy."""


@dataclass(frozen=True)
class Line:
    """A line to a BOSS, as its requests have seen it."""

    latency: float
    """Seconds that a request took besides its bytes."""
    bandwidth: float
    """Bytes per second that got through: the line may be wider."""


@dataclass
class Turn:
    """One request under way."""

    before: int
    """What `Flow` has seen of trouble when it began."""
    begun: float
    """By the clock of the flow."""
    nbytes: int = 0
    """That it has moved; for the one who has the turn to say."""
    trouble: bool = False
    """Whether it failed in a way that may pass by itself."""


class Flow:
    """Turns for the requests of one process to one BOSS, for any number of threads."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`most` is what the user allows."""
        self._most = most
        self._clock = clock
        self._turn = threading.Condition()
        self.allowed = min(FIRST, most)
        """Requests that may be under way now."""
        self.width: float | None = None
        """Bytes per second that get through however many requests are under way; None as long as that is not known."""
        self._rate = 0.0
        """Bytes per second that got through with as many requests as are allowed, when that was last seen."""
        self._under_way = 0
        self._before = self.allowed
        """What was allowed before a larger number was tried; the same when none is being tried."""
        self._rest = 0
        self._trouble = 0
        """How often the number was halved."""
        self._shortest: tuple[float, int] | None = None
        """Seconds and bytes of the request that took the least time."""
        self._through = (0.0, 0.0, 0)
        """Seconds, bytes and requests of the rounds in which all turns were wanted; those with another number count
        less."""
        self._begin_round()

    @property
    def line(self) -> Line | None:
        """What is known of the line; None as long as too few requests have gone through while all turns were wanted."""
        with self._turn:
            through_seconds, through_bytes, requests = self._through
            if self._shortest is None or not through_bytes or requests < TELLING:
                return None
            seconds, nbytes = self._shortest
            bandwidth = through_bytes / through_seconds
            return Line(max(0.0, seconds - nbytes / bandwidth), bandwidth)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Waits for a turn, and holds it during a request. A TransientError that leaves it is taken for a sign of too
        many requests."""
        with self._turn:
            self._turn.wait_for(lambda: self._under_way < self.allowed)
            self._under_way += 1
            self._full |= self._under_way == self.allowed
            turn = Turn(self._trouble, self._clock())
        try:
            yield turn
        except TransientError:
            turn.trouble = True
            raise
        finally:
            self._end(turn)

    def _end(self, turn: Turn) -> None:
        with self._turn:
            self._under_way -= 1
            self._nbytes += turn.nbytes
            self._requests += 1
            self._time(turn)
            if turn.trouble and turn.before == self._trouble:  # those that failed together count once
                self._trouble += 1
                self._rate, self.width = 0.0, None
                self._allow(max(1, self.allowed // 2))
                self._rest = REST
            elif self._requests >= self.allowed:
                self._judge()
            self._turn.notify_all()

    def _time(self, turn: Turn) -> None:
        seconds = self._clock() - turn.begun
        if turn.nbytes and not turn.trouble and (self._shortest is None or seconds < self._shortest[0]):
            self._shortest = seconds, turn.nbytes

    def _judge(self) -> None:
        """At the end of a round. One in which not all turns were wanted says nothing of the line."""
        seconds = self._clock() - self._begun
        if not self._full or seconds <= 0:
            self._begin_round()
            return
        rate = self._nbytes / seconds
        past_seconds, past_bytes, past_requests = self._through
        self._through = past_seconds + seconds, past_bytes + self._nbytes, past_requests + self._requests
        if self.allowed > self._before and rate < BETTER * self._rate:
            self.width = rate
            self._rest = REST
            self._allow(self._before)
            return
        if self.allowed > self._before:
            self.width = None
        self._rate = rate
        self._rest = max(0, self._rest - 1)
        before = self.allowed
        self._allow(before if self._rest else min(2 * before, self._most))
        self._before = before

    def _allow(self, number: int) -> None:
        if number != self.allowed:
            seconds, nbytes, requests = self._through
            self._through = seconds * FADING, nbytes * FADING, requests
        self.allowed = self._before = number
        self._begin_round()

    def _begin_round(self) -> None:
        self._begun = self._clock()
        self._requests = 0
        self._nbytes = 0
        self._full = False
