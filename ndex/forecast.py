"""What a plan will cost, as `action: plan` shows it."""

from __future__ import annotations

from .boss.flow import Line
from .expected import expected
from .geometry import Box
from .job import Job
from .plans import Plan

A_FILE_A_PLANE = ("images", "s3")
"""Kinds of places."""
_MICROMETRES = {"nanometers": 1e-3, "micrometers": 1.0, "millimeters": 1e3, "centimeters": 1e4}


def forecast(job: Job, plan: Plan, created: list[str], resumed: int, seen: Line | None = None) -> dict[str, object]:
    """Numbers of this shard, and of the whole job where they are named so; sizes in voxels and bytes, times in seconds.

    `seen` is what earlier runs have seen of the line to the BOSS.
    """
    run = expected(job, plan, resumed, seen)
    return {
        "extent": _axes(plan.box),
        "destination_extent": _axes(plan.box.shift(plan.offset)),
        "micrometers": _micrometers(job, plan),
        "times": list(plan.times),
        "dtype": f"{plan.source.dtype} to {plan.dtype}" if plan.source.dtype != plan.dtype else str(plan.dtype),
        "creates": created,
        "voxels": plan.voxels,
        "bytes": plan.nbytes,
        "tasks": len(plan),
        "tasks_of_all_shards": plan.total,
        "tasks_done": resumed,
        "blocks": plan.requests,
        "block": dict(zip("xyz", plan.cut.block, strict=True)),
        "workers": plan.workers,
        "requests_in_flight": plan.workers * job.parallel.requests,
        "memory": plan.workers * plan.worker_memory,
        "memory_of_a_worker": plan.worker_memory,
        "bytes_read": plan.voxels * plan.source.dtype.itemsize,
        "files_read": plan.box.size.z * plan.times.size if job.source.kind in A_FILE_A_PLANE else None,
        "files_written": plan.box.size.z * plan.times.size if job.destination.kind in A_FILE_A_PLANE else None,
        "shard": plan.shard.index,
        "shards": plan.shard.count,
        "seconds": run.seconds,
        "bottleneck": run.bottleneck,
        "latency": run.line.latency if run.line else None,
        "bandwidth": run.line.bandwidth if run.line else None,
        "known": run.known,
        "workers_of_all_shards": run.workers,
    }


def _axes(box: Box) -> dict[str, list[int]]:
    return {"x": list(box.x), "y": list(box.y), "z": list(box.z)}


def _micrometers(job: Job, plan: Plan) -> list[float] | None:
    """Size of the volume along x, y and z, when either end knows the size of a voxel."""
    voxel = micrometers(job, plan.source.voxel_size, plan.source.voxel_unit)
    return None if voxel is None else [round(n * side, 6) for n, side in zip(plan.box.size, voxel, strict=True)]


def micrometers(
    job: Job, size: tuple[float, float, float] | None, unit: str | None
) -> tuple[float, float, float] | None:
    """Size of a voxel along x, y and z: as its source knows it, else as the job says."""
    if size is None and job.resource is not None:
        size, unit = job.resource.voxel_size, job.resource.voxel_unit
    if size is None or unit is None:
        return None
    x, y, z = (side * _MICROMETRES[unit] for side in size)
    return x, y, z
