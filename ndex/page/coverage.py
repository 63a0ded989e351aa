"""Which blocks are done, and how: one small number a block, drawn as one picture whatever their number."""

from __future__ import annotations

import zlib
from enum import IntEnum
from functools import cache
from math import isqrt

import numpy as np
import numpy.typing as npt

from ..events import Pieces, TaskDone, TaskFailed
from ..geometry import Box, Span, Tiling

MOST_CELLS = 1 << 20
"""Of the map; above that a cell stands for several blocks."""
WIDEST = 1000
"""Cells of the map from left to right, where its z-runs can be laid out so."""


class State(IntEnum):
    """What became of a block, the worst last: a cell that stands for several shows the worst of them."""

    ELSEWHERE = 0
    LEFT = 1
    RESUMED = 2
    EMPTY = 3
    DONE = 4
    REPAIRED = 5
    FILLED = 6
    FAILED = 7


class Coverage:
    """A map of the blocks of all z-runs, filled in by events."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.grid = Tiling(pieces.tasks.box, pieces.blocks.step._replace(z=pieces.tasks.step.z), pieces.blocks.origin)
        runs = self.grid.counts.z * pieces.volume.times.size
        self.factor = _factor(self.grid.counts.x, self.grid.counts.y, runs)
        """Blocks that a cell stands for along x and y, and runs that it stands for along z."""
        x, y, z = (-(-n // f) for n, f in zip((self.grid.counts.x, self.grid.counts.y, runs), self.factor, strict=True))
        self.cells: npt.NDArray[np.uint8] = np.zeros((z, y, x), np.uint8)
        """(run, row, column), each a State."""
        tasks = self._tasks()
        self.cells[_within(tasks, (pieces.part,))] = State.LEFT
        self.cells[_within(tasks, pieces.resumed)] = State.RESUMED

    def done(self, event: TaskDone) -> None:
        """A task has ended well."""
        state = State.FILLED if event.filled else State.REPAIRED if event.repaired else State.DONE
        if event.empty == 0 or state != State.DONE:
            self._mark(event.box, event.t, state)
        elif event.empty == len(event.checksums):
            self._mark(event.box, event.t, State.EMPTY)
        else:
            self._mark_blocks(event)

    def failed(self, event: TaskFailed) -> None:
        self._mark(event.box, event.t, State.FAILED)

    def counts(self) -> dict[State, int] | None:
        """Blocks in each state; None where cells stand for several."""
        if self.factor != (1, 1, 1):
            return None
        found = np.bincount(self.cells.ravel(), minlength=len(State))
        return {state: int(found[state]) for state in State if found[state]}

    @property
    def columns(self) -> int:
        """How many z-runs lie side by side in the picture."""
        runs, height, width = map(int, self.cells.shape)
        balanced = isqrt(3 * runs * (height + 1) // (width + 1))
        return max(1, min(runs, balanced, WIDEST // (width + 1)))

    def picture(self) -> npt.NDArray[np.uint8]:
        """The states, (rows, columns): the z-runs side by side, with a cell of ELSEWHERE around each."""
        runs, height, width = self.cells.shape
        columns = self.columns
        rows = -(-runs // columns)
        sheet = np.zeros((rows * columns, height + 1, width + 1), np.uint8)
        sheet[:runs, :height, :width] = self.cells
        return sheet.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2).reshape(rows * (height + 1), -1)

    def _mark_blocks(self, event: TaskDone) -> None:
        """Of a task with some empty blocks, told by their checksums."""
        sums = iter(event.checksums)
        size = self.pieces.volume.dtype.itemsize
        for band in _cut(self.pieces.bands, event.box):
            for block in _cut(self.pieces.blocks, band):
                empty = next(sums) == _checksum_of_zeros(block.voxels * size)
                self._mark(block, event.t, State.EMPTY if empty else State.DONE)

    def _mark(self, box: Box, t: int, state: State) -> None:
        corner, step, first = self.grid.origin, self.grid.step, self.grid.box.start
        spans = [
            Span((a - o) // s - (f - o) // s, -((o - b) // s) - (f - o) // s)
            for a, b, o, s, f in zip(box.start, box.stop, corner, step, first, strict=True)
        ]
        sample = (t - self.pieces.volume.times.start) * self.grid.counts.z
        spans[2] = Span(spans[2].start + sample, spans[2].stop + sample)
        x, y, z = (slice(a // f, -(-b // f)) for (a, b), f in zip(spans, self.factor, strict=True))
        np.maximum(self.cells[z, y, x], np.uint8(state), out=self.cells[z, y, x])

    def _tasks(self) -> npt.NDArray[np.int64]:
        """Index of the task of each cell, of the first one where it holds several; (run, row, column)."""
        tasks, grid = self.pieces.tasks, self.grid
        counts = tasks.counts
        x, y = (
            (_starts(grid, axis, self.factor[axis]) - tasks.origin[axis]) // tasks.step[axis]
            - (tasks.box.start[axis] - tasks.origin[axis]) // tasks.step[axis]
            for axis in (0, 1)
        )
        z = np.arange(self.cells.shape[0], dtype=np.int64) * self.factor[2]
        return np.asarray((z[:, None, None] * counts.y + y[:, None]) * counts.x + x)


def _factor(columns: int, rows: int, runs: int) -> tuple[int, int, int]:
    """By how much blocks are put together so that there are at most MOST_CELLS."""
    across, along = 1, 1
    while -(-columns // across) * -(-rows // across) * -(-runs // along) > MOST_CELLS:
        if max(columns, rows) // across >= runs // along:
            across *= 2
        else:
            along *= 2
    return across, across, along


def _starts(grid: Tiling, axis: int, factor: int) -> npt.NDArray[np.int64]:
    """First coordinate inside the box of each column (axis 0) or row (axis 1) of cells."""
    start, step, origin = grid.box.start[axis], grid.step[axis], grid.origin[axis]
    cells = (start - origin) // step + np.arange(0, grid.counts[axis], factor, dtype=np.int64)
    return np.maximum(start, origin + cells * step)


def _within(indexes: npt.NDArray[np.int64], spans: tuple[Span, ...]) -> npt.NDArray[np.bool_]:
    """Which indexes lie in one of the spans, which are in order."""
    if not spans:
        return np.zeros(indexes.shape, bool)
    starts, stops = np.array(spans, dtype=np.int64).T
    place = np.searchsorted(starts, indexes, side="right") - 1
    return np.asarray((place >= 0) & (indexes < stops[np.maximum(place, 0)]))


def _cut(tiling: Tiling, box: Box) -> Tiling:
    """The same grid over another box."""
    return Tiling(box, tiling.step, tiling.origin)


@cache
def _checksum_of_zeros(nbytes: int) -> int:
    return zlib.crc32(bytes(nbytes))
