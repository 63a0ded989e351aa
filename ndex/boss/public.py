"""A public channel in an experiment that is not public: what its readers can know of it (boss-api 2.5)."""

from __future__ import annotations

from ..geometry import ORIGIN, Box
from ..job import Interval, Resource
from .client import BossClient
from .records import CoordinateFrame, Downsampling, Experiment
from .resources import Found, frame_name


def look_from_outside(client: BossClient, resource: Resource, times: Interval | None) -> Found | None:
    """What there is, told from the levels of the channel, since the experiment may not be read; None without a channel.

    Of the time samples nothing is known: there are those that the job asks for.
    """
    names = (resource.collection, resource.experiment)
    channel = client.channel(*names, resource.channel)
    if channel is None:
        return None
    levels = client.downsample_status(channel)
    frame = _frame(client, resource, levels)
    experiment = Experiment(
        *names,
        frame=frame.name,
        levels=len(levels.extents),
        isotropic=levels.voxel_sizes[-1][2] != levels.voxel_sizes[0][2],
        time_samples=times[1] if times else 1,
    )
    return Found(collection=True, frame=frame, experiment=experiment, channel=channel)


def _frame(client: BossClient, resource: Resource, levels: Downsampling) -> CoordinateFrame:
    """Frames are open to everybody, but which one it is stands in the experiment. The one of the usual name (or of
    `resource.frame.name`) is believed if it is of the same size; else the data are taken to start at 0."""
    stop, size = levels.extents[0], levels.voxel_sizes[0]
    usual = client.frame(frame_name(resource))
    if usual is not None and (usual.box.stop, usual.voxel_size) == (stop, size):
        return usual
    return CoordinateFrame("unknown", Box(ORIGIN, stop), size, voxel_unit="")
