"""A plan: which pieces of the source become which tasks and blocks. Pure arithmetic over two sets of facts.

A plan holds a few numbers, whatever the size of the volume. Task i is computed when it is asked for, so a plan
travels to workers as it is, and 10^15 voxels cost as little as ten.

The grid belongs to the BOSS end (the destination's, where both are one): tasks and blocks are cut on its cuboids.
What identifies a task (grid, extent, ends) does not depend on the number of workers or shards, so that a job resumes
when these change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from pydantic import TypeAdapter

from .geometry import Box, Span, Tiling, Vec
from .job import Job, Shard
from .volume import Facts, UInt, Volume


@dataclass(frozen=True, slots=True)
class Task:
    """What joblib schedules: a box of the source at one time sample."""

    index: int
    """Place in the whole job, not in the shard."""
    box: Box
    """In the coordinates of the source."""
    t: int


@dataclass(frozen=True, slots=True)
class Cut:
    """How a volume is cut into tasks, the tasks into bands of rows, the bands into blocks."""

    step: Vec
    """Size of a task."""
    origin: Vec
    """A corner of the grid of tasks, in the coordinates of the source."""
    rows: int
    """Height of the band of a task that is in memory at once."""
    block: Vec
    """Size of one request."""
    grid: Vec
    """A corner of the grid of blocks, in the coordinates of the source."""


@dataclass(frozen=True)
class Plan(Sequence[Task]):
    """The tasks of one shard, in order: x fastest, then y, z, t."""

    source: Facts
    target: str
    """Identity of the destination."""
    box: Box
    """What is transferred, in the coordinates of the source."""
    times: Span
    timed: bool
    """Whether time samples are named at all."""
    offset: Vec
    """Destination coordinate = source coordinate + offset."""
    dtype: UInt
    """Of the voxels at the destination."""
    cut: Cut
    shard: Shard
    workers: int
    worker_memory: int
    """Bytes that one worker may hold at once."""
    stamp: str
    """Fingerprint of all that decides which voxels end up where."""
    planes: bool = False
    """Whether the destination takes whole bands of planes, not single blocks."""
    at_once: int = 1
    """Requests that a worker may have under way."""
    ahead: int = 0
    """Bands that a worker may read ahead of the one that it writes."""

    @property
    def by_block(self) -> bool:
        """Whether the source gives single blocks as well as whole bands: its grid is that of the blocks."""
        grid = self.source.grid
        if grid is None:
            return False
        return not any((a - b) % step for a, b, step in zip(self.cut.grid, self.source.corner, grid, strict=True))

    @property
    def tiling(self) -> Tiling:
        """The tasks of one time sample."""
        return Tiling(self.box, self.cut.step, self.cut.origin)

    @property
    def total(self) -> int:
        """Tasks of all shards together."""
        return len(self.tiling) * self.times.size

    @property
    def part(self) -> Span:
        """Indexes of this shard's tasks: parts differ by one task at most and cover the whole."""
        index, count = self.shard.index, self.shard.count
        return Span(self.total * index // count, self.total * (index + 1) // count)

    def __len__(self) -> int:
        return self.part.size

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.task(self.part.start + index % len(self))

    def __iter__(self) -> Iterator[Task]:
        return (self.task(i) for i in range(*self.part))

    def task(self, index: int) -> Task:
        """The task with this index in the whole job."""
        t, i = divmod(index, len(self.tiling))
        return Task(index, self.tiling[i], self.times.start + t)

    def slabs(self, task: Task) -> Tiling:
        """The bands of a task, from top to bottom; one is in memory at a time."""
        cut = self.cut
        top = cut.origin.y if cut.rows == cut.step.y else cut.grid.y
        return Tiling(task.box, cut.step._replace(y=cut.rows), cut.origin._replace(y=top))

    def blocks(self, box: Box) -> Tiling:
        """The requests that make up a box."""
        return Tiling(box, self.cut.block, self.cut.grid)

    @property
    def voxels(self) -> int:
        """Voxels of this shard."""
        return self._over_part(lambda box: box.voxels)

    @property
    def requests(self) -> int:
        """Blocks of this shard."""
        return self._over_part(lambda box: len(self.blocks(box)))

    @property
    def nbytes(self) -> int:
        """Bytes of this shard's voxels at the destination."""
        return self.voxels * self.dtype.itemsize

    @property
    def volume(self) -> Volume:
        """What the destination has to be prepared for."""
        return Volume(
            box=self.box.shift(self.offset),
            dtype=self.dtype,
            times=self.times,
            timed=self.timed,
            offset=self.offset,
            stamp=self.stamp,
            block=self.cut.block,
            at_once=self.at_once,
            voxel_size=self.source.voxel_size,
            voxel_unit=self.source.voxel_unit,
        )

    def is_sampled(self, task: Task) -> bool:
        """Whether `verify: sample` reads this task back: one drawn from each run of up to 16 tasks, at least 4."""
        stride = max(1, min(16, self.total // 4))
        stratum = task.index // stride
        members = min(stride, self.total - stratum * stride)
        draw = hashlib.sha256(f"{self.stamp}:{stratum}".encode()).digest()
        return int.from_bytes(draw[:8], "big") % members == task.index % stride

    def to_json(self) -> str:
        return TypeAdapter(Plan).dump_json(self).decode()

    @staticmethod
    def from_json(text: str) -> Plan:
        return TypeAdapter(Plan).validate_json(text)

    def _over_part(self, measure: Callable[[Box], int]) -> int:
        return self._before(self.part.stop, measure) - self._before(self.part.start, measure)

    def _before(self, index: int, measure: Callable[[Box], int]) -> int:
        """Sum of an additive measure over all tasks before `index`, from three boxes instead of a loop: the layers,
        the rows of the layer begun, and the tasks of the row begun, that lie before it."""
        tiling = self.tiling
        samples, rest = divmod(index, max(1, len(tiling)))
        total = samples * measure(self.box) if samples else 0
        if not rest:
            return total
        corner, last = tiling[rest].start, self.box.stop
        first = self.box.start
        layers = Box(first, Vec(last.x, last.y, corner.z))
        edge = tiling[rest].stop
        rows = Box(Vec(first.x, first.y, corner.z), Vec(last.x, corner.y, edge.z))
        row = Box(Vec(first.x, corner.y, corner.z), Vec(corner.x, edge.y, edge.z))
        return total + sum(measure(box) for box in (layers, rows, row) if not box.empty)


def fingerprint(job: Job, source: Facts, target: str, *cut_and_where: str) -> str:
    """Sixteen hexadecimal digits that change whenever the same coordinates would receive other voxels."""
    content = (source.identity, target, repr(job.convert), job.missing, job.empty, *cut_and_where)
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]
