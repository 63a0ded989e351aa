"""A plan beside the journals of all its shards: which of its tasks are done, which have failed, which are left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
from pydantic import TypeAdapter

from . import journal
from .boss.flow import Line
from .errors import JobError
from .events import Pieces, TaskFailed
from .geometry import Box, Tiling
from .indexes import Indexes
from .job import Job
from .journal import known_now
from .known import Failure, Known, known
from .plans import Plan
from .shards import overview
from .transfer import ends_of


@dataclass(frozen=True)
class History:
    """The past of one shard of a plan."""

    job: Job
    plan: Plan
    found: Known | None = None
    """What the journals know, for one who has read them."""

    @cached_property
    def known(self) -> Known:
        return known(self.folder) if self.found is None else self.found

    @property
    def folder(self) -> Path:
        return journal.folder_of(self.job.journal, self.job.name, self.plan.stamp)

    def done(self) -> Indexes:
        """The finished tasks whose voxels are, as far as can be told without reading them, still there."""
        mine = self.known.done.within(self.plan.part)
        held = ends_of(self.job).destination.held(_Places(self.plan, mine))
        return Indexes(mine.array[held])

    def count(self) -> int:
        """Finished tasks, whether or not their voxels are still there: asks neither end."""
        return len(self.known.done.within(self.plan.part))

    def failed(self) -> dict[int, Failure]:
        """The tasks that failed when they were last tried."""
        part = range(*self.plan.part)
        return {index: failure for index, failure in self.known.failed.items() if index in part}

    def left(self, done: Indexes) -> tuple[Iterable[int], int]:
        """What is to be done, and how many tasks that leaves untried: `retry.only_failed`."""
        if not self.job.retry.only_failed:
            return done.missing_in(self.plan.part), 0
        again = list(self.failed())
        return again, len(self.plan) - len(done) - len(again)

    def voxels_left(self, done: Indexes) -> int:
        """Voxels of the tasks that `left` gives."""
        if self.job.retry.only_failed:
            return _voxels(self.plan, Indexes.of(self.failed()))
        return self.plan.voxels - _voxels(self.plan, done)

    def complete(self) -> bool:
        """Whether all tasks of all shards are done, where those of this one are."""
        total = self.plan.total
        return total in (len(self.plan), len(self.known.done)) or len(known_now(self.folder).done) == total

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
        seen = [asdict(state) for state in self.known.states()]
        shards = overview(self.plan, self.job.shard.count, seen, self.known.done)
        job = journal.job_file(self.folder)
        kept = str(job) if job.exists() else None
        return {"journal": str(self.folder), "job": kept, "failed": failed, "shards": shards}


@dataclass(frozen=True)
class _Places(Sequence[tuple[Box, int]]):
    """Where tasks go: in the coordinates of the destination, with the time sample; computed when they are looked at."""

    plan: Plan
    tasks: Indexes

    def __len__(self) -> int:
        return len(self.tasks)

    @overload
    def __getitem__(self, place: int) -> tuple[Box, int]: ...
    @overload
    def __getitem__(self, place: slice) -> list[tuple[Box, int]]: ...
    def __getitem__(self, place: int | slice) -> tuple[Box, int] | list[tuple[Box, int]]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        task = self.plan.task(int(self.tasks.array[place]))
        return task.box.shift(self.plan.offset), task.t


def last_plan(job: Job, gone: Exception) -> Plan:
    """The plan in the newest journal of this job that leads to this destination, when `gone` keeps a new one from
    being made. Raises JobError when there is none."""
    target = ends_of(job).destination.identity
    for folder in journal.folders(job.journal, job.name):
        plan = _plan_in(folder)
        if plan is not None and plan.target == target:
            return replace(plan, shard=job.shard)
    raise JobError(f"{gone} And no journal of this job to this destination lies in {job.journal}.") from gone


def line_seen(job: Job, plan: Plan) -> Line | None:
    """As the newest run of a job of this name has seen it whose BOSS is one of this plan's."""
    hosts = _hosts(plan)
    for folder in journal.folders(job.journal, job.name):
        past = _plan_in(folder)
        if past is not None and hosts & _hosts(past):
            with suppress(OSError, ValueError):
                return TypeAdapter(Line).validate_json(journal.line_file(folder).read_bytes())
    return None


def _hosts(plan: Plan) -> set[str]:
    """Of the ends at a BOSS."""
    return {end.rsplit("/", 4)[0] for end in (plan.source.identity, plan.target) if end.startswith("boss://")}


def _plan_in(folder: Path) -> Plan | None:
    """None when the folder holds none that can be read."""
    try:
        return Plan.from_json(journal.plan_file(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def pieces_of(plan: Plan, done: Indexes) -> Pieces:
    """How a plan is cut, and which of its tasks are done, for those who show it."""
    slabs = plan.slabs(plan.task(0)) if plan.total else plan.tiling
    return Pieces(
        volume=plan.volume,
        tasks=plan.tiling,
        bands=Tiling(plan.box, slabs.step, slabs.origin),
        blocks=plan.blocks(plan.box),
        part=plan.part,
        resumed=tuple(done.runs()),
    )


def _voxels(plan: Plan, tasks: Indexes) -> int:
    """Of all these tasks together."""
    tiling = plan.tiling
    if not len(tiling):
        return 0
    counts = tiling.counts
    cells = np.unravel_index(tasks.array % len(tiling), (counts.z, counts.y, counts.x))
    axes = zip(plan.box.start, plan.box.stop, tiling.origin, tiling.step, reversed(cells), strict=True)
    sizes = np.ones(len(tasks), np.int64)
    for start, stop, origin, step, cell in axes:
        corner = origin + ((start - origin) // step + cell) * step
        sizes *= np.minimum(corner + step, stop) - np.maximum(corner, start)
    return int(sizes.sum())
