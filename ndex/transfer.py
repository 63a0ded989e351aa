"""One task in a worker: read, convert, write, and read back where that is asked.

Only settings reach a worker: it opens its own ends, once for each job, and keeps them for the tasks that follow.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from .bands import Band, bands, blocks_there
from .boss.flow import Line
from .errors import Differing, JobError, NdexError, PermanentError, TransientError
from .events import TaskDone, TaskFailed
from .geometry import Box
from .job import Job
from .plans import Plan, Task
from .stores import open_destination, open_source
from .volume import Readable, Writable

Outcome = TaskDone | TaskFailed


@runtime_checkable
class Lined(Protocol):
    """An end of which requests are asked."""

    @property
    def line(self) -> Line | None: ...


@dataclass
class Ends:
    """The two opened stores of a job, shared by all threads of a process."""

    source: Readable
    destination: Writable
    hopeless: JobError | None = None
    """Why no task can succeed: found by one of them, it spares the others their requests."""

    def close(self) -> None:
        self.source.close()
        self.destination.close()


_opened: dict[Job, Ends] = {}
_opening = threading.Lock()


def ends_of(job: Job) -> Ends:
    """The opened ends of a job in this process."""
    with _opening:
        if job not in _opened:
            _opened[job] = Ends(open_source(job), open_destination(job))
        return _opened[job]


def close_ends(job: Job) -> None:
    """Close what `ends_of` opened in this process, if it did."""
    with _opening:
        ends = _opened.pop(job, None)
    if ends is not None:
        ends.close()


def transfer(job: Job, plan: Plan, index: int) -> Outcome:
    """Move one task and say how it went. Never raises: a failure of one task must not take the others along."""
    return _outcome(plan.task(index), lambda task: _transfer(job, plan, task))


def compare(job: Job, plan: Plan, item: tuple[int, tuple[int, ...] | None]) -> Outcome:
    """Compare a task at the destination with checksums of its blocks, or with the source where they are None."""
    index, checksums = item
    return _outcome(plan.task(index), lambda task: _compare(job, plan, task, checksums))


def _outcome(task: Task, work: Callable[[Task], TaskDone]) -> Outcome:
    try:
        return work(task)
    except NdexError as error:
        fatal, transient, differs = (isinstance(error, of) for of in (JobError, TransientError, Differing))
        reason = str(error)
        return TaskFailed(task.index, task.box, task.t, reason, fatal=fatal, transient=transient, differs=differs)
    except Exception as error:  # a bug in one task is reported as one, with its traceback; the others go on
        reason = f"unexpected {type(error).__name__}: {error}"
        return TaskFailed(task.index, task.box, task.t, reason, bug=traceback.format_exc())


def _transfer(job: Job, plan: Plan, task: Task) -> TaskDone:
    with _ends_for(job, plan) as ends:
        moved = _move(job, plan, task, ends)
        if job.verify == "none" or (job.verify == "sample" and not plan.is_sampled(task)):
            return moved
        if not _differing(plan, task, ends.destination, moved.checksums):
            return replace(moved, verified=True)
        again = _move(job, plan, task, ends)
        _raise_if_differing(plan, task, ends.destination, again.checksums)
        return replace(again, verified=True, repaired=True)


def _compare(job: Job, plan: Plan, task: Task, checksums: tuple[int, ...] | None) -> TaskDone:
    with _ends_for(job, plan) as ends:
        if checksums is None:
            with bands(plan, task, ends.source, job.convert) as coming:
                checksums = tuple(checksum for band in coming for checksum in _gone_through(band))
        if not checksums:
            raise PermanentError("The journal does not know this task as done.")
        _raise_if_differing(plan, task, ends.destination, checksums)
    nbytes = task.box.voxels * plan.dtype.itemsize
    return TaskDone(task.index, task.box, task.t, nbytes, checksums, verified=True)


@contextmanager
def _ends_for(job: Job, plan: Plan) -> Iterator[Ends]:
    """The ends, for one task. Raises JobError at once when a task before it found the job hopeless."""
    ends = ends_of(job)
    if ends.hopeless is not None:
        raise JobError(str(ends.hopeless))
    ends.destination.expect(plan.volume)
    try:
        yield ends
    except JobError as error:
        ends.hopeless = error
        raise


def _move(job: Job, plan: Plan, task: Task, ends: Ends) -> TaskDone:
    checksums: list[int] = []
    empty, filled = 0, set[int]()
    there = task.box.shift(plan.offset)
    with bands(plan, task, ends.source, job.convert) as coming, ends.destination.writer(there, task.t) as writer:
        for band in coming:
            for box, voxels in band.pieces:
                writer.write(box.shift(plan.offset), voxels)
            checksums += band.checksums
            empty += band.empty
            filled |= band.filled
    return TaskDone(
        index=task.index,
        box=task.box,
        t=task.t,
        nbytes=task.box.voxels * plan.dtype.itemsize,
        checksums=tuple(checksums),
        empty=empty,
        filled=tuple(sorted(filled)),
        line=_line(job, plan, ends),
    )


def processes_of(job: Job, workers: int) -> int:
    """In how many processes so many workers are."""
    return workers if job.parallel.backend in ("processes", "dask") else 1


def _line(job: Job, plan: Plan, ends: Ends) -> Line | None:
    """The slower one, where both ends are at a BOSS; as wide as all processes of all shards get through together when
    they do as this one."""
    seen = [end.line for end in (ends.source, ends.destination) if isinstance(end, Lined)]
    lines = [line for line in seen if line is not None]
    if not lines:
        return None
    together = processes_of(job, plan.workers) * job.shard.count
    return Line(max(line.latency for line in lines), min(line.bandwidth for line in lines) * together)


def _gone_through(band: Band) -> list[int]:
    """The checksums of a band that nobody wants."""
    deque(band.pieces, maxlen=0)
    return band.checksums


def _differing(plan: Plan, task: Task, destination: Writable, checksums: tuple[int, ...]) -> list[Box]:
    """The blocks, in destination coordinates, that hold something else than what has these checksums."""
    expected = iter(checksums)
    with blocks_there(plan, task, destination) as coming:
        return [
            block.shift(plan.offset)
            for blocks, found in coming
            for block, checksum in zip(blocks, found, strict=True)
            if checksum != next(expected)
        ]


def _raise_if_differing(plan: Plan, task: Task, destination: Writable, checksums: tuple[int, ...]) -> None:
    differing = _differing(plan, task, destination, checksums)
    if differing:
        raise Differing(
            f"{len(differing)} of {len(checksums)} blocks at the destination differ from the source, the first at "
            f"{differing[0]}. If older data lies there: zeros do not overwrite it, unless empty=erase."
        )
