"""Workers that die: their tasks are done again, and a run that cannot go on says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from ndex.errors import TransferError
from ndex.events import TaskDone
from ndex.geometry import Box
from ndex.job import Parallel
from ndex.server.process import child_environment
from ndex.workers import own_outcomes as outcomes

BOX = Box.of((0, 1), (0, 1), (0, 1))
PROCESSES = Parallel(backend="processes", n_jobs=2)


def done(index: int) -> TaskDone:
    return TaskDone(index, BOX, 0, 1, ())


def die_once(folder: Path, index: int) -> TaskDone:
    """Tasks 3 and 4 kill their workers the first time."""
    mark = folder / f"{index}"
    if index in (3, 4) and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return done(index)


def die(index: int) -> TaskDone:
    os.kill(os.getpid(), signal.SIGKILL)
    return done(index)


@pytest.mark.parametrize("backend", ["serial", "threads", "processes"])
def test_every_task_has_one_outcome(backend: str) -> None:
    parallel = Parallel(backend=backend, n_jobs=2)  # type: ignore[arg-type]  # one of the names
    assert sorted(outcome.index for outcome in outcomes(parallel, 2, done, range(20))) == list(range(20))


def remembered(variable: str, index: int) -> TaskDone:
    return replace(done(index), filled=(int(os.environ.get(variable, "0")),))


def test_no_worker_outlives_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does its environment: the next run may have another token."""
    before = set(psutil.Process().children(recursive=True))
    for number in (1, 2):
        monkeypatch.setenv("NDEX_TEST_NUMBER", str(number))
        found = list(outcomes(PROCESSES, 2, partial(remembered, "NDEX_TEST_NUMBER"), range(4)))
        assert {task.filled for task in found} == {(number,)}
    assert not [child for child in set(psutil.Process().children(recursive=True)) - before if is_worker(child)]


def test_workers_end_with_a_run_that_is_broken_off() -> None:
    before = set(psutil.Process().children(recursive=True))
    some = outcomes(PROCESSES, 2, done, range(100))
    next(some)
    some.close()  # type: ignore[attr-defined]  # of a generator
    assert not [child for child in set(psutil.Process().children(recursive=True)) - before if is_worker(child)]


LONG_RUN = """
import time
from ndex.job import Parallel
from ndex.workers import own_outcomes as outcomes

def task(seconds):
    time.sleep(seconds)
    return "done"

if __name__ == "__main__":
    for outcome in outcomes(Parallel(backend="processes", n_jobs=2), 2, task, [0, 0, 600, 600]):
        print(outcome, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(LONG_RUN)
    command = [sys.executable, str(tmp_path / "run.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=child_environment()) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        workers = [child for child in psutil.Process(parent.pid).children(recursive=True) if is_worker(child)]
        assert len(workers) == 2
        parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def is_worker(child: psutil.Process) -> bool:
    """Not the tracker of resources, which loky keeps for the life of the process."""
    return "tracker" not in " ".join(child.cmdline())


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_tasks_of_a_killed_worker_are_done_again(tmp_path: Path) -> None:
    work = partial(die_once, tmp_path)
    assert sorted(outcome.index for outcome in outcomes(PROCESSES, 2, work, range(9))) == list(range(9))
    assert (tmp_path / "3").exists()


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_workers_that_keep_dying_end_the_run() -> None:
    with pytest.raises(TransferError, match="died 3 times in a row"):
        list(outcomes(PROCESSES, 2, die, range(9)))
