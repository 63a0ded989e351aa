"""Processes on a clock of their own: generators that say how long something takes or what they wait for."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count


class Mark:
    """Something that happens once, and that processes wait for."""

    def __init__(self) -> None:
        self.passed = False
        self.waiting: list[tuple[Process, Mark]] = []


Process = Generator[float | Mark, None, None]
"""Yields the seconds until it goes on, or a mark."""


class Clock:
    """Seconds that pass as fast as they can be computed."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Process, Mark]] = []
        self._number = count()  # of what is due at the same time, the first comes first

    def start(self, process: Process) -> Mark:
        """Begins a process now; what is given back is passed when it ends."""
        end = Mark()
        self._push(self.now, process, end)
        return end

    def pass_by(self, mark: Mark) -> None:
        """What waits for the mark goes on."""
        mark.passed = True
        for process, end in mark.waiting:
            self._push(self.now, process, end)

    def run(self) -> None:
        """Until nothing is left to do."""
        while self._due:
            self.now, _, process, end = heapq.heappop(self._due)
            self._go_on(process, end)

    def _go_on(self, process: Process, end: Mark) -> None:
        for step in process:
            if isinstance(step, Mark):
                if not step.passed:
                    step.waiting.append((process, end))
                    return
            elif step > 0:
                self._push(self.now + step, process, end)
                return
        self.pass_by(end)

    def _push(self, at: float, process: Process, end: Mark) -> None:
        heapq.heappush(self._due, (at, next(self._number), process, end))


class Gate:
    """Lets as many in as there are places, in the order in which they come."""

    def __init__(self, clock: Clock, places: Callable[[], float]) -> None:
        self._clock, self._places = clock, places
        self._inside = 0
        self._queue: deque[Mark] = deque()

    def enter(self) -> Process:
        """Waits for a place."""
        if self._inside < self._places():
            self._inside += 1
            return
        turn = Mark()
        self._queue.append(turn)
        yield turn

    def leave(self) -> None:
        """Gives the place back; whoever is next comes in."""
        self._inside -= 1
        while self._queue and self._inside < self._places():
            self._inside += 1
            self._clock.pass_by(self._queue.popleft())

    @contextmanager
    def left(self) -> Iterator[None]:
        """Leaves at the end, for one who has entered."""
        yield
        self.leave()


class Wire:
    """One piece after the other, as fast as the line is."""

    def __init__(self, clock: Clock, bandwidth: float) -> None:
        self._clock, self._bandwidth = clock, bandwidth
        self._free = 0.0

    def carry(self, nbytes: float) -> Process:
        """Waits until a piece is through, behind those that came before."""
        self._free = max(self._free, self._clock.now) + nbytes / self._bandwidth
        yield self._free - self._clock.now


def inside(gate: Gate, process: Process) -> Process:
    """A process that waits for a place first, and gives it back at the end."""
    yield from gate.enter()
    with gate.left():
        yield from process


def busy(cores: Gate, seconds: float) -> Process:
    """Work that keeps a core busy."""
    if seconds > 0:
        yield from cores.enter()
        with cores.left():
            yield seconds


def nothing() -> Process:
    """A process that is over at once."""
    yield from ()
