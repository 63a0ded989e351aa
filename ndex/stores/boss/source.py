"""A channel of a BOSS to read from."""

from __future__ import annotations

import numpy as np

from ...boss.client import BossClient
from ...boss.cutouts import fits_one_request
from ...boss.fitting import check_reachable, check_readable, level_box
from ...boss.hierarchy import CUBOID, Hierarchy
from ...boss.offsets import offset_at
from ...boss.public import look_from_outside
from ...boss.records import Channel
from ...boss.resources import Found, Site, look, require_site
from ...errors import AccessError, JobError
from ...geometry import ORIGIN, Box, Span, Vec
from ...job import Job
from ...volume import Array, Facts, Piece
from .level import Level, naming_own_keys
from .settings import Source


class BossSource(Level):
    """A channel to read from."""

    role = "source"

    def __init__(self, job: Job, settings: Source) -> None:
        super().__init__(job, settings.boss, settings.resource)
        self._keep = settings.filter or ()
        self._shift = None if settings.coordinates == "original" else ORIGIN
        """What is added to the coordinates of the job to get those of the BOSS; None until it is known."""

    @property
    def identity(self) -> str:
        """With what keeps some of the voxels from view."""
        view = ("?iso" if self._resource.iso else "") + (f"#{','.join(map(str, self._keep))}" if self._keep else "")
        return super().identity + view

    @naming_own_keys
    def facts(self) -> Facts:
        client = self._client.impatient()
        site = require_site(self._found(client), self._resource, self._host)
        frame, channel, level = site.frame, site.channel, self._resource.resolution
        check_readable(frame, site.experiment, channel, self._resource)
        if self._keep and channel.type != "annotation":
            raise JobError(
                f"source.filter={list(self._keep)}: only annotations can be filtered; {channel} is an image. Leave the "
                "key out, or name an annotation channel."
            )
        levels = self._levels(site)
        check_reachable(frame, levels, channel.base, level, self._job.extent)
        back = ORIGIN.minus(self._shift_of(site, client))
        return Facts(
            label=self.label,
            identity=self.identity + (f"@{tuple(back)}" if back != ORIGIN else ""),
            box=level_box(frame, levels, level).shift(back),
            dtype=channel.dtype,
            times=Span(0, site.experiment.time_samples),
            grid=CUBOID,
            corner=back,
            voxel_size=levels.voxel_size_at(level),
            voxel_unit=frame.voxel_unit or None,
        )

    def read(self, box: Box, t: int) -> Piece:
        return super().read(box.shift(self._shift_of(self._site(), self._client)), t)

    def _look(self, client: BossClient) -> Found:
        try:
            return look(client, self._resource)
        except AccessError:
            found = look_from_outside(client, self._resource, self._job.extent.t)
            if found is None:
                raise
            return found

    def _cutout(self, channel: Channel, resolution: int, box: Box, t: int | None) -> Array:
        """With a filter, the BOSS leaves the other ids out, unless there are too many to name in a request."""
        iso, keep = self._resource.iso, self._keep
        if fits_one_request(keep):
            return self._client.get_cutout(channel, resolution, box, t, iso=iso, filter=keep)
        voxels = self._client.get_cutout(channel, resolution, box, t, iso=iso)
        ids = np.array(keep, np.uint64)
        for plane in voxels:
            plane[~np.isin(plane, ids)] = 0
        return voxels

    def _levels(self, site: Site) -> Hierarchy:
        return Hierarchy.of(site.frame, site.experiment, iso=self._resource.iso)

    def _shift_of(self, site: Site, client: BossClient) -> Vec:
        with self._lock:
            if self._shift is None:
                self._shift = offset_at(client, self._resource, self._levels(site))
            return self._shift
