"""What ndex does inside a Dask worker: it is a guest there, beside other runs and other users, and leaves nothing."""

from __future__ import annotations

import importlib
import logging
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from .boss.pace import divide
from .errors import JobError
from .job import Job
from .transfer import Outcome, close_ends

T = TypeVar("T")

VERSION: str = importlib.import_module(__package__).__version__  # to import it by name would be to import all of ndex
LINGER = 60.0
"""Seconds after the last task of a run when its ends are closed, in case nobody said that the run is over."""

_at_work: Counter[Job] = Counter()
"""Tasks under way in this process. A job is one run: the journal lets no two runs share it."""
_farewells: dict[Job, threading.Timer] = {}
_lock = threading.Lock()


def welcome(job: Job) -> str:
    """A run begins: what a run that was killed may have left is closed, since its token may be an old one. Gives the
    version of ndex that is here."""
    close_ends(job)
    return VERSION


def visit(job: Job, version: str, processes: int, work: Callable[[T], Outcome], number: int, item: T) -> Any:
    """Do one task of a run that `processes` workers share; gives its number and outcome.

    Raises JobError when the run is of another version of ndex.
    """
    if version != VERSION:
        raise JobError(f"it has ndex {VERSION}, and the job is run by ndex {version}")
    divide(processes)
    with _present(job):
        return number, work(item)


def leave(job: Job) -> None:
    """The run is over. Ends that a task still uses are closed after it."""
    with _lock:
        timer = _farewells.pop(job, None)
        if timer is not None:
            timer.cancel()
        if not _at_work[job]:
            del _at_work[job]
            close_ends(job)


@contextmanager
def _present(job: Job) -> Iterator[None]:
    with _lock:
        _at_work[job] += 1
        timer = _farewells.pop(job, None)
        if timer is not None:
            timer.cancel()
    try:
        yield
    finally:
        with _lock:
            _at_work[job] -= 1
            if not _at_work[job]:
                _farewells[job] = timer = threading.Timer(LINGER, leave, (job,))
                timer.daemon = True
                timer.start()


def dask_setup(_: object) -> None:
    """Dask calls this in the main thread of each worker of a cluster that ndex has started itself. Ctrl-C reaches every
    process of a terminal, SIGTERM perhaps every one of a batch job, and the parent decides what they mean."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.getLogger().addHandler(logging.NullHandler())
