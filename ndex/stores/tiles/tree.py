"""The files of the tiles: fetched whole, opened in memory."""

from __future__ import annotations

from functools import partial
from io import BytesIO

from ...errors import JobError, Missing
from ...files import Place, files_at
from ...job import Job
from ...retry import with_retry
from ..images.formats import plane_in
from ..images.listing import names_in
from ..images.pattern import with_channel
from ..images.plane import Plane
from .names import KEY, Listing, Names, Tile, listed
from .settings import Source

PIXEL = 32
"""Bytes at most: four bands of 64 bits."""
SLACK = 1 << 20
"""Bytes that a file may have beyond its pixels."""


class Tree:
    """Where the tiles are and how they are called."""

    def __init__(self, job: Job, settings: Source) -> None:
        channel = job.resource.channel if job.resource else None
        self.names = Names.parsed(with_channel(settings.pattern, channel, KEY), settings.first)
        self.files = files_at(with_channel(settings.path, channel, "source.path"), "source.path", settings.access)
        self._band, self._retry = settings.band, job.retry
        self._limit = settings.tile[0] * settings.tile[1] * PIXEL + SLACK

    def where(self, tile: Tile) -> str:
        return self.files.where(self.names.of(tile))

    def plane(self, tile: Tile) -> Plane:
        """A tile with its header read. Raises PermanentError when there is none, besides what `Plane` raises."""
        data = with_retry(self._retry, partial(self.files.fetch, self.names.of(tile), self._limit))
        return plane_in(BytesIO(data), self.where(tile), self._band)

    def listing(self) -> Listing:
        """All tiles that there are. Raises Missing when there is none, JobError where files cannot be listed."""
        if not isinstance(self.files, Place):
            raise JobError(
                f"source.path={self.files}: files on the web cannot be listed. Give source.size=[width, height] and "
                "source.z=[first, last + 1], or all of extent.x, .y and .z."
            )
        found = names_in(self.files, self._retry, deep=True)
        listing = listed(found, self.names)
        if listing is None:
            there = f"it has {min(found)}, for one" if found else "there are none at all"
            raise Missing(f"{KEY}={self.names.pattern}: no file in {self.files} has such a name; {there}.")
        return listing
