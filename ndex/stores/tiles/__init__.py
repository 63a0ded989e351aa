"""The kind `tiles`: planes that are cut into tiles, as viewers such as CATMAID show them; to be read only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...job import Job
from .settings import Source

if TYPE_CHECKING:
    from .source import TileSource

__all__ = ["Source", "open_source"]


def open_source(job: Job) -> TileSource:
    from .source import TileSource  # with the decoders, which settings alone do not need

    assert isinstance(job.source, Source)
    return TileSource(job, job.source)
