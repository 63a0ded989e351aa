"""Shards: parts that cover a volume once whatever their number, and what is said of them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import memory
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import Place, job_between

from ndex.errors import DamagedData
from ndex.geometry import Box, Span, Vec
from ndex.job import Boss, End, Job, Shard
from ndex.planner import make_plan
from ndex.plans import Plan
from ndex.report import lines_of
from ndex.runner import run
from ndex.shards import overview
from ndex.volume import Facts, Layout

BOX = Box.of((5, 600), (0, 40), (3, 170))
TASKS = 11
"""Runs of 16 planes that BOX touches."""
CUBOID = Vec(512, 512, 16)


def plan_of(box: Box, times: int = 1) -> Plan:
    job = Job(boss=Boss(root=Path("boss")), source=End(kind="a"), destination=End(kind="b"))
    source = Facts("somewhere", "some:where", box, np.dtype("uint8"), Span(0, times), None, Vec(1, 1, 1))
    return make_plan(job, source, "the:target", Layout(grid=CUBOID), np.dtype("uint8"))


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> dict[str, Place]:
    monkeypatch.setattr(memory, "PLACES", {})
    memory.install()
    memory.PLACES["a"] = Place(BOX, np.random.default_rng(7).integers(1, 255, BOX.shape, np.uint8))
    memory.PLACES["b"] = Place(BOX, np.zeros(BOX.shape, np.uint8))
    return memory.PLACES


@pytest.fixture
def job(tmp_path: Path, places: dict[str, Place]) -> Callable[..., Job]:
    def make(**changes: object) -> Job:
        return job_between("a", "b", **{"journal": tmp_path / "journal", "verify": "none", **changes})

    return make


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 3), st.data())
def test_parts_cover_the_tasks_once_and_differ_by_one_at_most(depth: int, times: int, data: st.DataObject) -> None:
    whole = plan_of(Box.of((7, 1100), (0, 40), (3, 3 + depth)), times)
    count = data.draw(st.integers(1, 2 * whole.total + 3))
    plans = [replace(whole, shard=Shard(index, count)) for index in range(count)]
    assert [task for plan in plans for task in plan] == list(whole)
    assert {len(plan) for plan in plans} <= {whole.total // count, -(-whole.total // count)}
    assert sum(plan.voxels for plan in plans) == whole.voxels


def test_more_shards_than_anybody_has_are_parts_of_a_volume_that_nobody_can_hold() -> None:
    whole = plan_of(Box.of((0, 10**6), (0, 10**6), (0, 1000)))
    count = 10**5
    parts = [replace(whole, shard=Shard(index, count)).part for index in (0, 1, 77_777, 77_778, count - 1)]
    assert (parts[0].start, parts[-1].stop) == (0, whole.total)
    assert (parts[0].stop, parts[2].stop) == (parts[1].start, parts[3].start)
    assert {part.size for part in parts} <= {whole.total // count, whole.total // count + 1}


@pytest.mark.parametrize("count", [1, 2, TASKS, TASKS + 4])
def test_any_number_of_shards_transfers_all_of_it(
    count: int, job: Callable[..., Job], places: dict[str, Place]
) -> None:
    results = [run(job(shard=Shard(index, count))) for index in range(count)]
    assert [result.exit_code for result in results] == [0] * count
    assert np.array_equal(places["a"].array, places["b"].array)
    assert places["a"].calls["read"] == TASKS
    assert places["b"].calls["finish"] >= 1


def test_status_sums_up_all_shards_whichever_is_asked(job: Callable[..., Job], places: dict[str, Place]) -> None:
    def fail(box: Box) -> None:
        if box.start.z == 64:
            raise DamagedData("cut short")

    places["a"].fail_read = fail
    for index in (0, 1):
        run(job(shard=Shard(index, 4)))
    expected = [
        ("shard-0-of-4", 2, 0, 0),
        ("shard-1-of-4", 2, 1, 1),
        ("shard-2-of-4", 0, 3, 0),
        ("shard-3-of-4", 0, 3, 0),
    ]
    for asked in (Shard(), Shard(0, 4), Shard(3, 4)):
        status = run(job(action="status", shard=asked))
        assert (status.tasks, status.resumed, status.left) == (TASKS, 4, 7)
        states = status.details["shards"]
        assert [(s["name"], s["done"], s["left"], s["failed"]) for s in states] == expected  # type: ignore[attr-defined]
    lines = [line for line in lines_of(status) if "shard-" in line]
    assert lines[1].startswith("  shard-1-of-4: 2 done, 1 left, 1 failed, last seen 20")
    assert lines[3] == "  shard-3-of-4: 0 done, 3 left, 0 failed, never seen"


def test_status_before_the_first_run(job: Callable[..., Job]) -> None:
    assert run(job(action="status")).details["shards"] == []
    states = run(job(action="status", shard=Shard(1, 2))).details["shards"]
    assert [(s["last_seen"], s["left"]) for s in states] == [(None, 5), (None, 6)]  # type: ignore[attr-defined]


def test_one_shard_verifies_what_any_number_has_written(job: Callable[..., Job], places: dict[str, Place]) -> None:
    for index in range(3):
        run(job(shard=Shard(index, 3)))
    assert run(job(action="verify")).done == TASKS
    places["b"].array[-1] ^= 1
    verified = run(job(action="verify"))
    assert (verified.exit_code, verified.done, len(verified.failed)) == (1, TASKS - 1, 1)
    assert [run(job(action="verify", shard=Shard(index, 2))).exit_code for index in range(2)] == [0, 1]
    again = [run(job(shard=Shard(index, 5))) for index in range(5)]
    assert [result.done for result in again] == [0, 0, 0, 0, 1]
    assert run(job(action="verify")).exit_code == 0


def test_what_is_left_of_a_part_may_have_been_done_by_another_count() -> None:
    plan = plan_of(BOX)
    seen = [
        {"name": "shard-1-of-10", "done": 1, "failed": 0, "last_seen": 9.0},
        {"name": "shard-0-of-2", "done": 5, "failed": 0, "last_seen": 5.0},
    ]
    states = overview(plan, 1, seen, [0, 1, 2, 3, 4, 10])
    assert [state["name"] for state in states] == ["shard-0-of-2", *(f"shard-{index}-of-10" for index in range(10))]
    assert [state["left"] for state in states] == [0, *[0] * 5, *[1] * 5]
    assert [state["name"] for state in overview(plan, 2, seen, [])][:2] == ["shard-0-of-2", "shard-1-of-2"]
    assert len(overview(plan, 2, seen, [])) == 3


def test_of_many_shards_those_are_listed_that_have_something_left(job: Callable[..., Job]) -> None:
    for index in range(TASKS - 1):
        run(job(shard=Shard(index, TASKS + 20)))
    lines = [line for line in lines_of(run(job(action="status"))) if " shard" in line]
    left = sum("1 left" in line for line in lines)
    assert lines[-1] == f"  and {TASKS + 20 - left} shards of whose parts nothing is left"
    assert len(lines) == left + 1
