"""Whether a job fits what is in a BOSS, existing or about to be created: JobErrors that name both sides. Pure."""

from __future__ import annotations

import math

import numpy as np

from ..errors import JobError
from ..geometry import Box, Span, Vec
from ..job import Extent, Resource
from ..volume import Volume
from .hierarchy import Hierarchy
from .records import Channel, CoordinateFrame, Experiment

UInt = np.dtype[np.unsignedinteger]
UINT64: UInt = np.dtype("uint64")
UINT32: UInt = np.dtype("uint32")
_FITS = "Leave the key out, or name another resource.experiment, whose frame is then created so."


def channel_kind(resource: Resource, dtype: UInt) -> tuple[str, UInt]:
    """Type and dtype of the channel that voxels of `dtype` go to. Labels become uint64, which has room for those to
    come, unless the job says otherwise; those of 32 bits must, since a BOSS does not keep that width (boss-api 4.6).
    Raises JobError for a combination that could be created but not used."""
    held: UInt = np.dtype(resource.datatype) if resource.datatype else dtype
    labels = resource.channel_type == "annotation" or (held == UINT32 and resource.channel_type != "image")
    if labels and not resource.datatype:
        held = UINT64
    kind = resource.channel_type or ("annotation" if held == UINT64 else "image")
    if held == UINT32:
        raise JobError(
            f"resource.datatype=uint32: a BOSS can neither read nor write uint32 ({resource}). "
            "Use uint64 for annotations, or convert.dtype=uint16 with a window for images."
        )
    if kind == "image" and held == UINT64:
        raise JobError(
            f"resource.channel_type=image: a BOSS keeps images as uint8 or uint16, not {held} ({resource}). "
            "Use channel_type=annotation for labels, or convert.dtype=uint16."
        )
    return kind, held


def dtype_held(resource: Resource, channel: Channel | None, dtype: UInt) -> UInt:
    """The dtype in which voxels of `dtype` will be held by the channel, which need not exist. Only labels are widened.

    Raises JobError, naming both, for any other difference.
    """
    kind, held = (channel.type, channel.dtype) if channel else channel_kind(resource, dtype)
    widened = kind == "annotation" and np.can_cast(dtype, held, "safe")
    if held != dtype and not widened:
        where = f"the channel {channel} holds {held}" if channel else f"resource.datatype={held}"
        raise JobError(f"The data are {dtype}, but {where}. Give convert.dtype={held} to convert them.")
    return held


def check_channel(channel: Channel, experiment: Experiment, resource: Resource, volume: Volume) -> None:
    """Raises JobError unless the channel can take the voxels of the job at its resolution (boss-api 6, 7.2)."""
    level, last = resource.resolution, channel.base + experiment.levels - 1
    if channel.dtype == UINT32:
        raise JobError(
            f"resource.channel={channel.name}: the channel {channel} is uint32, which a BOSS can create but not write. "
            "Name another one, which is then created as uint64."
        )
    if channel.dtype != volume.dtype:
        raise JobError(
            f"The data are {volume.dtype}, but the channel {channel} holds {channel.dtype}. Give "
            f"convert.dtype={channel.dtype} to convert them."
        )
    if resource.channel_type and resource.channel_type != channel.type:
        raise JobError(
            f"resource.channel_type={resource.channel_type}, but the channel {channel} is {channel.type}. Leave "
            "the key out, or name another resource.channel."
        )
    if channel.storage != "spdb":
        raise JobError(
            f"resource.channel={channel.name}: the channel {channel} has storage_type {channel.storage}: a BOSS takes "
            "uploads there but does not keep them (boss-api 17). Upload into another one."
        )
    if not (level in (channel.base, channel.base + 1) and level <= last):
        raise JobError(
            f"resource.resolution={level}: the channel {channel} can be written at resolution {channel.base}"
            + (f" or {channel.base + 1}." if channel.base + 1 <= last else ".")
        )
    if resource.iso:
        raise JobError(
            "resource.iso=true is for reading: what is written that way can never be read back. From BOSS to BOSS, "
            "give source.resource.iso=true instead."
        )


def check_experiment(experiment: Experiment, resource: Resource, volume: Volume) -> None:
    """Raises JobError unless the experiment has the frame and the time samples of the job."""
    if resource.frame.name and resource.frame.name != experiment.frame:
        raise JobError(
            f"resource.frame.name={resource.frame.name}, but the experiment {experiment} has {experiment.frame}. Leave "
            "the key out, or name another resource.experiment."
        )
    if volume.times.stop > experiment.time_samples:
        raise JobError(
            f"The data have time samples up to {volume.times.stop - 1}, but the experiment {experiment} has "
            f"{experiment.time_samples} (from 0). Narrow extent.t."
        )


def check_frame(frame: CoordinateFrame, experiment: Experiment, resource: Resource, volume: Volume) -> None:
    """Raises JobError unless the frame is what the job expects, and holds its voxels."""
    for axis in "xyz":
        expected, there = getattr(resource.frame, axis), getattr(frame.box, axis)
        if expected is not None and Span(*expected) != there:
            raise JobError(
                f"resource.frame.{axis}={list(expected)}, but the frame {frame.name} has {list(there)}. {_FITS}"
            )
    if resource.voxel_size and not all(map(math.isclose, resource.voxel_size, frame.voxel_size)):
        raise JobError(
            f"resource.voxel_size={list(resource.voxel_size)}, but the frame {frame.name} has "
            f"{list(frame.voxel_size)}. {_FITS}"
        )
    if resource.voxel_size and resource.voxel_unit != frame.voxel_unit:
        raise JobError(
            f"resource.voxel_unit={resource.voxel_unit}, but the frame {frame.name} has {frame.voxel_unit}. {_FITS}"
        )
    room = level_box(frame, Hierarchy.of(frame, experiment), resource.resolution)
    if not room.contains(volume.box):
        raise JobError(
            f"The data would lie at {volume.box}, but the frame {frame.name} has {room} at resolution "
            f"{resource.resolution}. Narrow extent, or change offset."
        )


def level_box(frame: CoordinateFrame, hierarchy: Hierarchy, level: int) -> Box:
    """What can be addressed at a level: every start is checked against that of level 0 (boss-api 7.2, 17), and
    coordinates below 0, which a frame may have, are not to be had (4.4)."""
    return Box(Vec(*(max(0, start) for start in frame.box.start)), hierarchy.extent(level))


def check_readable(frame: CoordinateFrame, experiment: Experiment, channel: Channel, resource: Resource) -> None:
    """Raises JobError for what a BOSS answers with a 500 or, worse, with zeros (boss-api 3.3, 7.7, 17)."""
    level, last = resource.resolution, channel.base + experiment.levels - 1
    if not channel.base <= level <= last:
        raise JobError(f"resource.resolution={level}: the channel {channel} has resolutions {channel.base} to {last}.")
    if level != channel.base and channel.downsampled != "DOWNSAMPLED":
        raise JobError(
            f"resource.resolution={level}: the channel {channel} is {channel.downsampled}, so that only resolution "
            f"{channel.base} can be read. Have it downsampled first, or read that one."
        )
    if channel.dtype == UINT32:
        raise JobError(
            f"resource.channel={channel.name}: the channel {channel} is uint32, which a BOSS can create but not read. "
            "Name another one."
        )
    if resource.iso and not experiment.isotropic and frame.voxel_size[0] != frame.voxel_size[1]:
        raise JobError(
            f"resource.iso=true: voxels of {list(frame.voxel_size)} have no isotropic level, x and y differ "
            f"(frame {frame.name}). Leave it out to read the levels as they are."
        )


def check_verifiable(channel: Channel, resource: Resource) -> None:
    """Raises JobError for labels above their base: they can be written, but not read back (boss-api 7.7)."""
    if channel.type == "annotation" and resource.resolution != channel.base:
        raise JobError(
            f"resource.resolution={resource.resolution}: labels can be read at resolution {channel.base} only, until "
            f"the channel {channel} is downsampled. Give verify=none to write them all the same."
        )


def check_reachable(frame: CoordinateFrame, hierarchy: Hierarchy, base: int, level: int, extent: Extent) -> None:
    """Raises JobError when data of a computed level lie below the frame's start and nobody said to leave them out.

    What starts at 1000 at its base starts at 500 one level on, but a BOSS refuses coordinates below 1000 there, too
    (boss-api 17).
    """
    whole = level_box(frame, hierarchy, level)
    for axis, start, here, there in zip(
        "xyz", frame.box.start, hierarchy.factors(level), hierarchy.factors(base), strict=True
    ):
        if start > 0 and here > there and getattr(extent, axis) is None:
            stop = getattr(whole, axis).stop
            remedy = f", or take extent.{axis}=[{start}, {stop}]" if start < stop else ""
            raise JobError(
                f"resource.resolution={level}: the frame {frame.name} starts at {axis} {start}, and the BOSS refuses "
                f"to read below that at any resolution, though there are data from {start * there // here} on. Read "
                f"resolution {base}{remedy}."
            )
