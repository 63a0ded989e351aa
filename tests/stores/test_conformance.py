"""Every kind of place keeps the same promises: what `ndex.volume` says of a Readable and a Writable."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conformance import (
    BOX,
    CASES,
    HalfWay,
    case_of,
    finished,
    odd_boxes,
    prepared,
    read_only,
    tasks,
    volume,
    voxels,
    write_task,
    written,
)

from ndex.errors import DamagedData, JobError
from ndex.geometry import Span
from ndex.job import Job
from ndex.stores import KINDS, module_of, open_destination, open_source, settings_of

WRITABLE = [kind for kind in KINDS if settings_of(kind, "destination")]


@pytest.fixture(scope="module", params=WRITABLE)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Job]]:
    """A function that makes a job with a new place of this kind at both ends. A kind without a case fails here."""
    with case_of(request.param).places(tmp_path_factory.mktemp(request.param)) as places:
        yield places


@pytest.fixture
def job(place: Callable[[], Job]) -> Job:
    return place()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_a_module_with_settings_for_its_roles(kind: str) -> None:
    for role in ("source", "destination"):
        settings = settings_of(kind, role)
        assert (settings is not None) == hasattr(module_of(kind), f"open_{role}")
        assert settings is None or settings.__dataclass_fields__["kind"].default == kind


def test_nothing_there(job: Job) -> None:
    source, destination = open_source(job), open_destination(job)
    with pytest.raises(JobError) as caught:
        source.facts()
    assert len(str(caught.value)) > 20
    assert destination.check(volume("uint8")), "what would be created"
    with pytest.raises(JobError):
        source.facts()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint64"])
def test_what_is_written_is_read(job: Job, dtype: str) -> None:
    array = voxels(dtype)
    destination, source = written(job, array), open_source(job)
    for box in odd_boxes(20):
        for piece in (source.read(box, 0), destination.read(box, 0)):
            assert piece.filled == ()
            assert piece.array.dtype == np.dtype(dtype)
            np.testing.assert_array_equal(piece.array, array[BOX.slices(box)])


def test_facts_are_of_what_was_written(job: Job) -> None:
    destination, facts = written(job, voxels("uint16")), open_source(job).facts()
    assert (facts.dtype, facts.times, facts.box.stop) == (np.uint16, Span(0, 1), BOX.stop)
    assert facts.box.contains(BOX), "a coordinate frame may begin before what is in it"
    assert (facts.identity, facts) == (destination.identity, open_source(job).facts())
    assert facts.label
    assert destination.label
    assert min(facts.grain) > 0


def test_places_are_told_apart(place: Callable[[], Job]) -> None:
    stores = [open_destination(place()) for _ in range(3)]
    assert len({store.identity for store in stores}) == len({store.label for store in stores}) == 3


def test_reading_twice_gives_the_same_and_never_a_view(job: Job) -> None:
    written(job, voxels("uint8"))
    store = open_source(job)
    first = store.read(BOX, 0).array
    first[...] = 0
    np.testing.assert_array_equal(store.read(BOX, 0).array, voxels("uint8"))


def test_threads_share_a_store(job: Job) -> None:
    array = voxels("uint8")
    store = prepared(job, "uint8")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda task: write_task(store, task, array), tasks(store)))
        finished(store, "uint8")
        pieces = list(pool.map(lambda box: (box, open_source(job).read(box, 0)), odd_boxes(8)))
        source = open_source(job)
        pieces += pool.map(lambda box: (box, source.read(box, 0)), odd_boxes(8))
    for box, piece in pieces:
        np.testing.assert_array_equal(piece.array, array[BOX.slices(box)])


def test_only_settings_travel(job: Job) -> None:
    """To another process, that is; a store is opened there from the job alone, and reads at once."""
    written(job, voxels("uint8")).close()
    again = pickle.loads(pickle.dumps(job))
    assert again == job
    assert hash(again) == hash(job)
    np.testing.assert_array_equal(open_source(again).read(BOX, 0).array, voxels("uint8"))


def test_a_place_is_opened_again_after_it_was_closed(job: Job) -> None:
    written(job, voxels("uint8")).close()
    for _ in range(2):
        store = open_source(job)
        np.testing.assert_array_equal(store.read(BOX, 0).array, voxels("uint8"))
        store.close()


def test_preparing_again_changes_nothing(job: Job) -> None:
    written(job, voxels("uint8"))
    store = prepared(job, "uint8")
    assert store.check(volume("uint8")) == []
    np.testing.assert_array_equal(store.read(BOX, 0).array, voxels("uint8"))


def test_a_task_is_written_again(job: Job) -> None:
    store = written(job, voxels("uint8"))
    other = voxels("uint8", seed=1)
    write_task(store, tasks(store)[0], other)
    expected = voxels("uint8")
    part = BOX.slices(tasks(store)[0])
    expected[part] = other[part]
    np.testing.assert_array_equal(store.read(BOX, 0).array, expected)


def test_a_task_that_failed_half_way_is_written_again(job: Job) -> None:
    store, array = prepared(job, "uint8"), voxels("uint8")
    first, *others = tasks(store)
    for task in others:
        write_task(store, task, array)
    with pytest.raises(HalfWay):
        write_task(store, first, array, rows=20)
    write_task(store, first, array)
    finished(store, "uint8")
    np.testing.assert_array_equal(open_source(job).read(BOX, 0).array, array)
    assert open_source(job).facts().box.contains(BOX)


def test_only_what_is_written_is_held(job: Job) -> None:
    store, array = prepared(job, "uint8"), voxels("uint8")
    first, second, *others = tasks(store)
    write_task(store, second, array)
    with pytest.raises(HalfWay):
        write_task(store, first, array, rows=20)
    again = open_destination(job)
    again.expect(volume("uint8"))
    held = again.held([(task, 0) for task in (first, second, *others)])
    alone = case_of(job.destination.kind).of_one_job
    assert held.tolist() == [not alone, True, *(not alone for _ in others)]


def test_what_another_job_has_written_is_refused_and_left_alone(job: Job) -> None:
    written(job, voxels("uint8"))
    store, other = open_destination(job), replace(volume("uint8"), stamp="an0therstamp4567")
    store.expect(other)
    if case_of(job.destination.kind).of_one_job:
        with pytest.raises(JobError, match=r"^destination\."):
            store.check(other)
    else:
        assert store.check(other) == []
    np.testing.assert_array_equal(open_source(job).read(BOX, 0).array, voxels("uint8"))


def test_time_samples_are_kept_apart_or_refused(job: Job) -> None:
    store, two = open_destination(job), replace(volume("uint8"), times=Span(0, 2), timed=True)
    store.expect(two)
    refusal = ""
    try:
        store.check(two)
    except JobError as error:
        refusal = str(error)
    if refusal:
        assert "time samples" in refusal
        return
    store.prepare(two)
    for t in range(*two.times):
        for task in tasks(store):
            write_task(store, task, voxels("uint8", seed=t), t=t)
    for t in range(*two.times):
        np.testing.assert_array_equal(store.read(BOX, t).array, voxels("uint8", seed=t))


@pytest.mark.parametrize("kind", [kind for kind, case in CASES.items() if case.files])
def test_a_file_that_is_cut_off_is_named(kind: str, tmp_path: Path) -> None:
    case = case_of(kind)
    with case.places(tmp_path) as places:
        job = places()
        written(job, voxels("uint8")).close()
        assert case.files is not None
        damaged = case.files(job)[-1]
        damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
        with pytest.raises((DamagedData, JobError), match=damaged.name):
            open_source(job).read(BOX, 0)


def test_a_worker_in_another_process_is_only_told_what_to_expect(job: Job) -> None:
    array = voxels("uint8")
    first, *others = tasks(prepared(job, "uint8"))
    for task in (first, *others):
        worker = open_destination(job)
        worker.expect(volume("uint8"))
        write_task(worker, task, array)
        np.testing.assert_array_equal(worker.read(task, 0).array, array[BOX.slices(task)])
        assert worker.held([(task, 0)]).all()
        worker.close()
    finished(prepared(job, "uint8"), "uint8")
    np.testing.assert_array_equal(open_source(job).read(BOX, 0).array, array)


@pytest.fixture(scope="module", params=[kind for kind in KINDS if kind not in WRITABLE])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """A job that reads `voxels("uint8")` from a place of a kind that cannot be written."""
    with read_only(request.param)(tmp_path_factory.mktemp(request.param)) as job:
        yield job


def test_what_can_only_be_read_is_read(filled: Job) -> None:
    array, source = voxels("uint8"), open_source(filled)
    facts = source.facts()
    assert (facts.dtype, facts.times) == (np.uint8, Span(0, 1))
    assert facts.box.contains(BOX)
    assert facts == open_source(filled).facts()
    assert facts.label
    assert min(facts.grain) > 0
    with ThreadPoolExecutor(4) as pool:
        for box, piece in zip(boxes := odd_boxes(12), pool.map(lambda box: source.read(box, 0), boxes), strict=True):
            assert (piece.filled, piece.array.dtype) == ((), np.uint8)
            np.testing.assert_array_equal(piece.array, array[BOX.slices(box)])
            piece.array[...] = 0
        np.testing.assert_array_equal(source.read(BOX, 0).array, array)


def test_only_settings_travel_to_what_can_only_be_read(filled: Job) -> None:
    again = pickle.loads(pickle.dumps(filled))
    assert (again, hash(again)) == (filled, hash(filled))
    for _ in range(2):
        store = open_source(again)
        np.testing.assert_array_equal(store.read(BOX, 0).array, voxels("uint8"))
        store.close()
