"""The map of the blocks against a count, block by block."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from made_up import pieces

from ndex.events import Pieces, TaskDone, TaskFailed
from ndex.geometry import Box, Span, Tiling, Vec
from ndex.page import coverage
from ndex.page.coverage import Coverage, State

BOX = Box.of((3, 40), (5, 33), (-7, 20))
CUT = pieces(BOX, Vec(16, 12, 8), Vec(8, 4, 8), rows=4, origin=Vec(0, 1, 0), times=Span(2, 4))


def blocks_of(cut: Pieces, box: Box) -> list[Box]:
    """In the order of the checksums of a task."""
    bands = Tiling(box, cut.bands.step, cut.bands.origin)
    return [block for band in bands for block in Tiling(band, cut.blocks.step, cut.blocks.origin)]


def ended(cut: Pieces, index: int, kind: str) -> TaskDone | TaskFailed:
    t, i = divmod(index, len(cut.tasks))
    box, t = cut.tasks[i], cut.volume.times.start + t
    if kind == "failed":
        return TaskFailed(index, box, t, "no reason")
    blocks = blocks_of(cut, box)
    zeros = {"empty": len(blocks), "half": 1}.get(kind, 0)
    sums = tuple(zlib.crc32(bytes(block.voxels)) if i < zeros else 1 for i, block in enumerate(blocks))
    return TaskDone(index, box, t, box.voxels, sums, zeros, (9,) if kind == "filled" else (), True, kind == "repaired")


def expected(cut: Pieces, kinds: dict[int, str]) -> np.ndarray:
    """The states of all blocks, counted one by one."""
    grid = Tiling(cut.tasks.box, cut.blocks.step._replace(z=cut.tasks.step.z), cut.blocks.origin)
    counts = grid.counts
    cells = np.zeros((cut.volume.times.size * counts.z, counts.y, counts.x), np.uint8)
    named = {"done": State.DONE, "half": State.DONE, "empty": State.EMPTY, "filled": State.FILLED}
    named |= {"repaired": State.REPAIRED, "failed": State.FAILED, "left": State.LEFT, "resumed": State.RESUMED}
    for cell in np.ndindex(cells.shape):
        t, z = divmod(cell[0], counts.z)
        block = grid[(z * counts.y + cell[1]) * counts.x + cell[2]]
        inside = [i for i, task in enumerate(cut.tasks) if not (task & block).empty]
        assert len(inside) == 1
        index = t * len(cut.tasks) + inside[0]
        kind = kinds.get(index, "left")
        first = blocks_of(cut, cut.tasks[inside[0]])[0]
        cells[cell] = State.EMPTY if kind == "half" and first == block else named[kind]
    return cells


def test_every_block_shows_what_became_of_its_task() -> None:
    cut = CUT
    names = ["done", "empty", "half", "filled", "repaired", "failed", "left"]
    kinds = {i: names[i % 7] for i in range(len(cut.tasks) * 2)}
    cover = Coverage(cut)
    for index, kind in kinds.items():
        if kind != "left":
            event = ended(cut, index, kind)
            cover.failed(event) if isinstance(event, TaskFailed) else cover.done(event)
    assert np.array_equal(cover.cells, expected(cut, kinds))
    counts = cover.counts()
    assert counts is not None
    assert sum(counts.values()) == cover.cells.size


def test_other_shards_and_what_was_done_before_are_told_apart() -> None:
    part, resumed = Span(7, 50), (Span(9, 11), Span(20, 30))
    cut = pieces(BOX, Vec(16, 12, 8), Vec(8, 4, 8), origin=Vec(0, 1, 0), part=part, resumed=resumed)
    kinds = {index: "resumed" for span in resumed for index in range(*span)}
    found = Coverage(cut).cells
    whole = expected(cut, kinds)
    tasks = expected_tasks(cut)
    whole[(tasks < part.start) | (tasks >= part.stop)] = State.ELSEWHERE
    assert np.array_equal(found, whole)


def expected_tasks(cut: Pieces) -> np.ndarray:
    """Index of the task of each block."""
    grid = Tiling(cut.tasks.box, cut.blocks.step._replace(z=cut.tasks.step.z), cut.blocks.origin)
    owners = [next(i for i, task in enumerate(cut.tasks) if not (task & block).empty) for block in grid]
    x, y, z = grid.counts
    return np.array(owners).reshape(z, y, x)


def test_where_there_are_too_many_blocks_a_cell_shows_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "MOST_CELLS", 20)
    cover = Coverage(CUT)
    assert cover.cells.size <= 20
    assert cover.counts() is None
    for index in range(len(CUT.tasks) * 2):
        event = ended(CUT, index, "failed" if index == 33 else "done")
        cover.failed(event) if isinstance(event, TaskFailed) else cover.done(event)
    assert set(np.unique(cover.cells)) == {State.DONE, State.FAILED}
    assert 1 <= np.count_nonzero(cover.cells == State.FAILED) <= 4


def test_a_petabyte_takes_a_megabyte_and_a_wink() -> None:
    box = Box.of((0, 1 << 18), (0, 1 << 18), (0, 1 << 14))
    cover = Coverage(pieces(box, Vec(1 << 14, 1 << 14, 16), Vec(1024, 512, 16)))
    assert cover.cells.nbytes <= coverage.MOST_CELLS
    assert max(cover.picture().shape) < 5000


def test_the_picture_holds_every_cell_once() -> None:
    cover = Coverage(CUT)
    cover.cells[:] = np.random.default_rng(3).integers(1, 8, cover.cells.shape)
    picture = cover.picture()
    _, height, width = cover.cells.shape
    for run, cells in enumerate(cover.cells):
        row, column = divmod(run, cover.columns)
        y, x = row * (height + 1), column * (width + 1)
        assert np.array_equal(picture[y : y + height, x : x + width], cells)
    assert np.count_nonzero(picture) == cover.cells.size
