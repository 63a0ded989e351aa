"""Journals where none can be written: the job says so, and what is done stays done."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ndex.errors import JobError, PermanentError
from ndex.events import TaskDone
from ndex.geometry import Box
from ndex.job import Shard
from ndex.journal import Journal, records

BOX = Box.of((0, 1), (0, 1), (0, 1))


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ndex.journal.BUSY_SECONDS", 0.0)


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_file_in_the_way(folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match=r"journal=.*file.* cannot be used: .*(directory|exists)"):
        Journal(tmp_path / folder / "job-stamp", Shard()).__enter__()


def test_no_room_at_the_beginning(tmp_path: Path) -> None:
    with Journal(tmp_path / "job-stamp", Shard()) as journal:
        limit(journal)
        with pytest.raises(JobError, match=r"journal=.* cannot be used: database or disk is full"):
            journal.describe({"plan": "x" * 100_000})


def test_no_room_on_the_way_keeps_what_was_done(tmp_path: Path) -> None:
    folder = tmp_path / "job-stamp"
    with Journal(folder, Shard()) as journal:
        journal.keep(TaskDone(0, BOX, 0, 1, (7,)))
        limit(journal)
        with pytest.raises(PermanentError, match="disk is full"):
            journal.keep(TaskDone(1, BOX, 0, 1, tuple(range(20_000))))
    assert set(records(folder)) == {0}


def limit(journal: Journal) -> None:
    """As on a disk without room: the file can grow no more."""
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages}")


@pytest.mark.usefixtures("no_waiting")
def test_a_journal_that_is_locked_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    folder = tmp_path / "job-stamp"
    with Journal(folder, Shard()) as journal:
        journal.keep(TaskDone(0, BOX, 0, 1, (7,)))
    with sqlite3.connect(folder / "shard-0-of-1.sqlite") as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JobError, match="database is locked"):
            Journal(folder, Shard()).__enter__()
        with pytest.raises(JobError, match="database is locked"):
            records(folder)
    other.close()
    assert set(records(folder)) == {0}
    assert [path.name for path in folder.glob("*.damaged")] == []
