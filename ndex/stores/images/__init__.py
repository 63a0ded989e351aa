"""The kind `images`: planes as TIFF or PNG files in a folder or a bucket, and as JPEG files to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...job import Job
from .settings import Destination, Source

if TYPE_CHECKING:
    from .destination import ImageDestination
    from .source import ImageSource

__all__ = ["Destination", "Source", "open_destination", "open_source"]


def open_source(job: Job) -> ImageSource:
    from .source import ImageSource  # with the decoders, which settings alone do not need

    assert isinstance(job.source, Source)
    return ImageSource(job, job.source)


def open_destination(job: Job) -> ImageDestination:
    from .destination import ImageDestination

    assert isinstance(job.destination, Destination)
    return ImageDestination(job, job.destination)
