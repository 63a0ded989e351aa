"""The kind `boss`: a channel of a BOSS at one resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...job import Job
from .settings import Destination, Source

if TYPE_CHECKING:
    from .destination import BossDestination
    from .source import BossSource

__all__ = ["Destination", "Source", "open_destination", "open_source"]


def open_source(job: Job) -> BossSource:
    from .source import BossSource  # with the client, which settings alone do not need

    assert isinstance(job.source, Source)
    return BossSource(job, job.source)


def open_destination(job: Job) -> BossDestination:
    from .destination import BossDestination

    assert isinstance(job.destination, Destination)
    return BossDestination(job, job.destination)
