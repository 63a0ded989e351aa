"""Journals where none can be written: the job says so, and what is done stays done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ndex.errors import JobError, PermanentError
from ndex.events import TaskDone
from ndex.geometry import Box
from ndex.job import Shard
from ndex.journal import Journal
from ndex.known import known

BOX = Box.of((0, 1), (0, 1), (0, 1))


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_file_in_the_way(folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match=r"journal=.*file.* cannot be used: .*(directory|exists)"):
        Journal(tmp_path / folder / "job-stamp", Shard()).__enter__()


@pytest.fixture
def full_disk() -> Iterator[Callable[[Path], None]]:
    """Lets files grow no more than they have, as on a disk without room."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda path: resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_at_the_beginning(tmp_path: Path, full_disk: Callable[[Path], None]) -> None:
    with Journal(tmp_path / "job-stamp", Shard()) as journal:
        full_disk(journal.path)
        with pytest.raises(JobError, match=r"journal=.* cannot be used: File too large"):
            journal.describe("x" * 100_000)


def test_no_room_on_the_way_keeps_what_was_done(tmp_path: Path, full_disk: Callable[[Path], None]) -> None:
    folder = tmp_path / "job-stamp"
    with Journal(folder, Shard()) as journal:
        journal.keep(TaskDone(0, BOX, 0, 1, (7,)))
        full_disk(journal.path)
        with pytest.raises(PermanentError, match=r"journal=.* cannot be used: File too large"):
            journal.keep(TaskDone(1, BOX, 0, 1, tuple(range(20_000))))
    assert list(known(folder).done) == [0]
    with Journal(folder, Shard()) as journal:
        assert list(journal.known.done) == [0]


def test_a_file_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    folder = tmp_path / "job-stamp"
    with Journal(folder, Shard()) as journal:
        journal.keep(TaskDone(0, BOX, 0, 1, (7,)))
    (folder / "shard-0-of-2.1.journal").mkdir()
    with pytest.raises(JobError, match=r"journal=.*shard-0-of-2.1.journal cannot be used"):
        known(folder)


def test_a_run_that_tried_nothing_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "job-stamp"
    with Journal(folder, Shard()) as journal:
        assert journal.path.exists()
    assert list(folder.iterdir()) == []
