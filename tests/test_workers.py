"""Workers that die: their tasks are done again, and a run that cannot go on says so."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from ndex.errors import TransferError
from ndex.events import TaskDone
from ndex.geometry import Box
from ndex.job import Parallel
from ndex.workers import outcomes

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


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_tasks_of_a_killed_worker_are_done_again(tmp_path: Path) -> None:
    work = partial(die_once, tmp_path)
    assert sorted(outcome.index for outcome in outcomes(PROCESSES, 2, work, range(9))) == list(range(9))
    assert (tmp_path / "3").exists()


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_workers_that_keep_dying_end_the_run() -> None:
    with pytest.raises(TransferError, match="died 3 times in a row"):
        list(outcomes(PROCESSES, 2, die, range(9)))
