"""The kind `boss`: a channel of a BOSS at one resolution."""

from __future__ import annotations

from ...job import Job
from .destination import BossDestination
from .settings import Destination, Source
from .source import BossSource

__all__ = ["BossDestination", "BossSource", "Destination", "Source", "open_destination", "open_source"]


def open_source(job: Job) -> BossSource:
    assert isinstance(job.source, Source)
    return BossSource(job, job.source)


def open_destination(job: Job) -> BossDestination:
    assert isinstance(job.destination, Destination)
    return BossDestination(job, job.destination)
