"""The downsample service: what levels there are, and having them made (boss-api 10)."""

from __future__ import annotations

from . import catalog, hierarchy
from .faults import BossFault, Code
from .hierarchy import CUBOID
from .messages import Request, Response, json_response
from .site import Site, channel_of, channel_row, may_read, may_write

MAX_VOXELS = 33_554_432_000_000
"""Of the frame; larger volumes are for administrators."""


def get(site: Site, request: Request, c: str, e: str, ch: str) -> Response:
    channel = channel_of(site, c, e, ch)
    may_read(request, ch, channel.public)
    experiment, iso = channel.experiment, request.flag("iso")
    hierarchy.iso_level(experiment)  # a BOSS refuses when there is none, also for the plain view
    levels = range(experiment.levels)
    return json_response(
        200,
        {
            "status": channel.status,
            "num_hierarchy_levels": experiment.levels,
            "voxel_size": {str(level): hierarchy.voxel_size(experiment, level, iso) for level in levels},
            "extent": {str(level): hierarchy.extent(experiment, level, iso) for level in levels},
            "cuboid_size": {str(level): CUBOID for level in levels},
        },
    )


def post(site: Site, request: Request, c: str, e: str, ch: str) -> Response:
    with site.catalog.transaction() as db:
        channel = catalog.place(db, channel_row(db, c, e, ch))
        may_write(request, ch)
        if channel.status not in ("NOT_DOWNSAMPLED", "FAILED"):
            raise BossFault(Code.INVALID_STATE, f"Channel {ch} is {channel.status}: it cannot be downsampled now.")
        if channel.frame.voxels > MAX_VOXELS:
            raise BossFault(Code.INVALID_STATE, f"The frame of channel {ch} is too large to be downsampled.")
        hierarchy.iso_level(channel.experiment)
        catalog.update(db, "channel", channel.id, {"downsample_status": "QUEUED"})
    site.worker.wake()
    return Response(201)


def delete(site: Site, request: Request, c: str, e: str, ch: str) -> Response:
    """Cancel; what has been made so far stays."""
    with site.catalog.transaction() as db:
        row = channel_row(db, c, e, ch)
        may_write(request, ch)
        if row["downsample_status"] not in ("QUEUED", "IN_PROGRESS"):
            raise BossFault(Code.INVALID_STATE, f"Channel {ch} is {row['downsample_status']}: nothing to cancel.")
        catalog.update(db, "channel", row["id"], {"downsample_status": "NOT_DOWNSAMPLED"})
    return Response(204)
