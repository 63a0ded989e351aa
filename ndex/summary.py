"""Results as lines that a person reads."""

from __future__ import annotations

import time
from typing import Any

from rich.filesize import decimal

from .events import Result, Started
from .tree import tree

NAMED_FAILURES = 20
"""Failed tasks that the closing lines name."""


def megabytes(nbytes: float) -> str:
    """A size with the unit that suits it."""
    return decimal(round(nbytes))


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
    rate = megabytes(result.nbytes / result.seconds) if result.seconds else "0 bytes"
    if result.untried and not result.done and not result.failed:
        return [f"{result.name}: no task has failed; {result.untried} of {result.tasks} were never tried"]
    verb = "compared" if result.action == "verify" else "transferred"
    counts = [
        f"{result.done} of {result.done + result.left} tasks {verb}",
        f"{megabytes(result.nbytes)} in {result.seconds:.1f} s ({rate}/s)",
        f"{result.verified} verified",
    ]
    for number, what in (
        (result.resumed, "done before"),
        (result.untried, "never tried"),
        (result.empty, "empty blocks"),
        (len(result.filled), "absent planes filled with zeros"),
        (result.repaired, "repaired"),
        (len(result.failed), "FAILED"),
    ):
        if number:
            counts.append(f"{number} {what}")
    lines = [f"{result.name}: " + ", ".join(counts)]
    lines += [f"  failed {task.box}: {task.reason}" for task in result.failed[:NAMED_FAILURES]]
    if len(result.failed) > NAMED_FAILURES:
        lines.append(f"  and {len(result.failed) - NAMED_FAILURES} more")
    if result.filled:
        lines.append(f"  planes filled: z {', '.join(map(str, result.filled))}")
    return lines + _ending(result)


def _ending(result: Result) -> list[str]:
    """Where the data is, or what to do about it."""
    there = [f"  the data is in {result.destination}", *(f"  {link}" for link in result.links)]
    if result.exit_code == 0:
        return there
    if result.action != "run":
        return []
    if result.left == 0 and result.error is not None:
        return [*there, f"  but {result.error.rstrip('.')}; the same command tries that again"]
    return [f"  {result.left} tasks are left; the same command goes on from here"]


def plan_lines(result: Result) -> list[str]:
    """The dry run as a table."""
    facts: dict[str, Any] = result.details
    rows = [
        ("from", result.source),
        ("to", result.destination),
        *(("creates", line) for line in facts["creates"]),
        *((axis, f"{a} to {b}") for axis, (a, b) in facts["extent"].items()),
        ("voxels", f"{facts['voxels']:,} {facts['dtype']}, {megabytes(facts['bytes'])}"),
        ("tasks", f"{facts['tasks']:,}, {facts['tasks_done']:,} of them done"),
        ("blocks", "{:,} of {x} x {y} x {z}".format(facts["blocks"], **facts["block"])),
        ("workers", f"{facts['workers']}, {facts['requests_in_flight']} requests in flight"),
        ("memory", megabytes(facts["memory"])),
    ]
    if facts["destination_extent"] != facts["extent"]:
        rows[2:2] = [(f"{axis} there", f"{a} to {b}") for axis, (a, b) in facts["destination_extent"].items()]
    if facts["micrometers"]:
        rows.append(("size", "{} x {} x {} micrometers".format(*facts["micrometers"])))
    return [f"{result.name}: a plan; nothing was touched", *(f"  {key:<10} {value}" for key, value in rows)]


def status_lines(result: Result) -> list[str]:
    """What the journals know."""
    facts: dict[str, Any] = result.details
    failed: list[dict[str, Any]] = facts["failed"]
    lines = [f"{result.name}: {result.resumed} of {result.tasks} tasks done, {result.left} left"]
    if failed:
        lines[0] += f", {len(failed)} of them failed (retry.only_failed=true takes just those)"
    lines += [f"  failed {_moment(one['at'])}, {one['box']}: {one['reason']}" for one in failed[:NAMED_FAILURES]]
    if len(failed) > NAMED_FAILURES:
        lines.append(f"  and {len(failed) - NAMED_FAILURES} more; report.format=json lists them all")
    for shard in facts["shards"]:
        seen = "never" if shard["last_seen"] is None else _moment(shard["last_seen"])
        lines.append(f"  {shard['name']}: {shard['done']} done, {shard['failed']} failed, last seen {seen}")
    if facts["job"]:
        lines.append(f"  the job as it was last run, to be repeated as jobs/NAME.yaml: {facts['job']}")
    return lines


def _moment(at: float) -> str:
    """Seconds since the epoch as local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def tree_lines(result: Result) -> list[str]:
    """What a BOSS says of a resource."""
    return tree(result.details)
