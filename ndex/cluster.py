"""Tasks for the workers of a Dask cluster: one that is there, or one of this machine for the time of a run.

joblib's Dask backend is not used. It begins as many tasks at once as the cluster has threads, whatever is asked for,
and never hears of a task that Dask gives up, after workers have died over it or when a cluster is restarted: the run
would wait for ever.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Generic, TypeVar

from . import guest
from .embedded import bosses
from .errors import JobError, TransferError
from .job import Job
from .plans import Plan
from .transfer import Outcome

T = TypeVar("T")

CONNECT_TIMEOUT = 10.0
"""Seconds for the scheduler to answer."""
FIRST_WORKER = 60.0
"""Seconds for the first worker to come."""
NEXT_WORKER = 300.0
"""Seconds for another worker to come when all are gone: batch systems replace them."""
GLANCE = 1.0
"""Seconds between two looks at who is there."""

GONE = (OSError, RuntimeError)
"""What Dask raises when there is no scheduler to talk to (any more)."""


def check_cluster(job: Job) -> None:
    """Raises JobError when the workers that the job names cannot do it."""
    address = job.parallel.address
    _library("distributed")
    if address is None:
        _library("cryptography")
        return
    if any(boss.embedded for boss in bosses(job)):
        raise JobError(
            f"parallel.address={address}: the embedded BOSS serves only workers that the job starts itself. Leave the "
            "address out, or run one for all (python -m ndex.server) and use boss=custom."
        )
    with _connected(address) as client:
        _check_workers(client, job)


def cluster_outcomes(
    job: Job, plan: Plan, work: Callable[[T], Outcome], items: Iterable[T], over: Callable[[], bool]
) -> Iterator[Outcome]:
    """The outcome of every task, as they end. `items` is asked for more when a worker is free.

    A worker that dies or is retired costs the tasks that it had, which others do again. Raises JobError when the
    cluster cannot do the job, TransferError when it cannot go on.
    """
    fresh = iter(items)
    for first in fresh:  # what nobody needs is not started
        address = job.parallel.address
        with _connected(address) if address else _of_this_machine(plan.workers) as client:
            _check_workers(client, job)
            yield from _Run(client, job, plan, work, over).outcomes(chain([first], fresh))


class _Run(Generic[T]):
    """The tasks of one run, in the hands of a cluster."""

    def __init__(
        self, client: Any, job: Job, plan: Plan, work: Callable[[T], Outcome], over: Callable[[], bool]
    ) -> None:
        self._client, self._job, self._work, self._over = client, job, work, over
        self._fitting = max(1, job.parallel.memory // plan.worker_memory)
        self._keys = (f"ndex-{secrets.token_hex(4)}-{number}" for number in count())
        self._under_way: dict[Any, tuple[int, T]] = {}
        """Futures of Dask with what they are about."""
        self._ended: SimpleQueue[Any] = SimpleQueue()
        self._threads: dict[str, int] = {}
        """Of each worker, by its address; as of the last look."""
        self._looked = self._seen = -NEXT_WORKER

    def outcomes(self, items: Iterable[T]) -> Iterator[Outcome]:
        fresh = enumerate(items)
        try:
            while True:
                self._look()
                for number, item in islice(fresh, max(0, self._hands() - len(self._under_way))):
                    self._submit(number, item)
                if not self._under_way:
                    return
                yield from self._some()
        except GONE as error:
            raise TransferError(f"The Dask scheduler is gone ({type(error).__name__}).") from error
        finally:
            self._leave()

    def _look(self) -> None:
        """Who is there now. Raises TransferError when nobody has been for long."""
        now = monotonic()
        if now - self._looked < GLANCE:
            return
        self._threads, self._looked = self._client.nthreads(), now
        if self._threads or self._seen < 0:
            self._seen = now
        if now - self._seen > NEXT_WORKER:
            raise TransferError(f"The Dask cluster has had no worker for {NEXT_WORKER:.0f} seconds.")

    def _hands(self) -> int:
        """Tasks at once: one a thread, as long as they fit the memory of the machine. One waits even for nobody, which
        tells a cluster that sizes itself to grow."""
        hosts: Counter[str] = Counter()
        for address, threads in self._threads.items():
            hosts[address.rpartition(":")[0]] += threads
        hands = sum(min(threads, self._fitting) for threads in hosts.values())
        wanted = self._job.parallel.n_jobs
        return max(1, min(hands, wanted) if wanted > 0 else hands + 1 + wanted)

    def _submit(self, number: int, item: T) -> None:
        processes = min(len(self._threads), self._hands())
        visit = partial(guest.visit, self._job, guest.VERSION, processes, self._work, number, item)
        future = self._client.submit(visit, key=next(self._keys))
        self._under_way[future] = number, item
        future.add_done_callback(self._ended.put)

    def _some(self) -> Iterator[Outcome]:
        """The outcomes that are there, or none after a while."""
        try:
            ended = {self._ended.get(timeout=GLANCE)}
        except Empty:
            if self._over() and not self._threads:  # what nobody has begun is left
                self._client.cancel(list(self._under_way))
                self._under_way.clear()
            return
        while not self._ended.empty():
            ended.add(self._ended.get())
        held = dict(self._under_way.pop(future) for future in ended if future in self._under_way)
        yield from self._taken(ended, held)

    def _taken(self, ended: set[Any], held: dict[int, T]) -> Iterator[Outcome]:
        """The outcomes of what has ended; `held` are the items by number. Those that Dask has lost are done again."""
        arrived = self._client.gather(list(ended), errors="skip")
        for future in ended:
            if future.status == "error":
                raise _given_up(future.exception())
            future.release()
        for number, outcome in arrived:
            del held[number]
            yield outcome
        for number, item in held.items():
            self._submit(number, item)

    def _leave(self) -> None:
        """Nothing of the run stays in the cluster; a scheduler that is gone has forgotten it."""
        with suppress(*GONE):
            self._client.cancel(list(self._under_way))
            self._client.run(guest.leave, self._job, on_error="ignore")


def _given_up(error: BaseException) -> TransferError:
    if isinstance(error, _library("distributed").KilledWorker):
        return TransferError(
            "Dask gave a task up because every worker died that tried it, as they do when memory runs out. Lower "
            "parallel.n_jobs or parallel.memory, or give the workers more."
        )
    return TransferError(f"A Dask worker cannot do tasks of ndex {guest.VERSION}: {error}.")


def _check_workers(client: Any, job: Job) -> None:
    """Raises JobError when no worker comes, or when one is there that has another ndex."""
    address = job.parallel.address
    try:
        client.submit(int, pure=False).result(timeout=FIRST_WORKER)  # a cluster that sizes itself waits for a task
    except TimeoutError:
        raise JobError(
            f"parallel.address={address}: the cluster has no worker, and none came in {FIRST_WORKER:.0f} seconds. "
            "Start some with `dask worker ADDRESS`."
        ) from None
    for worker, version in client.run(guest.welcome, job, on_error="return").items():
        if version != guest.VERSION:
            found = "none that can be imported" if isinstance(version, Exception) else version
            raise JobError(
                f"parallel.address={address}: the worker {worker} needs ndex {guest.VERSION}, and has {found}. Install "
                "the same version for all workers."
            )


@contextmanager
def _connected(given: str) -> Iterator[Any]:
    """A client of a cluster that is there. Raises JobError when nobody answers."""
    try:
        client = _library("distributed").Client(_address(given), timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (*GONE, ValueError, TypeError) as error:
        raise JobError(
            f"parallel.address={given}: no Dask scheduler answers there ({type(error).__name__}). Start one with "
            "`dask scheduler`, or leave the address out for workers of this machine."
        ) from error
    try:
        yield client
    finally:
        client.close()


def _address(given: str) -> str:
    """The address itself, or the one in a scheduler file. Raises JobError for a file that has none."""
    path = Path(given).expanduser()
    if "://" in given or not (path.suffix == ".json" or os.sep in given or path.is_file()):
        return given
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise JobError(
            f"parallel.address={given}: this is no scheduler file. `dask scheduler --scheduler-file PATH` writes one."
        ) from None


@contextmanager
def _of_this_machine(workers: int) -> Iterator[Any]:
    """A client of a cluster for this run alone. Dask runs whatever it is sent, so it takes tasks from nobody else: its
    connections are encrypted with a certificate of its own."""
    distributed = _library("distributed")
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=None,  # parallel.memory is what counts
            dashboard_address=None,
            scheduler_kwargs={
                "dashboard_address": "127.0.0.1:0"
            },  # Dask insists on one, and has a port of its own for it
            security=True,
            silence_logs=logging.CRITICAL,
            preload=[guest.__name__],
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise JobError("parallel=dask needs Dask, which is not installed: pip install 'ndex[dask]'") from None
