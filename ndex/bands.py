"""Bands of a task on their way: read ahead of the writing, converted, checksummed, cut as the destination wants them.

A band is what is in memory at once. While one is written, the next ones are on their way; how many of them is the
plan's decision, since they take memory, and the source's, which knows how many requests are worth having under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from .boss.concurrent import GLANCE, for_each, threads
from .checksum import checksum
from .convert import convert_voxels
from .geometry import Box, Tiling
from .job import Convert
from .plans import Plan, Task
from .volume import Array, Piece, is_empty

T = TypeVar("T")
R = TypeVar("R")

Seen = dict[int, tuple[int, bool]]
"""Of each block of a band, by its place in it: the checksum, and whether it is zero."""


class Place(Protocol):
    """What voxels can be read from."""

    def read(self, box: Box, t: int) -> Piece: ...


@runtime_checkable
class Eager(Protocol):
    """A place that finds out how many requests are worth having under way in this process, for one task if it is alone
    and for all together."""

    @property
    def allowed(self) -> int: ...


@dataclass
class Band:
    """Voxels of a band as the destination will hold them."""

    filled: set[int]
    """z of planes that were absent."""
    pieces: Iterator[tuple[Box, Array]]
    """In the coordinates of the source: the band as a whole, or its blocks, each contiguous."""
    seen: Seen
    """Complete when the pieces have been taken."""

    @property
    def checksums(self) -> list[int]:
        return [checksum for _, (checksum, _) in sorted(self.seen.items())]

    @property
    def empty(self) -> int:
        """Blocks of zeros."""
        return sum(empty for _, empty in self.seen.values())


@contextmanager
def bands(plan: Plan, task: Task, source: Place, convert: Convert) -> Iterator[Iterator[Band]]:
    """The bands of a task from top to bottom. They raise what `source.read` raises."""
    slabs = plan.slabs(task)
    blocks = max(1, len(plan.blocks(slabs[0])))

    def depth() -> int:
        worth = -(-source.allowed // blocks) if isinstance(source, Eager) else 1
        return min(worth, plan.ahead)

    with ahead(lambda slab: _band(plan, slab, task.t, source, convert), slabs, plan.ahead, depth) as coming:
        yield coming


@contextmanager
def blocks_there(plan: Plan, task: Task, destination: Place) -> Iterator[Iterator[tuple[Tiling, list[int]]]]:
    """What is at the destination of a task, band by band: its blocks, in the coordinates of the source, and their
    checksums."""

    def look(slab: Box) -> tuple[Tiling, list[int]]:
        blocks = plan.blocks(slab)
        sums = [0] * len(blocks)

        def fetch(i: int) -> None:
            sums[i] = checksum(destination.read(blocks[i].shift(plan.offset), task.t).array)

        if plan.planes:
            stored = destination.read(slab.shift(plan.offset), task.t).array
            return blocks, [checksum(stored[slab.slices(block)]) for block in blocks]
        for_each(fetch, range(len(blocks)), plan.at_once)
        return blocks, sums

    with ahead(look, plan.slabs(task), min(1, plan.ahead)) as coming:
        yield coming


def _band(plan: Plan, slab: Box, t: int, source: Place, convert: Convert) -> Band:
    filled: set[int] = set()
    seen: Seen = {}

    def read(box: Box) -> Array:
        piece = source.read(box, t)
        filled.update(piece.filled)
        return convert_voxels(piece.array, plan.dtype, convert)

    pieces = _fetched(plan, slab, read, seen) if plan.by_block else _cut(plan, slab, read(slab), seen)
    return Band(filled, pieces, seen)


def _fetched(plan: Plan, slab: Box, read: Callable[[Box], Array], seen: Seen) -> Iterator[tuple[Box, Array]]:
    """A band that is read block by block, several at once."""
    blocks = plan.blocks(slab)
    whole: Array = np.empty(slab.shape if plan.planes else 0, plan.dtype)
    parts: dict[int, Array] = {}

    def fetch(i: int) -> None:
        voxels = read(blocks[i])
        seen[i] = checksum(voxels), is_empty(voxels)
        if plan.planes:
            whole[slab.slices(blocks[i])] = voxels
        else:
            parts[i] = voxels

    for_each(fetch, range(len(blocks)), plan.at_once)
    return iter([(slab, whole)]) if plan.planes else ((blocks[i], parts.pop(i)) for i in range(len(blocks)))


def _cut(plan: Plan, slab: Box, voxels: Array, seen: Seen) -> Iterator[tuple[Box, Array]]:
    """A band that was read as a whole, looked at and, unless planes are wanted, handed on block by block."""
    for i, block in enumerate(plan.blocks(slab)):
        part = np.ascontiguousarray(voxels[slab.slices(block)])
        seen[i] = checksum(part), is_empty(part)
        if not plan.planes:
            yield block, part
    if plan.planes:
        yield slab, voxels


@contextmanager
def ahead(
    work: Callable[[T], R], items: Iterable[T], most: int, depth: Callable[[], int] | None = None
) -> Iterator[Iterator[R]]:
    """`work` of every item, in order. While a result is used, that of up to `depth()` items after it is on its way:
    of `most`, where that is not given, and never of more."""
    if most == 0:
        yield map(work, items)
        return
    with threads(most) as pool:
        yield _ahead(lambda item: pool.submit(work, item), iter(items), depth or (lambda: most))


def _ahead(submit: Callable[[T], Future[R]], items: Iterator[T], depth: Callable[[], int]) -> Iterator[R]:
    coming: deque[Future[R]] = deque()
    while True:
        coming.extend(map(submit, islice(items, max(0, depth() - len(coming)))))
        if not coming:
            return
        first = coming.popleft()
        while not wait([first], GLANCE).done:
            pass  # a signal is seen between two waits
        coming.extend(map(submit, islice(items, max(0, depth() - len(coming)))))
        yield first.result()
