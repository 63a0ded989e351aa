"""Tasks in, outcomes out: serial, through joblib, or on a Dask cluster."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .boss.pace import divide
from .errors import TransferError
from .job import Job, Parallel
from .plans import Plan
from .transfer import Outcome

T = TypeVar("T")
_BACKENDS = {"threads": "threading", "processes": "loky"}

M_MMAP_THRESHOLD = -3
"""Of mallopt(3)."""
LARGE = 4 << 20
"""Bytes of memory that goes back to the system as soon as it is free."""
DEATHS = 3
"""How often in a row worker processes may die without one task getting through."""


def check_workers(job: Job) -> None:
    """Raises JobError when there is nobody to do the tasks of a job, if it has any."""
    if job.parallel.backend == "dask" and job.action in ("run", "verify"):
        from .cluster import check_cluster  # only jobs with a cluster pay for it

        check_cluster(job)


def outcomes(
    job: Job, plan: Plan, work: Callable[[T], Outcome], items: Iterable[T], over: Callable[[], bool] = lambda: False
) -> Iterator[Outcome]:
    """The outcome of every task, as they end. `items` is asked for more only when a worker is free, so that a run can
    be stopped by ending it; of those that were asked for, none is begun once `over` says so.

    A worker process that dies (killed, out of memory) costs the tasks under way, which are done again. Raises
    TransferError when that happens over and over.
    """
    if job.parallel.backend == "dask":
        from .cluster import cluster_outcomes

        return cluster_outcomes(job, plan, work, items, over)
    return own_outcomes(job.parallel, plan.workers, work, items, over)


def own_outcomes(
    parallel: Parallel,
    workers: int,
    work: Callable[[T], Outcome],
    items: Iterable[T],
    over: Callable[[], bool] = lambda: False,
) -> Iterator[Outcome]:
    """Those of threads and processes that are this run's own."""
    _give_memory_back()
    if parallel.backend == "serial" or (parallel.backend == "threads" and workers == 1):
        yield from map(work, items)
        return
    with _processes() if parallel.backend == "processes" else nullcontext():
        yield from _pooled(parallel, workers, work, _Feed(items, over))


def _pooled(parallel: Parallel, workers: int, work: Callable[[T], Outcome], feed: _Feed[T]) -> Iterator[Outcome]:
    deaths = 0
    while deaths < DEATHS:
        try:
            for number, outcome in _pool(parallel, workers)(_calls(work, feed)):
                feed.done(number)
                deaths = 0
                if outcome is not None:
                    yield outcome
            return
        except BrokenExecutor:
            deaths += 1
            feed.again()
    raise TransferError(
        f"Worker processes died {DEATHS} times in a row, as they do when memory runs out. "
        "Lower parallel.n_jobs or parallel.memory, or use parallel=threads."
    )


@contextmanager
def _processes() -> Iterator[None]:
    """Ends the worker processes with the last run that uses them. joblib would keep them for five minutes, with the
    environment of their birth, where a token may be missing by then, and with open ends."""
    from joblib.externals.loky import get_reusable_executor

    global _users
    with _counting:
        _users += 1
    kill = True
    try:
        yield
        kill = False
    finally:
        with _counting:
            _users -= 1
            if not _users:
                get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=kill)


_users = 0
_counting = threading.Lock()


def _pool(parallel: Parallel, workers: int) -> Any:
    from joblib import Parallel as Pool  # 0.1 s that a dry run need not pay

    extra: dict[str, Any] = {}
    if parallel.backend == "processes":
        extra = {"initializer": _begin_process, "initargs": (os.getpid(), workers)}
    return Pool(
        n_jobs=workers,
        backend=_BACKENDS[parallel.backend],
        return_as="generator_unordered",
        pre_dispatch=workers,
        batch_size=1,
        **extra,
    )


def _calls(work: Callable[[T], Outcome], feed: _Feed[T]) -> Iterator[Any]:
    from joblib import delayed

    return (delayed(_numbered)(work, ticket) for ticket in feed)


def _numbered(work: Callable[[T], Outcome], ticket: _Ticket[T]) -> tuple[int, Outcome | None]:
    """In the worker: the outcome with the number of its item; None when it was not begun."""
    return ticket.number, None if ticket.over() else work(ticket.item)


@dataclass(frozen=True)
class _Ticket(Generic[T]):
    """An item in the hands of joblib, which takes several at once and lets them wait. It is pickled when a worker
    process is free for it, and in a thread it is looked at then: either way it is known whether to begin."""

    number: int
    item: T
    over: Callable[[], bool]

    def __reduce__(self) -> tuple[object, ...]:
        return _Ticket, (self.number, self.item, _yes if self.over() else _no)


def _yes() -> bool:
    return True


def _no() -> bool:
    return False


class _Feed(Generic[T]):
    """Hands out items, and those that got lost once more."""

    def __init__(self, items: Iterable[T], over: Callable[[], bool]) -> None:
        self._fresh = enumerate(items)
        self._over = over
        self._under_way: dict[int, T] = {}
        self._lost: dict[int, T] = {}

    def __iter__(self) -> Iterator[_Ticket[T]]:
        while self._lost:
            yield self._handed_out(*self._lost.popitem())
        for number, item in self._fresh:
            yield self._handed_out(number, item)

    def _handed_out(self, number: int, item: T) -> _Ticket[T]:
        self._under_way[number] = item
        return _Ticket(number, item, self._over)

    def done(self, number: int) -> None:
        del self._under_way[number]

    def again(self) -> None:
        """What was under way is lost."""
        self._lost |= self._under_way
        self._under_way.clear()


def _give_memory_back() -> None:
    """glibc raises the size from which memory goes back to the system at once to that of what was freed last, and keeps
    frames by the dozen: 1.2 GB in an upload that needs 0.3. Once it is set, it stays."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library, which has its own ways
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


def _begin_process(parent: int, workers: int) -> None:
    """In a worker process, one of `workers`. Ctrl-C reaches every process of a terminal, SIGTERM perhaps every one of a
    batch job, and the parent decides what they mean. What is logged has nowhere to go from here, and without a handler
    Python would print it."""
    _give_memory_back()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.getLogger().addHandler(logging.NullHandler())
    divide(workers)
    if os.name == "posix":
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A parent that is killed tells nobody, and its workers would wait five minutes for it, with all that they hold."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
