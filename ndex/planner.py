"""Facts and a job make a plan, or a sentence that says why not. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import lcm

from .errors import JobError
from .geometry import Box, Span, Tiling, Vec
from .job import Interval, Job
from .plans import Cut, Plan, fingerprint
from .volume import WHOLE, Facts, Layout, UInt

CUBOID = Vec(512, 512, 16)
"""Grid where neither end has one: a job that meets a BOSS later is aligned already."""
SLAB_BYTES = 32 << 20
"""Aimed at by what a worker holds at once."""
WIDEST = 8192
"""Voxels along x or y of a task that follows the tiles of its source."""
MOST_BANDS, FEW_TASKS = 4, 4
"""Bands of a task, unless that leaves fewer tasks."""
MOST_AHEAD = 3
"""Bands that are read ahead, where there may be a long way between asking and getting."""
USUAL_REQUESTS = 4
"""That a worker should have room for, even if it has to take less of the volume at once."""
MAX_BLOCK = 1 << 26
"""Voxels of one request: what clients of a BOSS send in one piece (boss-api 13.6), inside its size limit (7.3)."""


def make_plan(job: Job, source: Facts, target: str, layout: Layout, dtype: UInt) -> Plan:
    """The plan of a job.

    `target` is the identity of the destination, `layout` how it wants to be written to, `dtype` what it will hold.
    Raises JobError when extent, offset, blocks, shard or memory contradict the facts.
    """
    box = _extent(job, source)
    times = _times(job, source)
    offset = _offset(job, box, layout)
    held = _Held(job, source, dtype, box.size)
    cut = held.first_fitting(_cuts(job, source, layout, held.itemsize, box, offset))
    timed = job.extent.t is not None or source.times.size > 1
    cut_and_where = (box, times, timed, offset, dtype, cut.step, cut.block)
    plan = Plan(
        source=source,
        target=target,
        box=box,
        times=times,
        timed=timed,
        offset=offset,
        dtype=dtype,
        cut=cut,
        shard=job.shard,
        workers=1,
        worker_memory=0,
        stamp=fingerprint(job, source, target, *map(str, cut_and_where)),
        planes=layout.planes,
    )
    return _spread(job, plan, held)


def _spread(job: Job, plan: Plan, held: _Held) -> Plan:
    """The plan with as many workers as the memory has room for, and with what each of them may hold."""
    cut, memory = plan.cut, job.parallel.memory
    workers = max(1, min(job.parallel.workers, len(plan), memory // held.bytes_of(cut, held.requests)))
    share = memory // workers
    requests = next(n for n in _halvings(job.parallel.requests) if n == 1 or held.bytes_of(cut, n) <= share)
    large = held.bytes_of(cut, 0) > 4 * SLAB_BYTES  # planes that are decoded whole: workers overlap with each other
    wanted = 0 if large or job.parallel.backend == "serial" else MOST_AHEAD if plan.by_block else 1
    ahead = next(n for n in range(wanted, -1, -1) if n == 0 or held.bytes_of(cut, requests, n) <= share)
    held_at_once = held.bytes_of(cut, requests, ahead)
    return replace(plan, workers=workers, at_once=requests, ahead=ahead, worker_memory=held_at_once)


def _extent(job: Job, source: Facts) -> Box:
    box = job.extent.within(source.box)
    if not source.box.contains(box):
        for axis in "xyz":
            asked: Interval | None = getattr(job.extent, axis)
            there: Span = getattr(source.box, axis)
            if asked is not None and not there.contains(Span(*asked)):
                raise JobError(
                    f"extent.{axis}={list(asked)}: the source has {axis} {there.start} to {there.stop} "
                    f"({source.label}). Ask for a part of that, or leave extent.{axis} out for all of it."
                )
    return box


def _times(job: Job, source: Facts) -> Span:
    if job.extent.t is None:
        return source.times
    times = Span(*job.extent.t)
    if not source.times.contains(times):
        raise JobError(
            f"extent.t={list(times)}: the source has time samples {source.times.start} to {source.times.stop} "
            f"({source.label})."
        )
    return times


def _offset(job: Job, box: Box, layout: Layout) -> Vec:
    if job.offset == "auto":
        return Vec(*(max(0, -start) for start in box.start))
    offset = Vec(*job.offset) if job.offset is not None else Vec(0, 0, 0)
    first = box.start.plus(offset)
    if min(first) < 0 and not layout.below_0:
        raise JobError(
            f"offset={job.offset and list(job.offset)}: the destination would start at {tuple(first)}, and coordinates "
            "below 0 cannot be stored. Use offset=auto, or one that shifts the volume far enough."
        )
    return offset


def _cuts(job: Job, source: Facts, layout: Layout, itemsize: int, box: Box, offset: Vec) -> Iterator[Cut]:
    """Ways to cut the volume: the best first, then narrower bands, then thinner runs of planes."""
    lattice = layout.grid or source.grid or CUBOID
    grid = Vec(*(-shift for shift in offset)) if layout.grid else source.corner
    block = job.blocks.on(lattice, itemsize)
    if block.volume > MAX_BLOCK:
        raise JobError(
            f"blocks={{x: {block.x}, y: {block.y}, z: {block.z}}}: one request would have {block.volume:,} voxels; "
            f"at most {MAX_BLOCK:,} are possible."
        )
    rows_whole = layout.planes or source.grain.x >= WHOLE
    planes_whole = layout.planes or source.grain.y >= WHOLE
    width = box.size.x if rows_whole else _on_tiles(2 * block.x, block.x, source.grain.x)
    origin = Vec(box.start.x if rows_whole else grid.x, box.start.y if planes_whole else grid.y, grid.z)
    best = block.y * max(1, SLAB_BYTES // (width * block.y * block.z * itemsize))
    tiled = best if rows_whole else _on_tiles(best, block.y, source.grain.y)

    decoded_whole = source.grain.y >= WHOLE
    bands = [(tiled, block.y), (best, block.y), *((rows, rows) for rows in _halvings(block.y))]
    for depth in _halvings(block.z):
        for rows, height in [(box.size.y, block.y)] if decoded_whole else bands:
            band = Vec(width, rows, depth)
            step = band._replace(y=box.size.y if planes_whole else rows * _bands_of_a_task(box, band))
            yield Cut(step, origin, rows, Vec(block.x, height, depth), grid)


def _bands_of_a_task(box: Box, band: Vec) -> int:
    """Several, so that there is one to read while another is under way, unless that would make the tasks too few."""
    return max(1, min(MOST_BANDS, len(Tiling(box, band)) // FEW_TASKS))


def _on_tiles(size: int, block: int, tile: int) -> int:
    """`size`, which is whole blocks, made whole tiles as well, so that none is decoded for two tasks; unless they are
    so small that it costs little, or only very large sizes are both."""
    both = lcm(block, tile)
    return -(-size // both) * both if 4 * tile >= block and both <= WIDEST else size


def _halvings(size: int) -> Iterator[int]:
    while size >= 1:
        yield size
        size //= 2


@dataclass(frozen=True)
class _Held:
    """How many bytes one worker holds, and which cut fits the budget."""

    job: Job
    source: Facts
    dtype: UInt
    size: Vec
    """Of the volume."""

    @property
    def itemsize(self) -> int:
        return max(self.dtype.itemsize, self.source.dtype.itemsize)

    @property
    def requests(self) -> int:
        """That a worker had better have room for."""
        return min(USUAL_REQUESTS, self.job.parallel.requests)

    def bytes_of(self, cut: Cut, requests: int, ahead: int = 0) -> int:
        """The bands as read and, where the dtype changes, as written; each request in flight plain and packed."""
        band = Vec(*map(min, cut.step._replace(y=cut.rows), self.size))
        block = Vec(*map(min, cut.block, band))
        here, there = self.source.dtype.itemsize, self.dtype.itemsize
        copies = there + (here if self.source.dtype != self.dtype else 0)
        return (1 + ahead) * band.volume * copies + 2 * requests * block.volume * self.itemsize

    def first_fitting(self, cuts: Iterator[Cut]) -> Cut:
        """The first cut of which two workers fit, so that one can read while the other writes, else the narrowest."""
        budget = self.job.parallel.memory
        for cut in cuts:
            if self.bytes_of(cut, self.requests) * 2 <= budget:
                return cut
        least = self.bytes_of(cut, 1)
        if least > budget:
            raise JobError(
                f"parallel.memory={budget:,} bytes is too little: one worker needs {least:,} for planes of "
                f"{self.size.x} x {self.size.y} {self.source.dtype}. Give at least that."
            )
        return cut
