"""Results as lines that a person reads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .events import Result, Started
from .indexes import Indexes
from .tree import tree
from .wording import counted, duration, megabytes

NAMED_FAILURES = 20
"""Failed tasks that the closing lines name."""
NAMED_RUNS = 12
"""Runs of planes that are named."""
NAMED_SHARDS = 16
"""Shards that `action: status` lists even if they are done."""


def started_lines(event: Started) -> list[str]:
    lines = [f"{event.name}: {event.source} -> {event.destination}"]
    lines += [f"  creates {line}" for line in event.created]
    if event.resumed:
        lines.append(f"  {event.resumed} of {event.tasks} tasks were done before")
    return lines


def summary_lines(result: Result) -> list[str]:
    """How a transfer, a verification or a creation ended."""
    if result.action == "create":
        created: Any = result.details.get("created") or ["nothing: all of it exists"]
        return [f"{result.name}: created {line}" for line in created]
    if result.tasks and result.resumed == result.tasks:
        return [f"{result.name}: nothing is left to do, all {result.tasks} tasks were done before", *_ending(result)]
    if result.untried and not result.done and not result.failed:
        return [f"{result.name}: no task has failed; {result.untried} of {result.tasks} were never tried"]
    rate = megabytes(result.nbytes / result.seconds) if result.seconds else "0 bytes"
    verb = "compared" if result.action == "verify" else "transferred"
    first = [
        f"{result.done:,} of {result.done + result.left:,} tasks {verb}",
        f"{megabytes(result.nbytes)} in {result.seconds:.1f} s ({rate}/s)",
        f"{result.verified:,} verified",
    ]
    return [f"{result.name}: " + ", ".join(first), *_counts(result), *_failures(result), *_ending(result)]


def _counts(result: Result) -> list[str]:
    """What became of the rest, a line for each kind that there is."""
    rows = (
        ("resumed", result.resumed, "task", "done before"),
        ("untried", result.untried, "task", "left alone with retry.only_failed"),
        ("empty", result.empty, "block", "nothing but zeros"),
        ("filled", len(result.filled), "absent plane", f"now zeros: z {_planes(result.filled)}"),
        ("repaired", result.repaired, "task", "found to differ, and transferred again"),
    )
    return [f"  {kind:<10} {counted(number, noun)}, {what}" for kind, number, noun, what in rows if number]


def _failures(result: Result) -> list[str]:
    if not result.failed:
        return []
    lines = [f"  {'FAILED':<10} {counted(len(result.failed), 'task')}"]
    lines += [f"    {task.box}: {task.reason}" for task in result.failed[:NAMED_FAILURES]]
    if len(result.failed) > NAMED_FAILURES:
        lines.append(f"    and {len(result.failed) - NAMED_FAILURES:,} more; action=status lists them")
    return lines


def _planes(planes: Sequence[int]) -> str:
    """Numbers in order, runs of them as `20-35`."""
    found = [f"{start}-{stop - 1}" if stop - start > 1 else str(start) for start, stop in Indexes.of(planes).runs()]
    rest = f" and {len(found) - NAMED_RUNS:,} more" if len(found) > NAMED_RUNS else ""
    return ", ".join(found[:NAMED_RUNS]) + rest


def _ending(result: Result) -> list[str]:
    """Where the data is and how to look at it, or how to go on."""
    if result.action == "verify":
        if any(task.differs for task in result.failed):
            return [f"  to transfer again what differs: {result.again}"]
        return [] if result.exit_code else _there(result, "the data is")
    if result.left == 0:
        there = _there(result, "the data is")
        if result.error is None:
            return there
        return [*there, f"  but {result.error.rstrip('.')}", f"  to try that again: {result.again}"]
    done = _there(result, "what is done is") if result.done + result.resumed else []
    return [*done, f"  {counted(result.left, 'task')} left; go on with: {result.again}"]


def _there(result: Result, what: str) -> list[str]:
    return [f"  {what} in {result.destination}", *(f"  look at it: {link}" for link in result.links)]


def plan_lines(result: Result) -> list[str]:
    """The dry run as a table, to be read before a week of transferring."""
    facts: dict[str, Any] = result.details
    rows = [("from", result.source), ("to", result.destination)]
    rows += [("creates", line) for line in facts["creates"] or ["nothing: all of it exists"]]
    rows += _extents(facts)
    rows += [
        ("voxels", f"{facts['voxels']:,} {facts['dtype']}, {megabytes(facts['bytes'])}"),
        ("done", _done(facts)),
        ("requests", "{:,}, blocks of {x:,} x {y:,} x {z:,} voxels".format(facts["blocks"], **facts["block"])),
        ("bytes", f"{megabytes(facts['bytes_read'])} to read, {megabytes(facts['bytes'])} to send, before compression"),
        *_files(facts),
        ("workers", f"{facts['workers']:,}, with {counted(facts['requests_in_flight'], 'request')} in flight"),
        ("memory", f"up to {megabytes(facts['memory'])}, {megabytes(facts['memory_of_a_worker'])} a worker"),
        *_times(facts),
    ]
    words = [f"  {key:<10} {value}" for key, value in rows]
    return [f"{result.name}: a plan; nothing was touched", *words]


def _files(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Of the whole job, where an end has a file a plane."""
    numbers = ((facts["files_read"], "to read"), (facts["files_written"], "to write"))
    said = [f"{number:,} {what}" for number, what in numbers if number is not None]
    return [("files", ", ".join(said))] if said else []


def _times(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """How long it takes, and what that is reckoned from."""
    shards = f" in {counted(facts['shards'], 'shard')}" if facts["shards"] > 1 else ""
    by = f" by {counted(facts['workers_of_all_shards'], 'worker')}{shards}"
    limit = f", limited by {facts['bottleneck']}" if facts["bottleneck"] else ""
    took = f"about {duration(facts['seconds'])}" if facts["seconds"] >= 1 else "under a second"
    time = ("time", f"{took}{by}{limit}")
    if facts["latency"] is None:
        return [time]
    known = facts["known"]
    latency = f"{facts['latency']:.3g} s a request ({known['latency']})"
    return [("line", f"{latency}, {megabytes(facts['bandwidth'])}/s ({known['bandwidth']})"), time]


def _extents(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """A row for each axis: voxels from and to, how many, how long, and where they land."""
    sizes = facts["micrometers"] or [None] * 3
    there = facts["destination_extent"]
    rows = []
    for (axis, (start, stop)), size in zip(facts["extent"].items(), sizes, strict=True):
        row = f"{start:,} to {stop:,}, {counted(stop - start, 'voxel')}"
        row += "" if size is None else f", {size:,g} micrometers"
        if there[axis] != [start, stop]:
            row += "; {:,} to {:,} at the destination".format(*there[axis])
        rows.append((axis, row))
    return rows if facts["times"] == [0, 1] else [*rows, ("t", "{} to {}".format(*facts["times"]))]


def _done(facts: dict[str, Any]) -> str:
    done, tasks = facts["tasks_done"], facts["tasks"]
    shard = f" (of {facts['tasks_of_all_shards']:,} of all shards)" if tasks != facts["tasks_of_all_shards"] else ""
    return f"{done:,} of {counted(tasks, 'task')}{shard}, {counted(tasks - done, 'task')} left"


def status_lines(result: Result) -> list[str]:
    """What the journals know."""
    facts: dict[str, Any] = result.details
    failed: list[dict[str, Any]] = facts["failed"]
    lines = [f"{result.name}: {result.resumed:,} of {result.tasks:,} tasks done, {result.left:,} left"]
    if failed:
        lines[0] += f", {len(failed)} of them failed (retry.only_failed=true takes just those)"
    lines += [f"  failed {_moment(one['at'])}, {one['box']}: {one['reason']}" for one in failed[:NAMED_FAILURES]]
    if len(failed) > NAMED_FAILURES:
        lines.append(f"  and {len(failed) - NAMED_FAILURES} more; report.format=json lists them all")
    lines += _shard_lines(facts["shards"])
    if result.again:
        lines.append(f"  go on with: {result.again}")
    if facts["job"]:
        lines.append(f"  the job as it was last run, to be repeated as jobs/NAME.yaml: {facts['job']}")
    return lines


def _shard_lines(shards: list[dict[str, Any]]) -> list[str]:
    """A line for each shard; where there are many, for each that has something left."""
    named = [shard for shard in shards if shard["left"]] if len(shards) > NAMED_SHARDS else shards
    lines = []
    for shard in named:
        seen = "never seen" if shard["last_seen"] is None else f"last seen {_moment(shard['last_seen'])}"
        lines.append(f"  {shard['name']}: {shard['done']} done, {shard['left']} left, {shard['failed']} failed, {seen}")
    if len(named) < len(shards):
        lines.append(f"  and {len(shards) - len(named)} shards of whose parts nothing is left")
    return lines


def _moment(at: float) -> str:
    """Seconds since the epoch as local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def tree_lines(result: Result) -> list[str]:
    """What a BOSS says of a resource."""
    return tree(result.details)
