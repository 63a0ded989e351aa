"""Runs of ndex in processes of their own, killed at a given event or moment (POSIX)."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import IO

from ndex.__main__ import main
from ndex.execute import execute
from ndex.job import Job, Report

PRELOADED = [
    *("pytest", "intern.remote.boss", "joblib", "tifffile", "imagecodecs", "hydra"),
    *("ndex.command", "ndex.config", "ndex.execute", "ndex.stores.boss", "ndex.stores.images", "ndex.server.process"),
]
"""What takes a second to import, and is there already when a run begins."""

Command = Job | Sequence[str]
"""A job, or what is typed after `ndex`."""


@contextmanager
def started(command: Command) -> Iterator[tuple[BaseProcess, IO[str]]]:
    """A run, and the lines that it prints: an event each. What is left of it at the end is killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    reader, writer = context.Pipe(duplex=False)
    tokens = {name: value for name, value in os.environ.items() if name.startswith("NDEX_")}
    process = context.Process(target=_run, args=(command, writer, tokens))
    process.start()
    writer.close()
    try:
        with open(os.dup(reader.fileno()), encoding="utf-8") as lines:
            yield process, lines
    finally:
        reader.close()
        process.kill()
        process.join()


def _run(command: Command, out: Connection, environment: dict[str, str]) -> None:
    os.dup2(out.fileno(), 1)
    out.close()
    os.environ.update(environment)
    sys.exit(execute(replace(command, report=Report("json")), None) if isinstance(command, Job) else main(command))


def events_of(lines: IO[str], name: str) -> Iterator[dict[str, object]]:
    """The events of this name, as they come; what a kill cuts off is none."""
    for line in lines:
        if line.endswith("\n") and (event := json.loads(line))["event"] == name:
            yield event


def killed_at_event(job: Job, number: int) -> int | None:
    """Kill a run once it has reported so many tasks; its exit code if it was faster."""
    with started(job) as (process, lines):
        for count, _ in enumerate(events_of(lines, "TaskDone"), 1):
            if count == number:
                return None
        process.join()
        return process.exitcode


def killed_after(job: Job, seconds: float) -> int | None:
    """Kill a run after this time; its exit code if it was faster."""
    with started(job) as (process, _):
        process.join(seconds)
        return process.exitcode
