"""Journals after power cuts, kills and bad disks: what they surely say is believed, the rest is done again."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import memory
import numpy as np
import pytest
from memory import Place, job_between

from ndex import run
from ndex.entries import MARK, Kind, contents, entries, packed
from ndex.errors import DamagedData, JobError
from ndex.geometry import Box
from ndex.job import Blocks, Job
from ndex.known import known

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
    return folder / "shard-0-of-1.1.journal"


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
    spoil(path, damage)
    check(job)


def spoil(path: Path, damage: Callable[[bytes], bytes]) -> None:
    """A disk or a power cut does that, some time ago."""
    path.write_bytes(damage(path.read_bytes()))
    os.utime(path, (0, 0))


def check(job: Job) -> None:
    """Nothing is believed that is not so, and the next run completes."""
    status = run(job_to(job.journal, action="status"))
    assert status.resumed <= len(DONE)
    result = run(job)
    assert (result.exit_code, result.done + result.resumed, result.failed) == (0, TASKS, ())
    assert result.resumed <= len(DONE)
    assert np.array_equal(memory.PLACES["a"].array, memory.PLACES["b"].array)
    assert set(known(file_of(job).parent).done) == set(range(TASKS))
    assert run(job).resumed == TASKS


@pytest.mark.parametrize("kept", [1, 7, 31, 40])
def test_an_entry_that_was_being_written(kept: int, job: Job) -> None:
    """As a kill, a full disk or a network file system leaves it; another run has gone on since."""
    path = file_of(job)
    spoil(path, lambda content: content + packed(Kind.DONE, 0.0, len(DONE), b"12345678" * 2)[:kept])
    assert run(job_to(job.journal, action="status")).resumed == len(DONE)
    check(job)


@pytest.mark.parametrize("chunk", [1, 33, 100, 5000])
def test_entries_are_found_wherever_a_read_ends(chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ndex.entries.CHUNK", chunk)
    draw, path = random.Random(chunk), tmp_path / "some.journal"
    written = [packed(Kind.DONE, float(task), task, draw.randbytes(draw.randrange(90))) for task in range(60)]
    torn = {7, 8, 30}
    torn_off = [entry[: len(entry) // 2] if task in torn else entry for task, entry in enumerate(written)]
    path.write_bytes(MARK[:3] + b"".join(torn_off) + MARK)
    assert entries(path).heads["task"].tolist() == [task for task in range(60) if task not in torn]


@pytest.mark.parametrize("chunk", [1000, 1 << 18])
def test_damage_among_many_entries_of_the_same_length(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ndex.entries.CHUNK", chunk)
    written = [packed(Kind.DONE, float(task), task, b"12345678") for task in range(2000)]
    for task in (100, 101, 700):
        written[task] = written[task][:-1] + b"?"
    written[1500] = written[1500][1:]
    path = tmp_path / "some.journal"
    path.write_bytes(b"".join(written))
    found = entries(path)
    assert found.heads["task"].tolist() == [task for task in range(2000) if task not in (100, 101, 700, 1500)]
    assert list(contents(path, [(found.starts[-1], 8)])) == [b"12345678"]
    assert found.starts[-1] == path.stat().st_size - len(written[-1])


def test_a_folder_in_the_way_of_the_journal(job: Job, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JobError, match="journal"):
        run(job_to(tmp_path / "file"))
