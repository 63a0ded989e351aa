"""Starts the embedded BOSS that a job asks for, and stops it after."""

from __future__ import annotations

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
    hosts: dict[Path, str] = {}
    written = {boss.root.resolve() for boss in bosses(job, "destination") if boss.root}
    with ExitStack() as servers:

        def up(boss: Boss) -> Boss:
            if boss.root is None:
                return boss
            root = boss.root.resolve()
            if root not in hosts:
                from .server.process import running  # only jobs with an embedded BOSS pay for it

                hosts[root] = servers.enter_context(running(root, read_only=read_only or root not in written))
            return replace(boss, host=hosts[root], protocol="http")

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
