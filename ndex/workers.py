"""Tasks in, outcomes out: serial, or through joblib."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from .job import Parallel
from .transfer import Outcome

T = TypeVar("T")
_BACKENDS = {"threads": "threading", "processes": "loky", "dask": "dask"}


def outcomes(parallel: Parallel, workers: int, work: Callable[[T], Outcome], items: Iterable[T]) -> Iterator[Outcome]:
    """The outcome of every task, as they end. `items` is asked for one more only when a worker is free, so that a
    run can be stopped by ending it."""
    if parallel.backend == "serial" or (parallel.backend == "threads" and workers == 1):
        yield from map(work, items)
        return
    from joblib import Parallel as Pool  # 0.1 s that a dry run need not pay
    from joblib import delayed

    extra = {"initializer": _leave_interrupts_to_the_parent} if parallel.backend == "processes" else {}
    pool = Pool(
        n_jobs=workers,
        backend=_BACKENDS[parallel.backend],
        return_as="generator_unordered",
        pre_dispatch=workers,
        batch_size=1,
        **extra,
    )
    yield from pool(delayed(work)(item) for item in items)


def _leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches every process of a terminal; the parent decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
