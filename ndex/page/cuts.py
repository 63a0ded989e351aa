"""Three cuts through the middle of what was written, read back from the destination at reduced size.

A cut is put together from single blocks. Where there are too many, every n-th one is read along each axis, and they are
shown side by side with a line between them; a voxel of the cut is always a voxel of the volume, never a mean. A picture
is not worth a long wait, so what is too many depends on how much the place has to decode for a block.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..boss.concurrent import for_each, threads
from ..embedded import reachable
from ..errors import TransientError
from ..geometry import Box, Tiling, Vec
from ..job import Boss, End, Job, Retry
from ..stores import open_destination
from ..volume import Array, Layout, Piece, Volume

LEAST_READS, MOST_READS = 4, 64
"""Blocks of one cut."""
MOST_VOXELS = 64 << 20
"""That are decoded for one cut, if LEAST_READS blocks do not need more."""
ROWS = 256
"""Of planes, in a block: a picture of their columns has all of their width decoded."""
AT_ONCE = 8
"""Blocks that are read at a time."""
MOST_PIXELS = 640
"""Of a cut, along each axis."""
PATIENCE = 10.0
"""Seconds after which no further block is read."""
HASTE = Retry(attempts=2, wait=0.2, max_wait=1.0)
TIMEOUT = 20.0
"""Seconds without a byte before a request is given up."""
PLANES = (("xy", 0, 1), ("xz", 0, 2), ("yz", 1, 2))


class Place(Protocol):
    """What can be read: a destination."""

    layout: Layout

    def read(self, box: Box, t: int) -> Piece: ...


@dataclass(frozen=True)
class Cut:
    """A plane of voxels at reduced size."""

    name: str
    """xy, xz or yz: the first axis goes to the right, the second down."""
    at: int
    """Coordinate on the third axis."""
    pixels: Array
    """(down, right)"""
    seams: npt.NDArray[np.bool_]
    """Lines between blocks that are no neighbours in the volume, of the same shape."""
    size: tuple[int, int]
    """Voxels that the picture spans, to the right and down, without what lies between blocks that are no neighbours."""
    every: tuple[int, int]
    """Of so many blocks one is shown, to the right and down."""


def cuts_of(job: Job, volume: Volume) -> Iterator[Cut]:
    """The cuts through the volume that a job has written. Raises NdexError where it cannot be read."""
    with reachable(_hasty(job), read_only=True) as live:
        store = open_destination(live)
        try:
            store.expect(volume)
            yield from cuts_through(volume, store)
        finally:
            store.close()


def cuts_through(volume: Volume, place: Place, clock: Callable[[], float] = time.monotonic) -> Iterator[Cut]:
    """The cuts through the middle of a volume. Raises TransientError when that takes longer than PATIENCE."""
    end = clock() + PATIENCE

    def read(box: Box) -> Array:
        if clock() > end:
            raise TransientError(f"Reading the cuts took longer than {PATIENCE:.0f} s.")
        return place.read(box, volume.times.start + volume.times.size // 2).array

    with threads(len(PLANES)) as pool:
        yield from pool.map(lambda plane: _cut(volume, place.layout, read, *plane), PLANES)


def _block_and_number(volume: Volume, layout: Layout, across: int) -> tuple[Vec, int]:
    """Size of a block, and how many of them to read when each is one voxel thick: a place decodes whole cuboids, or
    whole rows of planes."""
    block = Vec(*map(min, volume.block, volume.box.size))
    if layout.planes:
        block = Vec(volume.box.size.x, min(block.y, ROWS), block.z)
        decoded = block if across == 0 else _with(block, across, 1)
    else:
        decoded = _with(block, across, layout.grid[across] if layout.grid else 1)
    return block, min(MOST_READS, max(LEAST_READS, MOST_VOXELS // decoded.volume))


def _cut(volume: Volume, layout: Layout, read: Callable[[Box], Array], name: str, right: int, down: int) -> Cut:
    across = 3 - right - down
    middle = (volume.box.start[across] + volume.box.stop[across]) // 2
    plane = Box(_with(volume.box.start, across, middle), _with(volume.box.stop, across, middle + 1))
    block, most = _block_and_number(volume, layout, across)
    tiling = Tiling(plane, block)
    counts = tiling.counts[right], tiling.counts[down]
    chosen = _chosen(*counts, most)
    indexes = [_evenly(count, n) for count, n in zip(counts, chosen, strict=True)]
    columns, rows = (_spans(tiling, axis, picked) for axis, picked in zip((right, down), indexes, strict=True))
    size = sum(map(_length, columns)), sum(map(_length, rows))
    steps = [-(-length // MOST_PIXELS) for length in size]
    pieces: dict[tuple[int, int], Array] = {}

    def fetch(where: tuple[int, int]) -> None:
        column, row = columns[where[1]], rows[where[0]]
        flat = _flat(read(_block(plane, right, column, down, row)), across)
        pieces[where] = flat[:: steps[1], :: steps[0]].copy()

    for_each(fetch, np.ndindex(len(rows), len(columns)), AT_ONCE)
    pixels = np.block([[pieces[i, j] for j in range(len(columns))] for i in range(len(rows))])
    lines = [_apart(*axis) for axis in zip((columns, rows), steps, indexes, strict=True)]
    seams = lines[1][:, None] | lines[0][None, :]
    every = tuple(max(1, round(count / n)) for count, n in zip(counts, chosen, strict=True))
    return Cut(name, middle, pixels, seams, size, (every[0], every[1]))


def _chosen(columns: int, rows: int, most: int) -> tuple[int, int]:
    """How many blocks to read along both axes: about the same share of each, so that the cut keeps its proportions."""
    share = max(1.0, sqrt(columns * rows / most))
    across = max(1, min(columns, most, round(columns / share)))
    return across, min(rows, most // across)


def _evenly(count: int, chosen: int) -> list[int]:
    """So many indexes below `count`, spread evenly."""
    return [(2 * i + 1) * count // (2 * chosen) for i in range(chosen)]


def _spans(tiling: Tiling, axis: int, indexes: Sequence[int]) -> list[tuple[int, int]]:
    """First and last-plus-one coordinate of the blocks with these indexes along one axis."""
    stride = (1, tiling.counts.x, tiling.counts.x * tiling.counts.y)[axis]
    boxes = (tiling[index * stride] for index in indexes)
    return [(box.start[axis], box.stop[axis]) for box in boxes]


def _length(span: tuple[int, int]) -> int:
    return span[1] - span[0]


def _apart(spans: Sequence[tuple[int, int]], step: int, indexes: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Pixels along one axis with which a block begins that is no neighbour of the one before it."""
    line: list[bool] = []
    for i, span in enumerate(spans):
        apart = i > 0 and indexes[i] != indexes[i - 1] + 1
        line += [apart, *[False] * (-(-_length(span) // step) - 1)]
    return np.array(line)


def _block(plane: Box, right: int, left: tuple[int, int], down: int, top: tuple[int, int]) -> Box:
    start = _with(_with(plane.start, right, left[0]), down, top[0])
    return Box(start, _with(_with(plane.stop, right, left[1]), down, top[1]))


def _with(vec: Vec, axis: int, value: int) -> Vec:
    return Vec(*(value if i == axis else n for i, n in enumerate(vec)))


def _flat(array: Array, across: int) -> Array:
    """A block that is one voxel thick along an axis, (down, right)."""
    flat: Array = array.squeeze(axis=2 - across)
    return flat


def _hasty(job: Job) -> Job:
    """The same job with little patience: this is only for show."""
    return replace(job, retry=HASTE, boss=_impatient(job.boss), destination=_impatient_end(job.destination))


def _impatient(boss: Boss) -> Boss:
    return replace(boss, timeout=min(TIMEOUT, boss.timeout))


def _impatient_end(end: End) -> End:
    own = getattr(end, "boss", None)
    return end if own is None else replace(end, boss=_impatient(own))  # type: ignore[call-arg]  # ends of kind boss have it
