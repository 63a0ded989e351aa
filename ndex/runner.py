"""Does what the job's action says: workers get the tasks that are left, listeners hear what happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np

from . import convert
from .again import again
from .embedded import bosses, reachable
from .errors import JobError, Missing, NdexError, TransferError, Unreachable
from .events import Event, Listener, Note, Result, Started, Stopping, TaskDone, TaskFailed
from .forecast import forecast
from .history import History, last_plan, line_seen, pieces_of
from .indexes import Indexes
from .job import Job, Shard
from .journal import Journal
from .planner import make_plan
from .plans import Plan
from .repeat import as_yaml
from .transfer import Ends, Outcome, close_ends, compare, ends_of, transfer
from .volume import Describable, Described
from .workers import check_workers, outcomes

T = TypeVar("T")

READ_ONLY = ("plan", "describe", "status", "verify")
"""Actions that change nothing at either end."""
FAILURES_IN_A_ROW = 20
"""Of the kind that may pass by itself. After so many the other side is gone, and the rest is left for another run."""


def run(
    job: Job, listeners: Sequence[Listener] = (), stop: threading.Event | None = None, command: Sequence[str] = ()
) -> Result:
    """Run a job and say how it ended.

    `listeners` are called with every event, in this thread. Once `stop` is set no further task is begun; those under
    way are finished. `command` is what was typed, for the result to say how to go on. Raises NdexError when the job is
    wrong or an end cannot be reached before the first task; failures of single tasks are in the result.
    """

    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    begin = time.monotonic()
    with reachable(job, read_only=job.action in READ_ONLY) as live:
        for root in sorted({str(boss.root) for boss in bosses(live) if boss.embedded}):
            emit(Note(f"Using the embedded BOSS in {root}"))
        check_workers(live)
        try:
            result = _ACTIONS[job.action](_Run(live, emit, stop or threading.Event()))
        finally:
            close_ends(live)
    result = replace(result, seconds=time.monotonic() - begin, again=again(result, command))
    emit(result)
    return result


def plan_of(job: Job) -> Plan:
    """The plan of a job; changes nothing at either end. Raises NdexError as `run` does."""
    with reachable(job, read_only=True) as live:
        try:
            return _planned(live)
        finally:
            close_ends(live)


def _planned(job: Job) -> Plan:
    """Asks both ends for their facts. Raises JobError when they contradict the job."""
    ends = ends_of(job)
    source = ends.source.facts()
    if source.identity == ends.destination.identity:
        raise JobError(f"source and destination are the same: {source.label}. Give one of them another place.")
    dtype = ends.destination.accepts(np.dtype(job.convert.dtype or source.dtype))
    convert.check(source.dtype, dtype, job.convert)
    return make_plan(job, source, ends.destination.identity, ends.destination.layout, dtype)


@dataclass
class _Run:
    """One run under way, and what it has done so far."""

    job: Job
    emit: Listener
    stop: threading.Event
    totals: Result = field(init=False)
    failed: list[TaskFailed] = field(default_factory=list)
    filled: set[int] = field(default_factory=set)
    halted: str | None = None
    """Why no further task is begun."""
    hopeless: bool = False
    """Whether that is the job's own fault."""
    transient_in_a_row: int = 0

    def __post_init__(self) -> None:
        self.totals = Result(self.job.name, self.job.action, 0)

    def begin(self, past: History, created: Sequence[str], known: Indexes, untried: int = 0) -> None:
        """The plan stands; the tasks `known` are done."""
        plan, voxels = past.plan, past.voxels_left(known)
        label = ends_of(self.job).destination.label
        self.totals = replace(
            self.totals,
            source=plan.source.label,
            destination=label,
            tasks=len(plan),
            resumed=len(known),
            untried=untried,
        )
        self.emit(
            Started(
                name=self.job.name,
                source=plan.source.label,
                destination=label,
                created=tuple(created),
                tasks=len(plan),
                resumed=len(known),
                voxels=voxels,
                nbytes=voxels * plan.dtype.itemsize,
                action=self.job.action,
                untried=untried,
                pieces=pieces_of(plan, known),
            )
        )

    def work_off(
        self,
        plan: Plan,
        work: Callable[[T], Outcome],
        left: Iterable[T],
        keep: Callable[[Outcome], None] = lambda outcome: None,
    ) -> Result:
        """Give the tasks that are left to the workers, keep what comes back, and sum it up."""
        try:
            for outcome in outcomes(self.job, plan, work, self._until_stopped(left), self._is_over):
                if self.hopeless and isinstance(outcome, TaskFailed) and outcome.fatal:
                    continue  # it was not tried any more: it is left, not failed
                keep(outcome)
                if isinstance(outcome, TaskDone):
                    self._count(outcome)
                else:
                    self._judge(outcome)
                self.emit(outcome)
        except TransferError as error:
            self.halted = str(error)
            self.emit(Stopping(self.halted))
        return self.result()

    def result(self) -> Result:
        wrong = self.hopeless and not self.totals.done  # a disk that gets full on the way has not made the job wrong
        code = 2 if wrong else 130 if self.stop.is_set() else 1 if self.failed or self.halted else 0
        failed, filled = tuple(self.failed), tuple(sorted(self.filled))
        return replace(self.totals, exit_code=code, failed=failed, filled=filled, error=self.halted)

    def _is_over(self) -> bool:
        return self.stop.is_set() or self.halted is not None

    def _until_stopped(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            if self.stop.is_set():
                self.emit(Stopping("interrupted; tasks under way are finished first"))
                return
            if self.halted is not None:
                self.emit(Stopping(self.halted))
                return
            yield item

    def _count(self, task: TaskDone) -> None:
        self.transient_in_a_row = 0
        self.filled.update(task.filled)
        totals = self.totals
        self.totals = replace(
            totals,
            done=totals.done + 1,
            voxels=totals.voxels + task.box.voxels,
            nbytes=totals.nbytes + task.nbytes,
            empty=totals.empty + task.empty,
            verified=totals.verified + task.verified,
            repaired=totals.repaired + task.repaired,
        )

    def _judge(self, task: TaskFailed) -> None:
        self.failed.append(task)
        self.transient_in_a_row = self.transient_in_a_row + 1 if task.transient else 0
        if task.fatal:
            self.halted, self.hopeless = task.reason, True
        elif self.transient_in_a_row >= FAILURES_IN_A_ROW:
            self.halted = f"{FAILURES_IN_A_ROW} tasks in a row failed, the last one so: {task.reason}"


def _transfer(run: _Run) -> Result:
    job = run.job
    plan = _planned(job)
    created = ends_of(job).destination.check(plan.volume)
    past = History(job, plan)
    with Journal(past.folder, job.shard) as log:
        past = replace(past, found=log.known)
        known = past.done()
        ends_of(job).destination.prepare(plan.volume)
        _hand_over_metadata(ends_of(job))
        log.describe(plan.to_json())
        log.keep_job(as_yaml(job))
        left, untried = past.left(known)
        run.totals = replace(run.totals, journal=str(past.folder))
        run.begin(past, created, known, untried)
        result = run.work_off(plan, partial(transfer, job, plan), left, log.keep)
        complete = result.left + result.untried == 0 and past.complete()
        return _finish(run, plan, result) if complete else result


def _hand_over_metadata(ends: Ends) -> None:
    if isinstance(ends.source, Described) and isinstance(ends.destination, Describable):
        ends.destination.keep_metadata(ends.source.metadata())


def _finish(run: _Run, plan: Plan, result: Result) -> Result:
    """What follows the last task of all shards. When that fails, the voxels are there nevertheless."""
    try:
        say, pause = (lambda text: run.emit(Note(text))), run.stop.wait
        links = ends_of(run.job).destination.finish(plan.volume, say, pause)
    except NdexError as error:
        return replace(result, exit_code=1, error=str(error))
    return replace(result, links=links, exit_code=run.result().exit_code)


def _plan(run: _Run) -> Result:
    plan = _planned(run.job)
    created = ends_of(run.job).destination.check(plan.volume)
    known = History(run.job, plan).done()
    return replace(
        run.totals,
        source=plan.source.label,
        destination=ends_of(run.job).destination.label,
        tasks=len(plan),
        resumed=len(known),
        details=forecast(run.job, plan, created, len(known), line_seen(run.job, plan)),
    )


def _create(run: _Run) -> Result:
    plan = _planned(run.job)
    created = ends_of(run.job).destination.check(plan.volume)
    ends_of(run.job).destination.prepare(plan.volume)
    return replace(run.totals, destination=ends_of(run.job).destination.label, details={"created": created})


def _verify(run: _Run) -> Result:
    """Compare the destination with the source or, when that is gone, with the checksums in the journal."""
    job = run.job
    try:
        plan = _planned(job)
        items: Iterable[tuple[int, tuple[int, ...] | None]] = ((index, None) for index in range(*plan.part))
    except (Missing, Unreachable) as gone:
        plan = last_plan(job, gone)
        run.emit(Note(f"The source cannot be read, so the checksums of the journal are compared. {gone}"))
        found = History(job, plan).known
        items = ((index, found.checksums(index)) for index in range(*plan.part))
    run.begin(History(job, plan), (), Indexes.of(()))
    result = run.work_off(plan, partial(compare, job, plan), items)
    try:
        History(job, plan).take_back([task for task in result.failed if task.differs])
    except JobError as busy:
        run.emit(Note(f"The journal still counts as done what differs. {busy}"))
    return result


def _status(run: _Run) -> Result:
    """What the journals of all shards know; works without either end."""
    job = run.job
    try:
        plan = _planned(job)
    except NdexError as gone:
        plan = last_plan(job, gone)
        run.emit(Note(f"The two ends cannot be asked, so this is what the newest journal of the job says. {gone}"))
    past = History(job, replace(plan, shard=Shard()))
    return replace(run.totals, tasks=plan.total, resumed=past.count(), details=past.status())


def _describe(run: _Run) -> Result:
    from .describe import describe

    return replace(run.totals, details=describe(run.job))


_ACTIONS: dict[str, Callable[[_Run], Result]] = {
    "run": _transfer,
    "plan": _plan,
    "create": _create,
    "verify": _verify,
    "status": _status,
    "describe": _describe,
}
