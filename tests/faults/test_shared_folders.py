"""Claims on a shard where locks do not work, clocks differ, and other machines are seen late or never."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from ndex import claims
from ndex.claims import STALE, Owner
from ndex.entries import Kind, packed
from ndex.errors import JobError, PermanentError
from ndex.events import TaskDone, TaskFailed
from ndex.geometry import Box
from ndex.job import Shard
from ndex.journal import Journal, known_now
from ndex.known import known

BOX = Box.of((0, 1), (0, 1), (0, 1))
ELSEWHERE = Owner("node7", 1, "another kernel", "pid:[1]", "1", locked=True)

posix = pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")


def done(index: int) -> TaskDone:
    return TaskDone(index, BOX, 0, 1, (index,))


def claimed_by(owner: Owner | None, folder: Path, number: int = 1, seconds_ago: float = 0.0) -> Path:
    """A run of another process that has done task 0."""
    folder.mkdir(exist_ok=True)
    path = folder / f"shard-0-of-1.{number}.journal"
    begun = b"" if owner is None else packed(Kind.BEGUN, 1.0, content=owner.to_json())
    path.write_bytes(begun + packed(Kind.DONE, 1.0, 0, b"1234"))
    touched = time.time() - seconds_ago
    os.utime(path, (touched, touched))
    return path


def refused(folder: Path, words: str = "Another run of this job is under way") -> None:
    with pytest.raises(JobError, match=words):
        Journal(folder, Shard()).__enter__()


def taken_over(folder: Path) -> None:
    """What was done before is known."""
    with Journal(folder, Shard()) as journal:
        assert list(journal.known.done) == [0]


@pytest.fixture(params=["locks", "no locks", "locks that hold nothing"])
def locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a network file system makes of them."""
    monkeypatch.setenv("NDEX_TEST_LOCKS", request.param)
    spoil_locks(request.param, monkeypatch.setattr)
    return str(request.param)


def spoil_locks(kind: str, change: Callable[..., None]) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    for name in ("flock", "lockf", "fcntl") if kind != "locks" else ():
        change(fcntl, name, refuse if kind == "no locks" else lambda *_: 0)


def _run(folder: Path, out: Connection) -> None:
    """A process that holds a claim until it is killed."""
    spoil_locks(os.environ["NDEX_TEST_LOCKS"], setattr)
    with Journal(folder, Shard()) as journal:
        journal.keep(done(0))
        out.send(os.getpid())
        out.poll(60)


@contextmanager
def another_run(folder: Path) -> Iterator[Any]:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_run, args=(folder, theirs))
    process.start()
    try:
        assert mine.recv() == process.pid
        yield process
    finally:
        process.kill()
        process.join()


@posix
@pytest.mark.usefixtures("locks")
def test_a_killed_run_is_followed_at_once_whatever_locks_are(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    with another_run(folder) as process:
        refused(folder, rf"process {process.pid} on .* holds .*shard-0-of-1\.1\.journal.* again in 5 min")
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and its parent has not asked yet
        taken_over(folder)


@posix
def test_of_many_that_begin_at_once_one_goes_on(tmp_path: Path, locks: str) -> None:
    folder = tmp_path / "deep" / "job"
    attempts = [Journal(folder, Shard()) for _ in range(16)]

    def begin(journal: Journal) -> bool:
        try:
            journal.__enter__()
        except JobError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        begun = list(pool.map(begin, attempts))
    assert sum(begun) == 1
    attempts[begun.index(True)].__exit__()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("gone", [False, True])
def test_another_machine_is_believed_until_it_is_silent(gone: bool, tmp_path: Path) -> None:
    claimed_by(ELSEWHERE, tmp_path, seconds_ago=STALE + 5 if gone else STALE - 60)
    if gone:
        taken_over(tmp_path)
    else:
        refused(tmp_path, r"process 1 on node7 holds .* try again in 1 min")


def test_a_claim_that_does_not_say_whose_it_is_is_somebodys(tmp_path: Path) -> None:
    claimed_by(None, tmp_path)
    refused(tmp_path, "a process that has just begun")


def test_time_is_that_of_the_file_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claimed_by(ELSEWHERE, tmp_path)
    real = time.time
    monkeypatch.setattr("ndex.journal.time.time", lambda: real() + 86_400)
    refused(tmp_path)


@posix
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks for the birth of processes")
@pytest.mark.parametrize("change", [{"born": "1"}, {"pid": 2**22 + 1}])
def test_a_number_that_was_given_out_again_deceives_nobody(change: dict[str, Any], tmp_path: Path) -> None:
    me = Owner.me(locked=False)
    path = claimed_by(me, tmp_path)
    refused(tmp_path)
    path.unlink()
    claimed_by(replace(me, **change), tmp_path)
    taken_over(tmp_path)


@posix
def test_numbers_of_another_container_mean_nothing(tmp_path: Path) -> None:
    """There the process may well live that is not to be found here. A lock tells, where it has one."""
    there = replace(Owner.me(locked=True), numbers="pid:[4]", pid=2**22 + 1)
    path = claimed_by(there, tmp_path)
    with path.open("r+b") as held:
        assert claims._locked(held)
        refused(tmp_path)
    taken_over(tmp_path)
    path = claimed_by(replace(there, locked=False), tmp_path, number=2)
    refused(tmp_path)


def test_one_that_was_asleep_finds_that_it_was_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(tmp_path, Shard()) as sleeper:
        sleeper.keep(done(0))
        os.utime(sleeper.path, (0, 0))
        with Journal(tmp_path, Shard()) as other:
            other.keep(done(1))
            awake = time.time() + STALE
            monkeypatch.setattr("ndex.journal.time.time", lambda: awake)
            with pytest.raises(PermanentError, match="has taken over"):
                sleeper.keep(done(2))
            other.keep(done(3))
    assert list(known(tmp_path).done) == [0, 1, 3]


def test_a_claim_is_touched_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ndex.journal.BEAT", 0.01)
    with Journal(tmp_path, Shard()) as journal:
        os.utime(journal.path, (0, 0))
        until = time.monotonic() + 20
        while not journal.path.stat().st_mtime and time.monotonic() < until:
            os.sched_yield()
        assert journal.path.stat().st_mtime > 0


def test_what_another_clock_says_is_later_is_not_the_last_word(tmp_path: Path) -> None:
    """A machine whose clock is ahead has done a task; one whose clock is right finds that it differs."""
    ahead = tmp_path / "shard-0-of-1.1.journal"
    ahead.write_bytes(packed(Kind.DONE, time.time() + 3600, 0, b"1234") + packed(Kind.ENDED, 0.0))
    with Journal(tmp_path, Shard()) as journal:
        journal.keep(TaskFailed(0, BOX, 0, "differs"))
    assert (list(known(tmp_path).done), list(known(tmp_path).failed)) == ([], [0])


def test_without_links_a_claim_is_made_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    with Journal(tmp_path, Shard()) as journal:
        journal.keep(done(0))
        refused(tmp_path)
    taken_over(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["shard-0-of-1.1.journal"]


def test_an_old_listing_does_not_hide_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a network file system shows it: what others have made is missing, until this machine makes a file itself."""
    claimed_by(replace(ELSEWHERE, pid=5), tmp_path, number=5)
    seen = [claimed_by(ELSEWHERE, tmp_path, number=2, seconds_ago=2 * STALE)]
    real = sorted(tmp_path.iterdir())
    lists = iter([seen])
    monkeypatch.setattr("ndex.journal.files_of", lambda folder: next(lists, real))
    with pytest.raises(JobError, match=r"process 5 on node7"):
        Journal(tmp_path, Shard()).__enter__()
    assert sorted(tmp_path.iterdir()) == real


def test_whether_all_shards_are_done_is_asked_behind_a_change_of_the_folder(tmp_path: Path) -> None:
    before = tmp_path.stat().st_mtime_ns
    assert len(known_now(tmp_path).done) == 0
    assert tmp_path.stat().st_mtime_ns > before
    assert list(tmp_path.iterdir()) == []


@posix
def test_shards_in_processes_of_their_own_write_beside_each_other(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ndex.journal import Journal; from ndex.job import Shard\n"
        "from ndex.events import TaskDone; from ndex.geometry import Box\n"
        "index, folder = int(sys.argv[1]), Path(sys.argv[2])\n"
        "with Journal(folder, Shard(index, 3)) as log:\n"
        "    log.describe('{}')\n"
        "    for task in range(index, 300, 3):\n"
        "        log.keep(TaskDone(task, Box.of((0, 1), (0, 1), (0, 1)), 0, 1, (task,)))\n"
    )
    folder = tmp_path / "deep" / "job"
    runs = [subprocess.Popen([sys.executable, "-c", code, str(index), str(folder)]) for index in range(3)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    found = known(folder)
    assert [found.checksums(task) for task in range(300)] == [(task,) for task in range(300)]
    assert [(state.name, state.done) for state in found.states()] == [(f"shard-{i}-of-3", 100) for i in range(3)]
