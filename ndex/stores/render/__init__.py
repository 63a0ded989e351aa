"""The kind `render`: a stack of a render web service, composed on the fly from aligned tiles; to be read only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...job import Job
from .settings import Source

if TYPE_CHECKING:
    from .source import RenderSource

__all__ = ["Source", "open_source"]


def open_source(job: Job) -> RenderSource:
    from .source import RenderSource  # with requests and the decoder, which settings alone do not need

    assert isinstance(job.source, Source)
    return RenderSource(job, job.source)
