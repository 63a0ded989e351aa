"""Starts the embedded BOSS that a job asks for, and stops it after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from .job import Boss, End, Job


def bosses(job: Job) -> list[Boss]:
    """The BOSSes that the ends of a job talk to."""
    ends = (job.source, job.destination)
    return [getattr(end, "boss", None) or job.boss for end in ends if end.kind == "boss"]


@contextmanager
def reachable(job: Job, *, read_only: bool) -> Iterator[Job]:
    """The job with the address of a running server in place of each embedded BOSS. Two ends with one root share one."""
    hosts: dict[Path, str] = {}
    with ExitStack() as servers:

        def up(boss: Boss) -> Boss:
            if boss.root is None:
                return boss
            if boss.root not in hosts:
                from .server.process import running  # only jobs with an embedded BOSS pay for it

                hosts[boss.root] = servers.enter_context(running(boss.root, read_only=read_only))
            return replace(boss, host=hosts[boss.root], protocol="http")

        def with_server(end: End) -> End:
            own = getattr(end, "boss", None)
            return end if own is None else replace(end, boss=up(own))  # type: ignore[call-arg]  # ends of kind boss have it

        needs_job_boss = job.action == "describe" or any(boss is job.boss for boss in bosses(job))
        yield replace(
            job,
            boss=up(job.boss) if needs_job_boss else job.boss,
            source=with_server(job.source),
            destination=with_server(job.destination),
        )
