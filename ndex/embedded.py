"""Starts the embedded BOSS that a job asks for, and stops it after."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from .job import Boss, End, Job


def bosses(job: Job, *roles: str) -> list[Boss]:
    """The BOSSes that the ends of a job talk to, or the end of one role."""
    ends: list[End] = [getattr(job, role) for role in roles or ("source", "destination")]
    return [getattr(end, "boss", None) or job.boss for end in ends if end.kind == "boss"]


@contextmanager
def reachable(job: Job, *, read_only: bool) -> Iterator[Job]:
    """The job with the address of a running server in place of each embedded BOSS. Two ends with one root share one;
    a root that is only read is not touched."""
    with _servers(job, read_only) as hosts:

        def up(boss: Boss) -> Boss:
            if boss.root is None:
                return boss
            return replace(boss, host=hosts[boss.root.resolve()], protocol="http")

        def with_server(end: End) -> End:
            own = getattr(end, "boss", None)
            return end if own is None else replace(end, boss=up(own))  # type: ignore[call-arg]  # ends of kind boss have it

        yield replace(
            job,
            boss=up(job.boss) if job.boss in _asked(job) else job.boss,
            source=with_server(job.source),
            destination=with_server(job.destination),
        )


def _asked(job: Job) -> list[Boss]:
    """The BOSSes that are talked to."""
    return [*bosses(job), *([job.boss] if job.action == "describe" else [])]


@contextmanager
def _servers(job: Job, read_only: bool) -> Iterator[dict[Path, str]]:
    """The address of a running server for each root that is asked for."""
    roots = dict.fromkeys(boss.root.resolve() for boss in _asked(job) if boss.root)
    if not roots:
        yield {}
        return
    from .server.process import starting  # only jobs with an embedded BOSS pay for it

    written = {boss.root.resolve() for boss in bosses(job, "destination") if boss.root}
    with ExitStack() as stack:
        ways = {root: stack.enter_context(starting(root, read_only=read_only or root not in written)) for root in roots}
        importlib.import_module("intern.remote.boss")  # the client takes as long to import as a server to start
        yield {root: address() for root, address in ways.items()}
