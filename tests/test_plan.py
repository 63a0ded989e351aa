"""Plans: pure, lazy, disjoint, covering, within the memory budget."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ndex.errors import JobError
from ndex.geometry import Box, Span, Vec
from ndex.job import Blocks, Boss, End, Extent, Job, Parallel, Shard
from ndex.planner import make_plan
from ndex.plans import Plan
from ndex.volume import WHOLE, Facts, Layout

BOSS = Layout(grid=Vec(512, 512, 16))
PLANES = Layout(planes=True)
STRIPS, PNG, ANY = Vec(WHOLE, 8, 1), Vec(WHOLE, WHOLE, 1), Vec(1, 1, 1)
TILES = Vec(768, 300, 1)


def job(**changes: object) -> Job:
    given: dict[str, object] = {"boss": Boss(root=Path("boss")), "source": End(kind="a"), "destination": End(kind="b")}
    return Job(**{**given, **changes})  # type: ignore[arg-type]  # keywords of Job, spelled by the tests


def facts(box: Box, dtype: str = "uint8", grain: Vec = ANY, grid: Vec | None = None, times: int = 1) -> Facts:
    return Facts("somewhere", "some:where", box, np.dtype(dtype), Span(0, times), grid, grain)


def plan_of(source: Facts, layout: Layout = BOSS, dtype: str | None = None, **changes: object) -> Plan:
    return make_plan(job(**changes), source, "the:target", layout, np.dtype(dtype or source.dtype))


ends = st.sampled_from([(STRIPS, BOSS), (PNG, BOSS), (TILES, BOSS), (ANY, PLANES), (ANY, BOSS), (PNG, PLANES)])
volumes = st.builds(
    lambda corner, size: Box.at(Vec(*corner), Vec(*size)),
    st.tuples(st.integers(0, 700), st.integers(0, 700), st.integers(0, 40)),
    st.tuples(st.integers(1, 1500), st.integers(1, 1500), st.integers(1, 50)),
)


@settings(max_examples=60, deadline=None)
@given(volumes, ends, st.integers(1, 9), st.sampled_from([(1, 1 << 32), (3, 1 << 25), (2, 1 << 23)]))
def test_tasks_bands_and_blocks_cover_the_volume_once(
    box: Box, kinds: tuple[Vec, Layout], count: int, scale: tuple[int, int]
) -> None:
    grain, layout = kinds
    times, memory = scale
    source = facts(box, grain=grain, times=times)
    parallel = Parallel(memory=memory, n_jobs=3)
    try:
        plans = [plan_of(source, layout, shard=Shard(i, count), parallel=parallel) for i in range(count)]
    except JobError:
        with pytest.raises(JobError, match=r"parallel\.memory"):
            plan_of(source, layout, parallel=parallel)
        return
    seen = np.zeros((times, *box.shape), np.uint8)
    for plan in plans:
        for task in plan:
            for slab in plan.slabs(task):
                for block in plan.blocks(slab):
                    seen[(task.t, *box.slices(block))] += 1
    assert seen.min() == seen.max() == 1
    assert sum(plan.voxels for plan in plans) == seen.size
    assert [task.index for plan in plans for task in plan] == list(range(plans[0].total))
    lengths = [len(plan) for plan in plans]
    assert max(lengths) - min(lengths) <= 1
    for plan in plans:
        assert plan.voxels == sum(task.box.voxels for task in plan)
        assert plan.requests == sum(len(plan.blocks(slab)) for task in plan for slab in plan.slabs(task))
        assert plan.workers * plan.worker_memory <= max(memory, plan.worker_memory) <= memory


@settings(max_examples=60, deadline=None)
@given(volumes, ends)
def test_blocks_lie_on_the_cuboids_of_the_boss(box: Box, kinds: tuple[Vec, Layout]) -> None:
    grain, layout = kinds
    offset = (0, 0, 7)
    plan = plan_of(facts(box, grain=grain), layout, offset=offset)
    shift = plan.offset if layout is BOSS else Vec(0, 0, 0)
    for task in plan:
        for slab in plan.slabs(task):
            for block in plan.blocks(slab):
                there = block.shift(shift)
                for axis, cuboid in zip("xyz", (512, 512, 16), strict=True):
                    start, stop = getattr(there, axis)
                    edge = getattr(box.shift(shift), axis)
                    assert start % cuboid == 0 or start == edge.start
                    assert stop % cuboid == 0 or stop == edge.stop


def test_planes_are_written_whole_by_one_task_each() -> None:
    plan = plan_of(facts(Box.of((3, 5000), (9, 7000), (5, 50)), grid=Vec(512, 512, 16)), PLANES)
    assert [str(task.box.z) for task in plan] == ["5:16", "16:32", "32:48", "48:50"]
    assert all(task.box.x == Span(3, 5000) and task.box.y == Span(9, 7000) for task in plan)
    assert all(len(plan.slabs(task)) > 1 for task in plan)


def test_png_planes_are_decoded_once() -> None:
    plan = plan_of(facts(Box.of((0, 9000), (0, 9000), (0, 16)), grain=PNG))
    assert len(plan) == 1
    assert len(plan.slabs(plan[0])) == 1


def test_planes_far_larger_than_the_memory_are_cut_into_bands() -> None:
    huge = Box.of((0, 40_000), (0, 40_000), (0, 16))
    for grain, layout in ((STRIPS, BOSS), (ANY, PLANES)):
        plan = plan_of(facts(huge, grain=grain), layout, parallel=Parallel(memory=2 << 30, n_jobs=2))
        assert plan.workers * plan.worker_memory <= 2 << 30


def test_too_little_memory_is_refused_with_what_would_be_enough() -> None:
    with pytest.raises(
        JobError, match=r"parallel\.memory=1,000 bytes is too little: one worker needs [\d,]+"
    ) as caught:
        plan_of(facts(Box.of((0, 4096), (0, 4096), (0, 16)), grain=PNG), parallel=Parallel(memory=1000))
    enough = int(str(caught.value).split("needs ")[1].split(" ")[0].replace(",", ""))
    assert (
        plan_of(facts(Box.of((0, 4096), (0, 4096), (0, 16)), grain=PNG), parallel=Parallel(memory=enough)).workers == 1
    )


@pytest.mark.parametrize("offset", [(0, 0, 0), (100, -37, 5), (512, 1024, 16)])
@pytest.mark.parametrize("dtype", ["uint8", "uint64"])
def test_from_grid_to_grid_requests_follow_that_of_the_destination(offset: tuple[int, int, int], dtype: str) -> None:
    box = Box.of((3, 5000), (40, 4100), (9, 70))
    source = facts(box, dtype, grid=Vec(512, 512, 16))
    plan = plan_of(source, BOSS, offset=offset, parallel=Parallel(memory=1 << 30, n_jobs=2))
    there = box.shift(Vec(*offset))
    for task in plan:
        for block in (block for slab in plan.slabs(task) for block in plan.blocks(slab)):
            stored = block.shift(plan.offset)
            for (start, stop), (first, last), cell in zip(
                (stored.x, stored.y, stored.z), (there.x, there.y, there.z), (512, 512, 16), strict=True
            ):
                assert start % cell == 0 or start == first
                assert stop % cell == 0 or stop == last
    assert plan.workers == 2
    assert plan.worker_memory <= 1 << 29


def test_where_only_the_source_has_a_grid_its_corner_counts() -> None:
    shifted = replace(facts(Box.of((-90, 900), (0, 90), (-3, 40)), grid=Vec(512, 512, 16)), corner=Vec(-90, 5, -3))
    plan = plan_of(shifted, replace(PLANES, below_0=True))
    assert [str(task.box.z) for task in plan] == ["-3:13", "13:29", "29:40"]
    assert plan.volume.box == shifted.box


def test_a_plan_of_a_quadrillion_voxels_is_arithmetic() -> None:
    begin = time.perf_counter()
    plan = plan_of(facts(Box.of((0, 10**6), (0, 10**6), (0, 1000)), grid=Vec(512, 512, 16)), BOSS, shard=Shard(7, 1000))
    assert plan.voxels == pytest.approx(10**12, rel=0.02)
    assert plan.requests > 10**4
    assert plan[len(plan) - 1].box.voxels > 0
    assert time.perf_counter() - begin < 1


def test_a_plan_survives_json() -> None:
    plan = plan_of(facts(Box.of((0, 100), (0, 100), (0, 20)), "uint16", STRIPS, times=3))
    assert Plan.from_json(plan.to_json()) == plan


def test_sampling_draws_one_task_of_every_stretch() -> None:
    plan = plan_of(facts(Box.of((0, 9000), (0, 9000), (0, 90)), grain=STRIPS))
    sampled = [task.index for task in plan if plan.is_sampled(task)]
    gaps = np.diff([-1, *sampled, plan.total])
    assert len(sampled) >= plan.total / 16
    assert gaps.max() < 2 * 16
    few = plan_of(facts(Box.of((0, 90), (0, 90), (0, 40)), grain=STRIPS))
    assert [few.is_sampled(task) for task in few] == [True] * 3


def test_the_stamp_follows_what_ends_up_where_and_nothing_else() -> None:
    source = facts(Box.of((0, 2000), (0, 2000), (0, 64)))
    stamp = plan_of(source).stamp
    for same in ({"shard": Shard(1, 2)}, {"parallel": Parallel(n_jobs=1, backend="serial")}, {"verify": "full"}):
        assert plan_of(source, **same).stamp == stamp
    others = (
        {"extent": Extent(x=(0, 1000))},
        {"offset": (1, 0, 0)},
        {"blocks": Blocks(x=512)},
        {"empty": "erase"},
        {"missing": "fill"},
    )
    assert len({stamp, *(plan_of(source, **other).stamp for other in others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"extent": Extent(z=(0, 65))}, r"extent\.z=\[0, 65\]: the source has z 0 to 64"),
        ({"extent": Extent(x=(-1, 5))}, r"extent\.x=\[-1, 5\]: the source has x 0 to 2000"),
        ({"extent": Extent(t=(0, 2))}, r"extent\.t=\[0, 2\]: the source has time samples 0 to 1"),
        ({"offset": (-1, 0, 0)}, r"offset=\[-1, 0, 0\]: the destination would start at \(-1, 0, 0\).*offset=auto"),
        ({"blocks": Blocks(x=4096, y=4096)}, r"blocks=.*268,435,456 voxels; at most 67,108,864"),
    ],
)
def test_contradictions_name_key_value_and_remedy(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(JobError, match=sentence):
        plan_of(facts(Box.of((0, 2000), (0, 2000), (0, 64))), **changes)


def test_auto_offset_shifts_negative_starts_to_zero() -> None:
    plan = plan_of(facts(Box.of((-210, 50), (15, 60), (0, 4))), offset="auto")
    assert plan.offset == Vec(210, 0, 0)
    assert plan.volume.box == Box.of((0, 260), (15, 60), (0, 4))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("tile", [256, 512, 768, 1024, 2048, 4096])
def test_no_tile_is_decoded_for_two_tasks(tile: int, dtype: str) -> None:
    source = facts(Box.of((0, 20_000), (0, 20_000), (0, 64)), dtype, grain=Vec(tile, tile, 1))
    plan = plan_of(source)
    assert (plan.cut.step.x % tile, plan.cut.rows % tile, plan.cut.step.y % plan.cut.rows) == (0, 0, 0)
    assert plan.worker_memory <= 2 << 30


def test_tiles_of_odd_sizes_leave_tasks_as_they_are() -> None:
    box = Box.of((0, 20_000), (0, 20_000), (0, 64))
    assert plan_of(facts(box, grain=Vec(1000, 1000, 1))).cut == plan_of(facts(box)).cut
    assert plan_of(facts(box, grain=Vec(3, 3, 1))).cut == plan_of(facts(box)).cut
    little = plan_of(facts(box, grain=Vec(8192, 8192, 1)), parallel=Parallel(memory=1 << 28))
    assert little.worker_memory * 2 <= 1 << 28


def test_planes_from_tiles_are_cut_on_tiles() -> None:
    tile = Vec(1000, 700, 1)
    source = replace(facts(Box.of((5, 20_005), (3, 20_003), (0, 64)), grain=tile, grid=tile), corner=Vec(5, 3, 0))
    plan = plan_of(source, PLANES)
    for slab in list(plan.slabs(plan[0]))[:-1]:
        assert (slab.start.y - 3) % 700 == (slab.stop.y - 3) % 700 == 0
