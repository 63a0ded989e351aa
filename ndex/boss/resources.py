"""What a job needs in a BOSS: what is there, whether it fits, what is to be created, and creating it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from ..errors import JobError, Missing
from ..geometry import Box, Vec
from ..job import Resource, Unit
from ..volume import Volume
from .client import BossClient
from .fitting import channel_kind, check_channel, check_experiment, check_frame
from .hierarchy import Hierarchy, levels_for
from .places import check_name
from .records import Channel, Collection, CoordinateFrame, Experiment

FARTHEST = 2**31 - 1
"""Where a coordinate frame may end (boss-api 4.4)."""


@dataclass(frozen=True)
class Site:
    """A channel and what it stands in."""

    frame: CoordinateFrame
    experiment: Experiment
    channel: Channel


@dataclass(frozen=True)
class Found:
    """As much of a site as exists."""

    collection: bool = False
    frame: CoordinateFrame | None = None
    experiment: Experiment | None = None
    channel: Channel | None = None
    sources: tuple[str, ...] = ()
    """Those of `resource.source_channels` that exist; not looked for when the channel exists."""

    @property
    def site(self) -> Site | None:
        """All of it, if the channel exists."""
        if self.frame and self.experiment and self.channel:
            return Site(self.frame, self.experiment, self.channel)
        return None


def look(client: BossClient, resource: Resource) -> Found:
    """What exists. From the inside out: who may write a channel need not be allowed to see its collection."""
    check_names(resource)
    names = (resource.collection, resource.experiment, resource.channel)
    channel = client.channel(*names)
    experiment = client.experiment(*names[:2])
    collection = experiment is not None or client.collection(names[0]) is not None
    frame = client.frame(experiment.frame if experiment else frame_name(resource))
    if experiment and not frame:
        raise Missing(f"The experiment {experiment} stands in the coordinate frame {experiment.frame}: there is none.")
    sources = resource.source_channels if experiment and not channel else ()
    there = tuple(name for name in sources if client.channel(*names[:2], name))
    return Found(collection, frame, experiment, channel, there)


def check_names(resource: Resource) -> None:
    """Raises JobError for a name that a BOSS would cut or refuse, before it sees one."""
    check_name(resource.collection, "resource.collection")
    check_name(resource.experiment, "resource.experiment")
    check_name(resource.channel, "resource.channel")
    check_name(frame_name(resource), "resource.frame.name")
    for name in resource.source_channels:
        check_name(name, "resource.source_channels")


def frame_name(resource: Resource) -> str:
    return resource.frame.name or f"{resource.collection}_{resource.experiment}"


def plan_creation(resource: Resource, volume: Volume, found: Found) -> list[str]:
    """What `create_missing` would create, a line each. Raises JobError when what exists contradicts the job, Missing
    when something has to be created and `resource.create` is false."""
    wanted = complete(resource, volume, found)
    lines = list(_lines(found, wanted, resource))
    if lines and not resource.create:
        raise Missing(f"There is no {lines[0]}. Give resource.create=true to have it created, or correct the name.")
    return lines


def complete(resource: Resource, volume: Volume, found: Found) -> Site:
    """What there will be: what exists and, for the rest, what the job asks for. Raises JobError where it cannot be."""
    frame = found.frame or _frame(resource, volume)
    experiment = found.experiment or _experiment(resource, volume, frame)
    channel = found.channel or _channel(resource, volume)
    check_channel(channel, experiment, resource, volume)
    check_experiment(experiment, resource, volume)
    check_frame(frame, experiment, resource, volume)
    return Site(frame, experiment, channel)


def create_missing(client: BossClient, resource: Resource, volume: Volume) -> None:
    """Create what is missing. Several may do this at once: creators answer with what is there, and all of it is looked
    at once more. Raises as `plan_creation` does, AccessError without the role that creating takes."""
    found = look(client, resource)
    if not plan_creation(resource, volume, found):
        return
    wanted = complete(resource, volume, found)
    if not found.collection:
        client.create_collection(Collection(resource.collection))
    if not found.frame:
        client.create_frame(wanted.frame)
    if not found.experiment:
        client.create_experiment(wanted.experiment)
    if not found.channel:
        for name in _missing_sources(found, resource):
            client.create_channel(_source(name, resource))
        client.create_channel(wanted.channel)
    plan_creation(replace(resource, create=False), volume, look(client, resource))


def _frame(resource: Resource, volume: Volume) -> CoordinateFrame:
    """As large as the volume, unless the job gives bounds. From its first voxel on, not from 0: a later download of
    "everything" brings what was uploaded, and no empty planes before it. A BOSS compares starts with that of level 0
    at every level, so the start is not scaled (boss-api 17)."""
    size, unit = _voxel(resource, volume)
    level0 = Hierarchy(Vec(0, 0, 0), size, _is_isotropic(size))
    factors = level0.factors(resource.resolution)
    edges = zip(volume.box.start, volume.box.stop, factors, strict=True)
    needed = [(start, stop * factor) for start, stop, factor in edges]
    given = (resource.frame.x, resource.frame.y, resource.frame.z)
    for axis, bounds in zip("xyz", given, strict=True):
        if bounds is not None and bounds[0] < 0:
            raise JobError(
                f"resource.frame.{axis}={list(bounds)}: a BOSS cannot address coordinates below 0. Begin it at 0 or "
                "above; offset=auto moves the volume there."
            )
    x, y, z = (bounds or computed for bounds, computed in zip(given, needed, strict=True))
    if max(x[1], y[1], z[1]) > FARTHEST:
        raise JobError(
            f"The coordinate frame {frame_name(resource)} would end at {(x[1], y[1], z[1])}, and a BOSS counts to "
            f"{FARTHEST:,}. Look at resource.frame, extent and offset."
        )
    return CoordinateFrame(frame_name(resource), Box.of(x, y, z), size, unit)


def _voxel(resource: Resource, volume: Volume) -> tuple[tuple[float, float, float], str]:
    """Size and unit of a voxel of level 0: as given, else that of the source."""
    if resource.voxel_size is not None:
        return resource.voxel_size, resource.voxel_unit
    known = volume.voxel_size is not None and volume.voxel_unit in get_args(Unit)
    if not known or resource.resolution > 0:
        raise JobError(
            f"resource.voxel_size is needed to create the coordinate frame {frame_name(resource)}: "
            f"[x, y, z] in {resource.voxel_unit}, at resolution 0."
        )
    assert volume.voxel_size is not None
    assert volume.voxel_unit is not None
    return volume.voxel_size, volume.voxel_unit


def _is_isotropic(voxel_size: tuple[float, float, float]) -> bool:
    return len(set(voxel_size)) == 1


def _experiment(resource: Resource, volume: Volume, frame: CoordinateFrame) -> Experiment:
    return Experiment(
        collection=resource.collection,
        name=resource.experiment,
        frame=frame.name,
        levels=resource.hierarchy_levels or levels_for(frame.box.stop),
        isotropic=_is_isotropic(frame.voxel_size),
        time_samples=max(resource.time_samples, volume.times.stop),
    )


def _channel(resource: Resource, volume: Volume) -> Channel:
    kind, dtype = channel_kind(resource, volume.dtype)
    return Channel(
        collection=resource.collection,
        experiment=resource.experiment,
        name=resource.channel,
        type=kind,
        dtype=dtype,
        base=resource.resolution,
        sources=resource.source_channels,
        description=resource.description,
    )


def _source(name: str, resource: Resource) -> Channel:
    """A channel that annotations may name as what they were made from."""
    return Channel(resource.collection, resource.experiment, name, "image", np.dtype("uint8"))


def _missing_sources(found: Found, resource: Resource) -> list[str]:
    return [name for name in resource.source_channels if name not in found.sources]


def _lines(found: Found, wanted: Site, resource: Resource) -> Iterator[str]:
    frame, experiment, channel = wanted.frame, wanted.experiment, wanted.channel
    if not found.collection:
        yield f"collection {resource.collection}"
    if not found.frame:
        size = " x ".join(f"{side:g}" for side in frame.voxel_size)
        yield f"coordinate frame {frame.name}: {frame.box}, voxels of {size} {frame.voxel_unit}"
    if not found.experiment:
        method = "isotropic" if experiment.isotropic else "anisotropic"
        yield f"experiment {experiment}: {method}, levels: {experiment.levels}, time samples: {experiment.time_samples}"
    if not found.channel:
        for name in _missing_sources(found, resource):
            yield f"channel {experiment}/{name}: image of uint8, as a source of {channel.name}"
        yield f"channel {channel}: {channel.type} of {channel.dtype}"


def require_site(found: Found, resource: Resource, host: str) -> Site:
    """The site of a channel that is to be read. Raises Missing, naming what is missing and what there is instead."""
    site = found.site
    if site is None:
        if not found.collection:
            raise Missing(f"resource.collection={resource.collection}: {host} has no such collection.")
        if not found.experiment:
            raise Missing(
                f"resource.experiment={resource.experiment}: the collection {resource.collection} on {host} has no "
                "such experiment."
            )
        others = ", ".join(found.experiment.channels) or "no channels"
        raise Missing(
            f"resource.channel={resource.channel}: the experiment {found.experiment} on {host} has no such channel. "
            f"It has {others}."
        )
    return site
