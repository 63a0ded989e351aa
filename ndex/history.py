"""What the journals of all shards know of a plan: what is done, what has failed, what is left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from . import journal
from .errors import JobError
from .events import Pieces, TaskFailed
from .geometry import Span, Tiling
from .job import Job
from .plans import Plan
from .transfer import ends_of


@dataclass(frozen=True)
class History:
    """The past of one shard of a plan."""

    job: Job
    plan: Plan

    @property
    def folder(self) -> Path:
        return journal.folder_of(self.job.journal, self.job.name, self.plan.stamp)

    @property
    def part(self) -> range:
        """Indexes of the tasks of this shard."""
        return range(*self.plan.part)

    def done(self) -> dict[int, journal.Record]:
        """The finished tasks whose voxels are, as far as can be told without reading them, still there."""
        found = journal.records(self.folder)
        return {index: record for index, record in found.items() if index in self.part and self._holds(index)}

    def count(self) -> int:
        """Finished tasks, whether or not their voxels are still there: asks neither end."""
        return sum(index in self.part for index in journal.records(self.folder))

    def failed(self) -> dict[int, journal.Failure]:
        """The tasks that failed when they were last tried."""
        found = journal.failures(self.folder)
        return {index: failure for index, failure in found.items() if index in self.part}

    def left(self, done: Collection[int]) -> tuple[Iterable[int], int]:
        """What is to be done, and how many tasks that leaves untried: `retry.only_failed`."""
        if not self.job.retry.only_failed:
            return (index for index in self.part if index not in done), 0
        again = list(self.failed())
        return again, len(self.part) - len(done) - len(again)

    def complete(self) -> bool:
        """Whether all tasks of all shards are done, where those of this one are."""
        return len(self.plan) == self.plan.total or len(journal.records(self.folder)) == self.plan.total

    def take_back(self, differing: Sequence[TaskFailed]) -> None:
        """What differs at the destination is not done, whatever was said. Raises JobError while a run goes on."""
        if differing and self.folder.exists():
            with journal.Journal(self.folder, self.job.shard) as log:
                for task in differing:
                    log.keep(task)

    def status(self) -> dict[str, object]:
        """What `action: status` shows."""
        tasks = ((self.plan.task(index), failure) for index, failure in self.failed().items())
        failed = [{"task": task.index, "box": task.box, "t": task.t, **asdict(failure)} for task, failure in tasks]
        shards = [asdict(state) for state in journal.states(self.folder)]
        job = journal.job_file(self.folder)
        kept = str(job) if job.exists() else None
        return {"journal": str(self.folder), "job": kept, "failed": failed, "shards": shards}

    def _holds(self, index: int) -> bool:
        task = self.plan.task(index)
        return ends_of(self.job).destination.holds(task.box.shift(self.plan.offset), task.t)


def last_plan(job: Job, gone: Exception) -> Plan:
    """The plan in the newest journal of this job that leads to this destination, when `gone` keeps a new one from
    being made. Raises JobError when there is none."""
    target = ends_of(job).destination.identity
    for folder in journal.folders(job.journal, job.name):
        stored = journal.facts(folder).get("plan")
        if stored is not None and (plan := Plan.from_json(stored)).target == target:
            return replace(plan, shard=job.shard)
    raise JobError(f"{gone} And no journal of this job to this destination lies in {job.journal}.") from gone


def pieces_of(plan: Plan, known: Collection[int]) -> Pieces:
    """How a plan is cut, and which of its tasks are done, for those who show it."""
    slabs = plan.slabs(plan.task(0)) if plan.total else plan.tiling
    return Pieces(
        volume=plan.volume,
        tasks=plan.tiling,
        bands=Tiling(plan.box, slabs.step, slabs.origin),
        blocks=plan.blocks(plan.box),
        part=plan.part,
        resumed=tuple(_runs(sorted(known))),
    )


def _runs(indexes: Iterable[int]) -> Iterator[Span]:
    """Indexes in order as runs without gaps."""
    start = stop = None
    for index in indexes:
        if index != stop:
            if start is not None and stop is not None:
                yield Span(start, stop)
            start = index
        stop = index + 1
    if start is not None and stop is not None:
        yield Span(start, stop)
