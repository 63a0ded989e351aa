"""The kind `stack`: a volume in one file, read from TIFF of many pages or NIfTI, written as BigTIFF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...job import Job
from .settings import Destination, Source

if TYPE_CHECKING:
    from .destination import StackDestination
    from .source import StackSource

__all__ = ["Destination", "Source", "open_destination", "open_source"]


def open_source(job: Job) -> StackSource:
    from .source import StackSource  # with the decoders, which settings alone do not need

    assert isinstance(job.source, Source)
    return StackSource(job, job.source)


def open_destination(job: Job) -> StackDestination:
    from .destination import StackDestination

    assert isinstance(job.destination, Destination)
    return StackDestination(job, job.destination)
