"""How long workers take, found out by letting them work on a clock that needs no time.

They do what `ndex.bands` and `ndex.transfer` do: bands are read ahead of the writing, blocks are packed by the worker
and sent by threads of its own, a task ends when all of it has arrived. How many requests are under way decides the same
`Flow` as in a run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from .boss.flow import Flow, Turn
from .clockwork import Clock, Gate, Mark, Process, Wire, busy, inside, nothing

Band = tuple[float, ...]
"""Bytes of each block."""


@dataclass(frozen=True)
class Load:
    """A task."""

    bands: tuple[Band, ...]
    checked: bool = False
    """Whether it is read back."""


@dataclass(frozen=True)
class End:
    """What a byte costs at one end of the transfer."""

    boss: bool
    """Whether it is reached by requests for blocks; other ends are only worked for."""
    get: float
    """Seconds of a core to make voxels of a byte, or to unpack them."""
    put: float
    """Seconds of a core to pack or write them."""
    packed: float = 1.0
    """Bytes on the line for each byte of voxels: those of the destination, in both ends."""

    def slower(self, times: float) -> End:
        """With cores that take so many times as long."""
        return replace(self, get=self.get * times, put=self.put * times)


@dataclass(frozen=True)
class Crew:
    """Who works, and with what."""

    source: End
    destination: End
    latency: float
    """Seconds of a request besides its bytes."""
    bandwidth: float
    """Bytes per second, in each direction, of all machines together."""
    machines: int
    cores: float
    """Of a machine."""
    processes: int
    """Of a machine."""
    workers: int
    """Of a process."""
    most: int
    """Requests that a process may have under way."""
    at_once: int
    ahead: int
    """As in the plan."""
    per_request: float
    """Seconds of a core that a request costs whatever its size."""
    per_task: float
    """Seconds that a task costs whatever its size."""

    @property
    def total(self) -> int:
        """All workers."""
        return self.machines * self.processes * self.workers


def seconds_for(crew: Crew, loads: Sequence[Load]) -> float:
    """From the first task to the end of the last."""
    clock = Clock()
    up, down = Wire(clock, crew.bandwidth), Wire(clock, crew.bandwidth)
    tasks = iter(loads)
    for _ in range(crew.machines):
        cores = Gate(clock, lambda: crew.cores)
        for _ in range(crew.processes):
            source, destination = (_Boss(crew, clock, cores, up, down) for _ in range(2))
            for _ in range(crew.workers):
                clock.start(_Worker(crew, clock, cores, source, destination).work_off(tasks))
    clock.run()
    return clock.now


class _Boss:
    """The requests of one process to one BOSS."""

    def __init__(self, crew: Crew, clock: Clock, cores: Gate, up: Wire, down: Wire) -> None:
        self._crew, self._clock, self._cores, self._up, self._down = crew, clock, cores, up, down
        self._flow = Flow(crew.most, lambda: clock.now)
        self._queue: deque[Mark] = deque()
        self._held: dict[Mark, tuple[ExitStack, Turn]] = {}

    @property
    def allowed(self) -> int:
        return self._flow.allowed

    def get(self, nbytes: float, unpacking: float) -> Process:
        yield from self._in_turn(nbytes, [self._crew.latency], self._down, busy(self._cores, unpacking))

    def put(self, nbytes: float) -> Process:
        yield from self._in_turn(nbytes, [], self._up, [self._crew.latency])

    def _in_turn(self, nbytes: float, before: list[float], wire: Wire, after: Iterable[float | Mark] = ()) -> Process:
        mine = Mark()
        self._queue.append(mine)
        self._admit()
        yield mine
        yield from busy(self._cores, self._crew.per_request)
        yield from before
        yield from wire.carry(nbytes)
        yield from after
        held, turn = self._held.pop(mine)
        turn.nbytes = round(nbytes)
        held.close()
        self._admit()

    def _admit(self) -> None:
        """Turns are taken only while there are some: where there are none, the flow would let a thread wait."""
        while self._queue and len(self._held) < self._flow.allowed:
            first, held = self._queue.popleft(), ExitStack()
            self._held[first] = held, held.enter_context(self._flow.turn())
            self._clock.pass_by(first)


class _Worker:
    """One task after the other."""

    def __init__(self, crew: Crew, clock: Clock, cores: Gate, source: _Boss, destination: _Boss) -> None:
        self._crew, self._clock, self._cores = crew, clock, cores
        self._source, self._destination = source, destination

    def work_off(self, tasks: Iterator[Load]) -> Process:
        for task in tasks:
            yield from self._move(task)
            if task.checked:
                yield from self._check(task)
            yield self._crew.per_task

    def _move(self, task: Load) -> Process:
        crew = self._crew
        slots = Gate(self._clock, lambda: min(crew.at_once, self._destination.allowed))
        sent: list[Mark] = []

        def depth() -> int:
            worth = -(-self._source.allowed // max(1, len(task.bands[0]))) if crew.source.boss else 1
            return min(worth, crew.ahead)

        def read(band: Band) -> Process:
            return self._fetch(band, self._source, crew.source)

        def write(band: Band) -> Process:
            return self._write(band, slots, sent)

        yield from self._ahead(task.bands, crew.ahead, depth, read, write)
        yield from sent

    def _check(self, task: Load) -> Process:
        crew = self._crew
        most = min(1, crew.ahead)

        def read(band: Band) -> Process:
            return self._fetch(band, self._destination, crew.destination)

        yield from self._ahead(task.bands, most, lambda: most, read, lambda band: nothing())

    def _ahead(
        self,
        bands: Sequence[Band],
        most: int,
        depth: Callable[[], int],
        read: Callable[[Band], Process],
        use: Callable[[Band], Process],
    ) -> Process:
        """As `ndex.bands.ahead`."""
        items = iter(bands)
        if not most:
            for band in items:
                yield from read(band)
                yield from use(band)
            return
        pool = Gate(self._clock, lambda: most)
        coming: deque[tuple[Band, Mark]] = deque()

        def submit() -> None:
            while len(coming) < depth() and (band := next(items, None)) is not None:
                coming.append((band, self._clock.start(inside(pool, read(band)))))

        while True:
            submit()
            if not coming:
                return
            band, ready = coming.popleft()
            yield ready
            submit()
            yield from use(band)

    def _fetch(self, band: Band, boss: _Boss, end: End) -> Process:
        if not end.boss:
            yield from busy(self._cores, sum(band) * end.get)
            return
        slots = Gate(self._clock, lambda: self._crew.at_once)
        yield from [self._clock.start(inside(slots, self._get(block, boss, end))) for block in band]

    def _get(self, block: float, boss: _Boss, end: End) -> Process:
        yield from boss.get(block * end.packed, block * end.get)

    def _write(self, band: Band, slots: Gate, sent: list[Mark]) -> Process:
        end = self._crew.destination
        for block in band:
            if end.boss:
                yield from slots.enter()
            yield from busy(self._cores, block * end.put)
            if end.boss:
                sent.append(self._clock.start(self._put(block * end.packed, slots)))

    def _put(self, nbytes: float, slots: Gate) -> Process:
        with slots.left():
            yield from self._destination.put(nbytes)
