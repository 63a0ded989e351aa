"""What a BOSS says of the resource of a job: `action: describe`."""

from __future__ import annotations

from .boss.client import BossClient
from .boss.records import Channel, CoordinateFrame, Downsampling, Experiment
from .errors import AccessError, JobError, Missing
from .job import Job, Resource

Tree = dict[str, object]


def describe(job: Job) -> Tree:
    """Collection, experiment, coordinate frame, channel with its levels, and the metadata of all, as nested facts.

    Raises Missing when one of them does not exist, AccessError when the token is refused.
    """
    if job.resource is None:
        raise JobError("action=describe needs resource.collection, resource.experiment and resource.channel.")
    client = BossClient.connect(job.boss, job.retry).impatient()
    try:
        return _tree(client, job.resource)
    finally:
        client.close()


def _tree(client: BossClient, resource: Resource) -> Tree:
    names = (resource.collection, resource.experiment, resource.channel)
    collection = client.collection(names[0])
    experiment = client.experiment(*names[:2])
    channel = client.channel(*names)
    if collection is None or experiment is None or channel is None:
        raise Missing(f"resource={resource} does not exist on {client.host}. Look at its name.")
    frame = client.frame(experiment.frame)
    return {
        f"collection {collection.name}": {
            "description": collection.description,
            "experiments": list(collection.experiments),
            "metadata": _metadata(client, *names[:1]),
        },
        f"experiment {experiment.name}": {**_experiment(experiment), "metadata": _metadata(client, *names[:2])},
        f"coordinate frame {experiment.frame}": _frame(frame) if frame is not None else {},
        f"channel {channel.name}": {
            **_channel(channel, client.downsample_status(channel)),
            "metadata": _metadata(client, *names),
        },
    }


def _metadata(client: BossClient, *path: str) -> object:
    """Keys and values; unlike the rest, they are not open to everybody on public resources (boss-api 2.4)."""
    try:
        return {key: client.get_metadata(key, *path) for key in client.list_metadata(*path)}
    except AccessError:
        return "not readable with this token"


def _experiment(experiment: Experiment) -> Tree:
    return {
        "description": experiment.description,
        "channels": list(experiment.channels),
        "levels": experiment.levels,
        "hierarchy": "isotropic" if experiment.isotropic else "anisotropic",
        "time_samples": experiment.time_samples,
    }


def _frame(frame: CoordinateFrame) -> Tree:
    box = frame.box
    return {
        "description": frame.description,
        "extent": {"x": list(box.x), "y": list(box.y), "z": list(box.z)},
        "voxel_size": list(frame.voxel_size),
        "voxel_unit": frame.voxel_unit,
    }


def _channel(channel: Channel, levels: Downsampling) -> Tree:
    sizes = zip(levels.extents, levels.voxel_sizes, strict=True)
    return {
        "description": channel.description,
        "type": channel.type,
        "datatype": str(channel.dtype),
        "base_resolution": channel.base,
        "source_channels": list(channel.sources),
        "downsampling": levels.status,
        "resolutions": {
            str(level): {"extent": list(extent), "voxel_size": list(voxel)}
            for level, (extent, voxel) in enumerate(sizes)
        },
    }
