"""The runner: what is done, what is left, what failed; with exact counts of what was called."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import memory
import numpy as np
import pytest
from memory import Place, job_between

from ndex.errors import AccessError, DamagedData, JobError, TransientError
from ndex.events import Event, Note, Result, Started, Stopping, TaskDone, TaskFailed
from ndex.geometry import Box
from ndex.job import Extent, Job, Parallel, Retry, Shard
from ndex.journal import Journal, folder_of
from ndex.known import known
from ndex.report import lines_of, plain
from ndex.runner import run
from ndex.volume import Pause, Say

BOX = Box.of((5, 600), (0, 40), (3, 170))
TASKS = 11
"""Runs of 16 planes that BOX touches."""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Place]:
    monkeypatch.setattr(memory, "PLACES", {})
    memory.install()
    rng = np.random.default_rng(7)
    memory.PLACES["a"] = Place(BOX, rng.integers(1, 255, BOX.shape, np.uint8))
    memory.PLACES["b"] = Place(BOX, np.zeros(BOX.shape, np.uint8))
    return memory.PLACES


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    def make(**changes: object) -> Job:
        return job_between("a", "b", **{"journal": tmp_path / "journal", "verify": "none", **changes})

    return make


def equal(places: dict[str, Place]) -> bool:
    return bool(np.array_equal(places["a"].array, places["b"].array))


def layer(box: Box) -> int:
    """Index of the task that a box of BOX belongs to."""
    return box.start.z // 16


def fail_in(tasks: set[int], error: Exception) -> Callable[[Box], None]:
    def fail(box: Box) -> None:
        if layer(box) in tasks:
            raise error

    return fail


@pytest.mark.parametrize("backend", ["serial", "threads"])
def test_everything_is_moved_and_a_second_run_finds_nothing_left(
    backend: str, job: Callable[..., Job], places: dict[str, Place]
) -> None:
    events: list[Event] = []
    result = run(job(parallel=Parallel(backend=backend, n_jobs=3)), [events.append])
    assert equal(places)
    assert (result.exit_code, result.done, result.resumed, result.left) == (0, TASKS, 0, 0)
    assert (result.voxels, result.nbytes) == (BOX.voxels, BOX.voxels)
    assert [type(event) for event in events] == [Started, *[TaskDone] * TASKS, Result]
    again = run(job())
    assert (again.exit_code, again.done, again.resumed) == (0, 0, TASKS)
    assert places["a"].calls["read"] == places["b"].calls["write"] == TASKS


def test_a_failing_task_does_not_take_the_others_along(job: Callable[..., Job], places: dict[str, Place]) -> None:
    places["a"].fail_read = fail_in({4}, DamagedData("plane 64 is cut short"))
    result = run(job())
    assert (result.exit_code, result.done, result.left) == (1, TASKS - 1, 1)
    assert [(task.index, task.reason) for task in result.failed] == [(4, "plane 64 is cut short")]
    places["a"].fail_read = lambda box: None
    places["b"].calls.clear()
    assert run(job()).exit_code == 0
    assert places["b"].calls["write"] == 1
    assert equal(places)


def test_a_bug_is_a_failure_with_a_traceback(job: Callable[..., Job], places: dict[str, Place]) -> None:
    places["a"].fail_read = fail_in({4}, ZeroDivisionError("oops"))
    (failed,) = run(job()).failed
    assert failed.reason == "unexpected ZeroDivisionError: oops"
    assert failed.bug is not None
    assert "Traceback" in failed.bug


def test_a_refused_token_stops_the_run(job: Callable[..., Job], places: dict[str, Place]) -> None:
    places["b"].fail_write = fail_in(set(range(2, 99)), AccessError("the token is refused"))
    events: list[Event] = []
    result = run(job(parallel=Parallel(backend="serial")), [events.append])
    assert (result.exit_code, result.done, len(result.failed)) == (1, 2, 1)
    assert result.error == "the token is refused"
    assert Stopping("the token is refused") in events
    assert places["b"].calls["write"] == 3


def test_a_side_that_stays_away_stops_the_run(job: Callable[..., Job], places: dict[str, Place]) -> None:
    tall = Box.of((0, 8), (0, 8), (0, 16 * 50))
    for name in "ab":
        places[name] = Place(tall, np.ones(tall.shape, np.uint8))
    places["b"].fail_write = fail_in(set(range(10, 99)), TransientError("connection reset"))
    result = run(job(parallel=Parallel(backend="serial")))
    assert (result.exit_code, result.done, len(result.failed), result.left) == (1, 10, 20, 40)
    assert result.error is not None
    assert "20 tasks in a row failed, the last one so: connection reset" in result.error


def test_stopping_keeps_what_is_done(job: Callable[..., Job], places: dict[str, Place]) -> None:
    stop = threading.Event()

    def listener(event: Event) -> None:
        if isinstance(event, TaskDone) and event.index == 3:
            stop.set()

    result = run(job(parallel=Parallel(backend="serial")), [listener], stop)
    assert (result.exit_code, result.done) == (130, 4)
    again = run(job())
    assert (again.exit_code, again.done, again.resumed) == (0, TASKS - 4, 4)
    assert places["a"].calls["read"] == TASKS


def test_full_verification_repairs_once(job: Callable[..., Job], places: dict[str, Place]) -> None:
    spoiled: set[int] = set()

    def spoil(box: Box, array: np.ndarray) -> np.ndarray:
        first = layer(box) not in spoiled
        spoiled.add(layer(box))
        return array ^ 1 if first and layer(box) in (2, 5) else array

    places["b"].spoil = spoil
    result = run(job(verify="full"))
    assert (result.exit_code, result.verified, result.repaired) == (0, TASKS, 2)
    assert equal(places)
    assert places["b"].calls["write"] == TASKS + 2


def test_a_difference_that_stays_is_a_failure(job: Callable[..., Job], places: dict[str, Place]) -> None:
    places["b"].spoil = lambda box, array: array ^ 1 if layer(box) == 2 else array
    result = run(job(verify="full"))
    assert (result.exit_code, result.done) == (1, TASKS - 1)
    assert "1 of 1 blocks at the destination differ" in result.failed[0].reason
    assert "empty=erase" in result.failed[0].reason


def test_sampling_reads_back_a_share(job: Callable[..., Job], places: dict[str, Place]) -> None:
    result = run(job(verify="sample"))
    assert 4 <= result.verified < TASKS
    assert places["b"].calls["read"] == result.verified


def test_what_vanished_from_the_destination_is_done_again(job: Callable[..., Job], places: dict[str, Place]) -> None:
    run(job())
    places["b"].lost = {Box.of((5, 600), (0, 40), (32, 48))}
    result = run(job())
    assert (result.done, result.resumed) == (1, TASKS - 1)


def test_shards_share_the_work_and_the_memory_of_it(job: Callable[..., Job], places: dict[str, Place]) -> None:
    first = run(job(shard=Shard(0, 2)))
    assert first.tasks == first.done == TASKS // 2
    halfway = [run(job(shard=Shard(i, 3))) for i in range(3)]
    assert sum(part.resumed for part in halfway) == first.done
    assert sum(part.done for part in halfway) == TASKS - first.done
    assert equal(places)
    assert places["a"].calls["read"] == TASKS
    status = run(job(action="status"))
    assert (status.resumed, status.left) == (TASKS, 0)
    names = [shard["name"] for shard in status.details["shards"]]  # type: ignore[attr-defined]
    assert names == ["shard-0-of-2", "shard-0-of-3", "shard-1-of-3", "shard-2-of-3"]


def test_the_destination_is_told_when_all_shards_are_done(job: Callable[..., Job], places: dict[str, Place]) -> None:
    for done in range(3):
        assert places["b"].calls["finish"] == 0
        run(job(shard=Shard(done, 3)))
    assert places["b"].calls["finish"] == 1
    places["a"].fail_read = fail_in({4}, DamagedData("plane 64 is cut short"))
    run(job(offset=(0, 0, 0), extent=Extent(z=(3, 160))))
    assert places["b"].calls["finish"] == 1


def test_links_and_words_of_the_destination_are_passed_on(job: Callable[..., Job], places: dict[str, Place]) -> None:
    def finish(say: Say, pause: Pause) -> tuple[str, ...]:
        say("building")
        assert not pause(0)
        return ("https://look.here",)

    places["b"].finish = finish
    for done in (TASKS, 0):
        events: list[Event] = []
        result = run(job(), [events.append])
        assert (result.exit_code, result.done, result.links) == (0, done, ("https://look.here",))
        assert events[-2] == Note("building")


def test_what_fails_after_the_last_task_is_a_failure(job: Callable[..., Job], places: dict[str, Place]) -> None:
    def finish(say: Say, pause: Pause) -> tuple[str, ...]:
        raise AccessError("the token may not downsample")

    places["b"].finish = finish
    result = run(job())
    assert (result.exit_code, result.done, result.error) == (1, TASKS, "the token may not downsample")
    *_, data, but, go_on = lines_of(result)
    assert (data, but) == ("  the data is in memory:b", "  but the token may not downsample")
    assert go_on.startswith("  to try that again: ndex job=job")


def test_waiting_after_the_last_task_can_be_stopped(job: Callable[..., Job], places: dict[str, Place]) -> None:
    stop = threading.Event()

    def finish(say: Say, pause: Pause) -> tuple[str, ...]:
        stop.set()
        assert pause(3600)
        return ()

    places["b"].finish = finish
    assert run(job(), stop=stop).exit_code == 130


def test_a_plan_writes_nothing(job: Callable[..., Job], places: dict[str, Place], tmp_path: Path) -> None:
    result = run(job(action="plan"))
    assert result.details["tasks"] == TASKS
    assert not list(tmp_path.iterdir())
    assert not places["a"].calls["read"] + places["b"].calls["prepare"]


def test_verify_compares_with_the_source(job: Callable[..., Job], places: dict[str, Place]) -> None:
    run(job())
    assert run(job(action="verify")).exit_code == 0
    places["b"].array[50, 3, 3] ^= 1
    result = run(job(action="verify"))
    assert (result.exit_code, result.verified, [task.index for task in result.failed]) == (1, TASKS - 1, [3])


def test_verify_works_from_the_journal_alone(job: Callable[..., Job], places: dict[str, Place]) -> None:
    run(job())
    places["a"].gone = True
    notes: list[Event] = []
    assert run(job(action="verify"), [notes.append]).exit_code == 0
    assert isinstance(notes[0], Note)
    assert "checksums of the journal" in notes[0].text
    places["b"].array[50, 3, 3] ^= 1
    assert [task.index for task in run(job(action="verify")).failed] == [3]
    assert run(job(action="status")).resumed == TASKS - 1
    places["a"].gone = False
    assert run(job()).done == 1


def test_source_and_destination_must_differ(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="source and destination are the same"):
        run(job_between("a", "a", journal=tmp_path))


def test_a_second_run_of_the_same_job_is_told_so(job: Callable[..., Job], tmp_path: Path) -> None:
    run(job())
    (folder,) = (tmp_path / "journal").iterdir()
    with Journal(folder, Shard()), pytest.raises(JobError, match="Another run of this job is under way"):
        run(job())


def test_a_damaged_journal_keeps_the_rows_that_can_be_believed(
    job: Callable[..., Job], places: dict[str, Place], tmp_path: Path
) -> None:
    run(job())
    (folder,) = (tmp_path / "journal").iterdir()
    path = folder / "shard-0-of-1.1.journal"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # as a bad disk does
    path.write_bytes(content[:-50])
    os.utime(path, (0, 0))
    result = run(job())
    assert result.exit_code == 0
    assert result.done == 2
    assert equal(places)
    assert set(known(folder).done) == set(range(TASKS))


def test_a_journal_forgets_what_failed_later(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "job", "stamp")
    with Journal(folder, Shard()) as journal:
        journal.keep(TaskDone(1, BOX, 0, 9, (1, 2)))
        journal.keep(TaskDone(2, BOX, 0, 9, (3,)))
        journal.keep(TaskFailed(1, BOX, 0, "gone bad"))
    found = known(folder)
    assert {index: found.checksums(index) for index in found.done} == {2: (3,)}
    assert {index: failure.reason for index, failure in found.failed.items()} == {1: "gone bad"}
    assert [(state.done, state.failed) for state in found.states()] == [(1, 1)]


def test_the_last_word_of_all_shards_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("ndex.journal.time.time", lambda: clock[0])
    folder = folder_of(tmp_path, "job", "stamp")
    done, failed = TaskDone(1, BOX, 0, 9, (1,)), TaskFailed(2, BOX, 0, "gone bad")
    with Journal(folder, Shard(0, 2)) as one, Journal(folder, Shard(0, 3)) as other:
        for log, outcome in (
            (one, done),
            (other, replace(failed, index=1)),
            (one, failed),
            (other, replace(done, index=2)),
        ):
            clock[0] += 3600.0
            log.keep(outcome)
    assert list(known(folder).done) == [2]
    assert {index: failure.at for index, failure in known(folder).failed.items()} == {1: 7200.0}


def only_failed(job: Callable[..., Job], **changes: object) -> Job:
    return job(retry=Retry(only_failed=True), **changes)


def test_only_what_failed_is_done_again(job: Callable[..., Job], places: dict[str, Place]) -> None:
    stop = threading.Event()

    def listener(event: Event) -> None:
        if isinstance(event, TaskDone) and event.index == 6:
            stop.set()

    places["a"].fail_read = fail_in({1, 4}, DamagedData("cut short"))
    first = run(job(parallel=Parallel(backend="serial")), [listener], stop)
    assert (first.done, len(first.failed), first.left) == (5, 2, 6)
    places["a"].fail_read = lambda box: None
    places["a"].calls.clear()
    events: list[Event] = []
    again = run(only_failed(job), [events.append])
    assert (again.exit_code, again.done, again.resumed, again.untried, again.left) == (0, 2, 5, 4, 0)
    assert sorted(event.index for event in events if isinstance(event, TaskDone)) == [1, 4]
    assert isinstance(events[0], Started)
    assert events[0].left == 2
    assert places["a"].calls["read"] == 2
    assert places["b"].calls["finish"] == 0
    assert "2 of 2 tasks transferred" in lines_of(again)[0]
    assert "  untried    4 tasks, left alone with retry.only_failed" in lines_of(again)
    rest = run(job())
    assert (rest.done, rest.resumed) == (4, 7)
    assert equal(places)
    assert places["b"].calls["finish"] == 1


def test_what_fails_again_stays_failed(job: Callable[..., Job], places: dict[str, Place]) -> None:
    places["a"].fail_read = fail_in({1, 4}, DamagedData("cut short"))
    run(job())
    places["a"].fail_read = fail_in({4}, DamagedData("still cut short"))
    result = run(only_failed(job))
    assert (result.exit_code, result.done, result.untried, result.left) == (1, 1, 0, 1)
    status = run(job(action="status"))
    assert [(one["task"], one["reason"]) for one in status.details["failed"]] == [(4, "still cut short")]  # type: ignore[attr-defined]
    places["a"].fail_read = lambda box: None
    assert run(only_failed(job)).exit_code == 0
    assert places["b"].calls["finish"] == 1


def test_without_failures_there_is_nothing_to_do_again(job: Callable[..., Job], places: dict[str, Place]) -> None:
    result = run(only_failed(job))
    assert (result.exit_code, result.done, result.untried) == (0, 0, TASKS)
    assert lines_of(result) == [f"job: no task has failed; {TASKS} of {TASKS} were never tried"]
    assert places["a"].calls["read"] == 0


def test_each_shard_does_its_own_failures_again(job: Callable[..., Job], places: dict[str, Place]) -> None:
    places["a"].fail_read = fail_in({1, 7}, DamagedData("cut short"))
    run(job())
    places["a"].fail_read = lambda box: None
    parts = [run(only_failed(job, shard=Shard(index, 3))) for index in range(3)]
    assert [part.done for part in parts] == [1, 0, 1]
    assert run(job(action="status")).details["failed"] == []
    assert run(job()).resumed == TASKS


def test_status_lists_failures_without_either_end(job: Callable[..., Job], places: dict[str, Place]) -> None:
    tall = Box.of((0, 8), (0, 8), (0, 16 * 50))
    for name in "ab":
        places[name] = Place(tall, np.ones(tall.shape, np.uint8))
    places["b"].fail_write = fail_in(set(range(10, 40)), DamagedData("no space left"))
    run(job())
    places["a"].gone = True
    notes: list[Event] = []
    result = run(job(action="status"), [notes.append])
    assert isinstance(notes[0], Note)
    assert "memory:a does not exist" in notes[0].text
    first, *lines = lines_of(result)
    assert first == "job: 20 of 50 tasks done, 30 left, 30 of them failed (retry.only_failed=true takes just those)"
    assert len(lines) == 20 + 1 + 1 + 1 + 1
    assert lines[0].startswith("  failed 20")
    assert lines[0].endswith(", x 0:8, y 0:8, z 160:176: no space left")
    assert lines[20] == "  and 10 more; report.format=json lists them all"
    assert lines[21].startswith("  shard-0-of-1: 20 done, 30 left, 30 failed, last seen 20")
    assert plain(result)["details"]["failed"][29]["box"]["z"] == [624, 640]
