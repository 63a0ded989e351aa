"""Journals after power cuts, kills and bad disks: what they surely say is believed, the rest is done again."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import memory
import numpy as np
import pytest
from memory import Place, job_between

from ndex import run
from ndex.errors import DamagedData, JobError
from ndex.geometry import Box
from ndex.job import Blocks, Job
from ndex.journal import records

TASKS = 110
DONE = set(range(100))
BOX = Box.of((0, 8), (0, 8), (0, 16 * TASKS))
BLOCKS = Blocks(4, 1, 16)
"""So small that the checksums fill several pages."""
PAGE = 4096
SOURCE = np.random.default_rng(7).integers(1, 255, BOX.shape, np.uint8)


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a run in which some tasks failed; each is forced to the disk, which takes its time."""
    journal = tmp_path_factory.mktemp("half") / "journal"
    with pytest.MonkeyPatch.context() as patch:
        two_places(patch)
        memory.PLACES["b"].fail_write = fail_late
        assert run(job_to(journal)).done == len(DONE)
    return journal


@pytest.fixture
def job(half_done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """One of which most is done."""
    two_places(monkeypatch)
    memory.PLACES["b"].array[: 16 * len(DONE)] = SOURCE[: 16 * len(DONE)]
    shutil.copytree(half_done, tmp_path / "journal")
    return job_to(tmp_path / "journal")


def two_places(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(memory, "PLACES", {"a": Place(BOX, SOURCE), "b": Place(BOX, np.zeros(BOX.shape, np.uint8))})
    memory.install()


def job_to(journal: Path, **changes: object) -> Job:
    return job_between("a", "b", journal=journal, verify="none", blocks=BLOCKS, **changes)


def fail_late(box: Box) -> None:
    if box.start.z // 16 not in DONE:
        raise DamagedData("not this one")


def file_of(job: Job) -> Path:
    (folder,) = job.journal.iterdir()
    return folder / "shard-0-of-1.sqlite"


def cut_last_page(content: bytes) -> bytes:
    return content[:-PAGE]


def cut_in_page(content: bytes) -> bytes:
    return content[: -PAGE - 100]


def zero_last_page(content: bytes) -> bytes:
    return content[:-PAGE] + bytes(PAGE)


def zero_header(content: bytes) -> bytes:
    return bytes(PAGE) + content[PAGE:]


def zero_middle(content: bytes) -> bytes:
    half = len(content) // 2 // PAGE * PAGE
    return content[:half] + bytes(PAGE) + content[half + PAGE :]


def append_garbage(content: bytes) -> bytes:
    return content + random.Random(1).randbytes(3 * PAGE)


def flip_bytes(content: bytes) -> bytes:
    draw, changed = random.Random(2), bytearray(content)
    for _ in range(40):
        changed[draw.randrange(PAGE, len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def nothing_left(content: bytes) -> bytes:
    return b""


def all_garbage(content: bytes) -> bytes:
    return random.Random(3).randbytes(len(content))


DAMAGES = [
    *(cut_last_page, cut_in_page, zero_last_page, zero_header, zero_middle),
    *(append_garbage, flip_bytes, nothing_left, all_garbage),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_a_damaged_journal_says(damage: Callable[[bytes], bytes], job: Job) -> None:
    path = file_of(job)
    path.write_bytes(damage(path.read_bytes()))
    check(job)


def check(job: Job) -> None:
    """Nothing is believed that is not so, and the next run completes."""
    status = run(job_to(job.journal, action="status"))
    assert status.resumed <= len(DONE)
    result = run(job)
    assert (result.exit_code, result.done + result.resumed, result.failed) == (0, TASKS, ())
    assert result.resumed <= len(DONE)
    assert np.array_equal(memory.PLACES["a"].array, memory.PLACES["b"].array)
    assert set(records(file_of(job).parent)) == set(range(TASKS))
    assert run(job).resumed == TASKS


def killed_while_committing(path: Path) -> None:
    """The files as a kill leaves them: some pages of the commit written, and the journal to roll them back."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN")
    rows = ((task, b"1234", 0, 0.0, 0) for task in range(len(DONE), 5000))
    db.executemany("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?, ?)", rows)
    hot = path.with_name(path.name + "-journal")
    assert hot.stat().st_size > 0
    copies = [shutil.copy(file, f"{file}.copy") for file in (path, hot)]
    db.close()
    for copy in copies:
        os.replace(copy, copy.removesuffix(".copy"))


def test_an_unfinished_commit_is_rolled_back(job: Job) -> None:
    killed_while_committing(file_of(job))
    assert run(job_to(job.journal, action="status")).resumed == len(DONE)
    check(job)


@pytest.mark.parametrize("damage", [zero_header, nothing_left, all_garbage, zero_last_page])
def test_an_unfinished_commit_to_a_damaged_file(damage: Callable[[bytes], bytes], job: Job) -> None:
    path = file_of(job)
    killed_while_committing(path)
    path.write_bytes(damage(path.read_bytes()))
    check(job)


def test_a_folder_in_the_way_of_the_journal(job: Job, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JobError, match="journal"):
        run(job_to(tmp_path / "file"))
