"""Bands on their way: read ahead, but not too far, and the same voxels and checksums however they are read."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ndex.bands import Band, ahead, bands, blocks_there
from ndex.boss.concurrent import for_each
from ndex.errors import PermanentError
from ndex.geometry import Box, Vec
from ndex.job import Blocks, Boss, Convert, End, Job, Parallel
from ndex.planner import make_plan
from ndex.plans import Plan
from ndex.volume import Facts, Layout, Piece

BOX = Box.of((3, 1300), (5, 1100), (2, 20))
VOXELS = np.random.default_rng(1).integers(0, 256, BOX.shape).astype(np.uint8)
VOXELS[:, 507:1019, 509:1021] = 0
GRID = Vec(512, 512, 16)


class Held:
    """Reads from an array; plane 7 is absent."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []

    def read(self, box: Box, t: int) -> Piece:
        self.boxes.append(box)
        return Piece(VOXELS[BOX.slices(box)].copy(), (7,) if box.z.start <= 7 < box.z.stop else ())


def plan_of(grid: Vec | None, layout: Layout, ahead: int) -> Plan:
    end = End(kind="memory")
    job = Job(
        boss=Boss(host="x"), source=end, destination=end, blocks=Blocks(512, 512, 16), parallel=Parallel(memory=1 << 25)
    )
    facts = Facts("here", "here", BOX, np.dtype("uint8"), grid=grid)
    return replace(make_plan(job, facts, "there", layout, np.dtype("uint8")), ahead=ahead, at_once=3)


@pytest.mark.parametrize("ahead", [0, 1, 3])
@pytest.mark.parametrize("grid", [None, GRID])
@pytest.mark.parametrize("layout", [Layout(grid=GRID), Layout(planes=True)])
def test_voxels_and_checksums_are_the_same_however_they_are_read(ahead: int, grid: Vec | None, layout: Layout) -> None:
    plan, source = plan_of(grid, layout, ahead), Held()
    assert plan.by_block == (grid is not None)
    there = np.full_like(VOXELS, 99)
    sums: list[int] = []
    blocks: list[Box] = []
    empty, filled = 0, set[int]()
    for task in plan:
        with bands(plan, task, source, Convert()) as coming:
            for band in coming:
                taken = _taken(band, there)
                assert all(array.flags.c_contiguous for array in taken)
                assert len(taken) == 1 or not layout.planes
                sums += band.checksums
                empty += band.empty
                filled |= band.filled
        blocks += [block for slab in plan.slabs(task) for block in plan.blocks(slab)]
    assert np.array_equal(there, VOXELS)
    assert sums == [zlib.crc32(np.ascontiguousarray(VOXELS[BOX.slices(block)])) for block in blocks]
    assert empty == sum(not VOXELS[BOX.slices(block)].any() for block in blocks) > 0
    assert filled == {7}
    if grid:
        assert sorted(map(str, source.boxes)) == sorted(map(str, blocks))
    read_back = [checksum for task in plan for found in [_found(plan, task.index)] for checksum in found]
    assert read_back == sums


def _taken(band: Band, there: np.ndarray) -> list[np.ndarray]:
    arrays = []
    for box, array in band.pieces:
        there[BOX.slices(box)] = array
        arrays.append(array)
    return arrays


def _found(plan: Plan, task: int) -> list[int]:
    with blocks_there(plan, plan.task(task), Held()) as coming:
        return [checksum for _, found in coming for checksum in found]


def test_while_one_is_used_the_next_ones_are_on_their_way_and_no_more() -> None:
    begun = [threading.Event() for _ in range(6)]

    def work(number: int) -> int:
        begun[number].set()
        return number

    with ahead(work, range(6), 2) as coming:
        for number in coming:
            for near in begun[number + 1 : number + 3]:
                assert near.wait(10)
            assert not any(far.is_set() for far in begun[number + 3 :])


def test_nothing_is_read_after_an_error() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise PermanentError("plane 1")
        return number

    with pytest.raises(PermanentError, match="plane 1"), ahead(work, range(100), 2) as coming:
        for _ in coming:
            pass
    assert len(begun) <= 4
    before = threading.active_count()
    with pytest.raises(PermanentError, match="in the middle"):
        _use_one(work)
    assert threading.active_count() == before


def _use_one(work: Callable[[int], int]) -> None:
    with ahead(work, range(2, 100), 2) as coming:
        raise PermanentError(f"in the middle of {next(coming)}")


def test_of_several_errors_the_first_item_counts() -> None:
    second = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            second.wait(10)
        second.set()
        raise PermanentError(f"item {number}")

    with pytest.raises(PermanentError, match="item 0"):
        for_each(work, range(2), 2)
