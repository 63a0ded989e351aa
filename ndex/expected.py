"""How long a plan will take, and what it will be that it waits for."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .boss.flow import Line
from .job import Job, Shard
from .plans import Plan, Task
from .simulated import Crew, End, Load, seconds_for
from .transfer import processes_of

ASSUMED = Line(latency=0.1, bandwidth=125e6)
"""Of a BOSS that no run has seen yet: across a continent, by a line of 1 Gbit/s."""
BESIDE = Line(latency=0.01, bandwidth=500e6)
"""Of the embedded BOSS."""
EXACT = 2000
"""Requests up to which all of a plan is simulated; what is larger goes on as it has begun."""
LONG = 800
"""Requests after which it is taken to go on as it does then."""
CREW = 8
"""Workers that are simulated of very many."""
ROUNDS = 16
"""Tasks for each worker from which on it matters little that the last ones are not shared evenly."""

# Seconds of a core, on one of 2.5 GHz; as measured with sections of electron microscopy.
UNPACK, PACK = 1.4e-9, 1.8e-9
"""A byte of voxels from and to a BOSS, with its checksum."""
DECODE, ENCODE = 2.5e-9, 8e-9
"""A byte of voxels from and to files, of which some are compressed and some are not."""
PLAIN = 1.0e-9
"""A byte to files that are not compressed."""
REQUEST = 0.003
TASK = 0.01
"""With its entry in the journal, forced to the disk."""
START = 0.1
"""Seconds until the first task has begun."""
PROCESS, CLUSTER = 0.6, 2.0
"""Seconds of a core until a worker process has begun; seconds until a cluster has."""
SENT, FETCHED = {1: 0.88, 2: 0.88}, {1: 1.0, 2: 1.0}
"""Bytes on the line for a byte of voxels, by the bytes of a voxel. A BOSS packs images so that they do not shrink."""
LABELS = 0.05
"""The same for larger voxels, which are labels."""


@dataclass(frozen=True)
class Outlook:
    """What is to be expected of a run."""

    seconds: float
    bottleneck: str
    line: Line | None
    """To the BOSS that was reckoned with; None where neither end is one."""
    known: dict[str, str]
    """For each part of the line, whether it was `given`, `measured` or `assumed`."""
    workers: int
    """Of all shards."""


def expected(job: Job, plan: Plan, done: int, seen: Line | None) -> Outlook:
    """What becomes of a job if of each shard as many tasks are done as of this one. `seen` is the line of earlier
    runs."""
    line, known = _line(job, seen)
    workers = job.plan.workers or plan.workers * job.shard.count
    crew = _crew(job, plan, line, workers)
    left = 1 - done / len(plan) if len(plan) else 1.0
    work = _Work(job, replace(plan, shard=Shard()), math.ceil(plan.total * left))
    seconds = work.seconds(crew)
    slowest = max(seconds, work.seconds_at_rate())
    bottleneck = "parallel.rate" if slowest > seconds else work.bottleneck(crew, seconds) if work.tasks else ""
    start = _seconds_to_start(job, crew) if work.tasks else 0.0
    shown = line if "boss" in (job.source.kind, job.destination.kind) else None
    return Outlook(start + slowest, bottleneck, shown, known, workers)


def _line(job: Job, seen: Line | None) -> tuple[Line, dict[str, str]]:
    base = seen or (BESIDE if job.boss.embedded else ASSUMED)
    given = {key: value for key in ("latency", "bandwidth") if (value := getattr(job.plan, key)) is not None}
    otherwise = "measured" if seen else "assumed"
    known = {key: "given" if key in given else otherwise for key in ("latency", "bandwidth")}
    return replace(base, **given), known


def _seconds_to_start(job: Job, crew: Crew) -> float:
    """A single worker is this process itself, except on a cluster."""
    together = START + (CLUSTER if job.parallel.backend == "dask" else 0)
    return together + (PROCESS * max(1, crew.processes / crew.cores) if crew.processes > 1 else 0)


def _crew(job: Job, plan: Plan, line: Line, workers: int) -> Crew:
    here = min(plan.workers, workers)
    processes = processes_of(job, here)
    here_size, there_size = plan.source.dtype.itemsize, plan.dtype.itemsize
    fetched = FETCHED.get(here_size, LABELS) * here_size / there_size
    source, destination = (end.kind == "boss" for end in (job.source, job.destination))
    plain = getattr(job.destination, "compression", None) == "none"
    costs = (UNPACK, PACK) if destination else (DECODE, PLAIN if plain else ENCODE)
    return Crew(
        source=End(source, UNPACK if source else DECODE, 0.0, fetched),
        destination=End(destination, *costs, SENT.get(there_size, LABELS)),
        latency=line.latency,
        bandwidth=line.bandwidth,
        machines=-(-workers // here),
        cores=os.cpu_count() or 1,
        processes=processes,
        workers=here // processes,
        most=job.parallel.requests_of_process,
        at_once=plan.at_once,
        ahead=plan.ahead,
        per_request=REQUEST,
        per_task=TASK,
    )


@dataclass(frozen=True)
class _Work:
    """The tasks that are left."""

    job: Job
    plan: Plan
    """Of all shards."""
    tasks: int
    """Of all shards, too."""

    @property
    def requests(self) -> float:
        """Blocks of a task."""
        return self.plan.requests / len(self.plan)

    @property
    def checked(self) -> float:
        """How many of the tasks are read back."""
        stride = max(1, min(16, self.plan.total // 4))
        return {"none": 0.0, "sample": 1 / stride, "full": 1.0}[self.job.verify]

    def seconds(self, crew: Crew) -> float:
        """From the first task to the end of the last one."""
        if not self.tasks:
            return 0.0
        if self.tasks * self.requests <= EXACT:
            return seconds_for(_with_work(crew, self.tasks), list(self._loads()))
        rounds, rest = divmod(self.tasks, crew.total)
        if rounds >= ROUNDS or not rest:
            return self._seconds_of_many(crew, self.tasks / crew.total)
        last = self._seconds_of_many(_with_work(crew, rest), 1)
        return last + (self._seconds_of_many(crew, rounds) if rounds else 0)

    def seconds_at_rate(self) -> float:
        """What `parallel.rate` makes them take at least."""
        rate, ends = self.job.parallel.rate, [self.job.source.kind, self.job.destination.kind].count("boss")
        passes = ends + (self.checked if self.job.destination.kind == "boss" else 0)
        requests = self.tasks * self.requests * passes
        nbytes = self.tasks * self.plan.nbytes / len(self.plan) * passes * SENT.get(self.plan.dtype.itemsize, LABELS)
        return max(requests / rate.requests if rate.requests else 0, nbytes / rate.bytes if rate.bytes else 0)

    def bottleneck(self, crew: Crew, seconds: float) -> str:
        """Without what it would go fastest."""
        source, destination = crew.source.slower(0), crew.destination.slower(0)
        without = {
            "latency": replace(crew, latency=0.0),
            "bandwidth": replace(crew, bandwidth=math.inf),
            "cores": replace(crew, source=source, destination=destination, per_request=0.0),
        }
        left = {name: self.seconds(better) for name, better in without.items()}
        slowest = min(left, key=lambda name: left[name])
        if slowest == "bandwidth":
            return "the bandwidth of the line to the BOSS"
        if self.tasks < crew.total:
            return "the number of tasks: there are fewer than workers"
        if slowest == "cores":
            return "the cores of each machine; more machines would help (shard.count)"
        wider = replace(crew, most=2 * crew.most, at_once=2 * crew.at_once)
        remedy = "a larger parallel.requests" if self.seconds(wider) < 0.9 * seconds else "more workers"
        return f"latency; {remedy} would help"

    def _loads(self) -> Iterator[Load]:
        """The last tasks, so many as are left: all of a plan of which none is done."""
        plan, verify = self.plan, self.job.verify
        for task in plan[len(plan) - self.tasks :]:
            yield _load(plan, task, verify == "full" or (verify == "sample" and plan.is_sampled(task)))

    def _seconds_of_many(self, crew: Crew, rounds: float) -> float:
        """For so many tasks of each worker: as it goes on once it goes on evenly."""
        few = _fewer(crew)
        bands, blocks, nbytes = self._shape()
        at_most = max(1, LONG // (2 * few.total))
        blocks_seen = min(blocks, at_most)
        bands_seen = max(1, min(bands, at_most // blocks_seen))
        repeats = max(1, at_most // (bands_seen * blocks_seen))
        scale = bands * blocks / (bands_seen * blocks_seen)

        def mixed(tasks: int) -> float:
            loads = [Load(((nbytes,) * blocks_seen,) * bands_seen, checked) for checked in (False, True)]
            shares = (1 - self.checked, self.checked)
            pairs = zip(shares, loads, strict=True)
            return sum(share * seconds_for(few, [load] * tasks * few.total) for share, load in pairs if share)

        needed = rounds * scale
        first = mixed(min(repeats, math.ceil(needed)))
        if needed <= repeats:
            return first
        second = mixed(2 * repeats)
        return second + (second - first) / repeats * (needed - 2 * repeats)

    def _shape(self) -> tuple[int, int, float]:
        """Bands of a task, blocks of a band, bytes of a block."""
        bands = len(self.plan.slabs(self.plan[0]))
        blocks = max(1, round(self.requests / bands))
        return bands, blocks, self.plan.nbytes / len(self.plan) / (bands * blocks)


def _load(plan: Plan, task: Task, checked: bool) -> Load:
    size = plan.dtype.itemsize
    return Load(tuple(tuple(b.voxels * size for b in plan.blocks(slab)) for slab in plan.slabs(task)), checked)


def _with_work(crew: Crew, tasks: int) -> Crew:
    """Without those who have nothing to do."""
    here = crew.processes * crew.workers
    return crew if tasks >= crew.total else replace(crew, machines=-(-tasks // here))


def _fewer(crew: Crew) -> Crew:
    """A few workers of one machine, with their share of everything."""
    of_process = min(crew.workers, CREW)
    processes = max(1, min(crew.processes, CREW // of_process))
    share = of_process * processes / (crew.processes * crew.workers)
    places = math.ceil(crew.cores * share)
    slower = places / (crew.cores * share)  # a part of a core is one that takes longer
    return replace(
        crew,
        source=crew.source.slower(slower),
        destination=crew.destination.slower(slower),
        per_request=crew.per_request * slower,
        bandwidth=crew.bandwidth * share / crew.machines,
        machines=1,
        cores=places,
        processes=processes,
        workers=of_process,
        most=max(1, crew.most * of_process // crew.workers),
    )
