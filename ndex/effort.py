"""How much of a job happens at once, where and how patiently: the part of its settings that changes no voxel."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ByteSize, Field

from .geometry import Vec

Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
BLOCK_BYTES = 16 << 20
"""Aimed at by one request: large enough to make latency small, small enough to have several in flight."""


@dataclass(frozen=True)
class Blocks:
    """Voxels of one request along each axis; null: chosen by the planner."""

    x: Positive | None = None
    y: Positive | None = None
    z: Positive | None = None

    def on(self, lattice: Vec, itemsize: int) -> Vec:
        """Size of one request: as given, else whole cells of the lattice up to BLOCK_BYTES, rather wide than tall: a
        row of blocks is what has to be in memory of wide planes."""
        x, y, z = lattice
        while 2 * x * y * z * itemsize <= BLOCK_BYTES:
            x, y = (2 * x, y) if x < 4 * y else (x, 2 * y)
        return Vec(self.x or x, self.y or y, self.z or z)


@dataclass(frozen=True)
class Rate:
    """What all workers of all shards may ask of a BOSS in a second; null: as much as it gives."""

    requests: Annotated[float, Field(gt=0)] | None = None
    bytes: Annotated[ByteSize, Field(gt=0)] | None = None
    """As they travel, in either direction."""


@dataclass(frozen=True)
class Parallel:
    """How much happens at once."""

    backend: Literal["threads", "serial", "processes", "dask"] = "threads"
    n_jobs: int = -1
    """Workers; -1: one a core."""
    requests: Positive = 6
    """Requests in flight per worker, at most."""
    memory: Annotated[ByteSize, Field(gt=0)] = ByteSize(4 << 30)
    """Bytes that all workers of one machine may hold."""
    address: str | None = None
    """Of a Dask scheduler, or path of its scheduler file; null: a cluster of this machine."""
    rate: Rate = Rate()

    def __post_init__(self) -> None:
        if self.n_jobs == 0:
            raise ValueError("n_jobs=0: must be 1 or more, or -1 for one a core")

    @property
    def workers(self) -> int:
        """Workers that are asked for."""
        if self.backend == "serial":
            return 1
        return self.n_jobs if self.n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + self.n_jobs)

    @property
    def requests_of_process(self) -> int:
        """Requests in flight, at most, of all workers that share a process."""
        return self.requests * (self.workers if self.backend == "threads" else 1)


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`."""

    index: NonNegative = 0
    count: Positive = 1


@dataclass(frozen=True)
class Expected:
    """What `action: plan` reckons with when it says how long a run takes; null: as earlier runs have seen it."""

    latency: Annotated[float, Field(ge=0)] | None = None
    """Seconds that a request takes besides its bytes."""
    bandwidth: Annotated[ByteSize, Field(gt=0)] | None = None
    """Bytes per second of the line to the BOSS, in each direction, for all workers together."""
    workers: Positive | None = None
    """Of all shards on all machines; null: those of this job, in each shard."""


@dataclass(frozen=True)
class Retry:
    """When a request or a file fails in a way that may pass by itself."""

    attempts: Positive = 8
    wait: Annotated[float, Field(ge=0)] = 1.0
    """Seconds before the second attempt; doubles from there, with jitter."""
    max_wait: Annotated[float, Field(ge=0)] = 60.0
    only_failed: bool = False
    """Do the tasks that have failed before, not those that were never tried."""
