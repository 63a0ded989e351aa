"""One task in a worker: read, convert, write, and read back where that is asked.

Only settings reach a worker: it opens its own ends, once for each job, and keeps them for the tasks that follow.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from .checksum import checksum
from .convert import Voxels, convert_voxels, is_empty
from .errors import Differing, JobError, NdexError, PermanentError, TransientError
from .events import TaskDone, TaskFailed
from .geometry import Box
from .job import Job
from .plans import Plan, Task
from .stores import open_destination, open_source
from .volume import Readable, Writable

Outcome = TaskDone | TaskFailed


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
            tally = _Tally(plan)
            for slab in plan.slabs(task):
                tally.read(job, task, slab, ends.source)
            checksums = tuple(tally.checksums)
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


@dataclass
class _Tally:
    """What went through, block by block."""

    plan: Plan
    checksums: list[int] = field(default_factory=list)
    empty: int = 0
    filled: set[int] = field(default_factory=set)

    def read(self, job: Job, task: Task, slab: Box, source: Readable) -> Voxels:
        """A band of the source as the destination should hold it."""
        piece = source.read(slab, task.t)
        array = convert_voxels(piece.array, self.plan.dtype, job.convert)
        self.filled.update(piece.filled)
        for block in self.plan.blocks(slab):
            voxels = np.ascontiguousarray(array[slab.slices(block)])
            self.checksums.append(checksum(voxels))
            self.empty += is_empty(voxels)
        return array


def _move(job: Job, plan: Plan, task: Task, ends: Ends) -> TaskDone:
    tally = _Tally(plan)
    with ends.destination.writer(task.box.shift(plan.offset), task.t) as writer:
        for slab in plan.slabs(task):
            writer.write(slab.shift(plan.offset), tally.read(job, task, slab, ends.source))
    return TaskDone(
        index=task.index,
        box=task.box,
        t=task.t,
        nbytes=task.box.voxels * plan.dtype.itemsize,
        checksums=tuple(tally.checksums),
        empty=tally.empty,
        filled=tuple(sorted(tally.filled)),
    )


def _differing(plan: Plan, task: Task, destination: Writable, checksums: tuple[int, ...]) -> list[Box]:
    """The blocks, in destination coordinates, that hold something else than what has these checksums."""
    expected = iter(checksums)
    differing = []
    for slab in plan.slabs(task):
        stored = destination.read(slab.shift(plan.offset), task.t).array
        for block in plan.blocks(slab):
            if checksum(stored[slab.slices(block)]) != next(expected):
                differing.append(block.shift(plan.offset))
    return differing


def _raise_if_differing(plan: Plan, task: Task, destination: Writable, checksums: tuple[int, ...]) -> None:
    differing = _differing(plan, task, destination, checksums)
    if differing:
        raise Differing(
            f"{len(differing)} of {len(checksums)} blocks at the destination differ from the source, the first at "
            f"{differing[0]}. If older data lies there: zeros do not overwrite it, unless empty=erase."
        )
