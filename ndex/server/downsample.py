"""Lower resolutions: each cuboid of a level is made from the voxels under it in the level below, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..geometry import Box, Vec
from . import hierarchy
from .hierarchy import CUBOID
from .records import Channel
from .volume import Layer, Volume

Array: TypeAlias = npt.NDArray[Any]

WIDER = {1: np.uint16, 2: np.uint32}
"""Type in which four voxels are added up, by the size of one in bytes; larger ones are labels, whatever they are in."""


def compute(volume: Volume, channel: Channel, wanted: Callable[[], bool]) -> bool:
    """Make all levels of time sample 0 above the base; False, with the rest left alone, once they are not wanted.

    The levels end at the number of levels of the experiment, also when the base is not 0 (boss-api 6). An anisotropic
    experiment gets its isotropic view as well.
    """
    for level, iso in levels(channel):
        for target in targets(volume, channel, level, iso):
            if not wanted():
                return False
            volume.store(layer(channel, level, iso), target, shrunk(volume, channel, level, iso, target))
    return True


def levels(channel: Channel) -> Iterator[tuple[int, bool]]:
    """Level and view of what is to be made; a level comes after the one that it is made from."""
    for level in range(channel.base + 1, channel.experiment.levels):
        yield level, False
        if has_iso(channel, level):
            yield level, True


def has_iso(channel: Channel, level: int) -> bool:
    """Whether the isotropic view of this level is another one than the plain view."""
    return not channel.experiment.isotropic and level > hierarchy.iso_level(channel.experiment)


def layer(channel: Channel, level: int, iso: bool, time: int = 0) -> Layer:
    """Where the voxels of a level are kept; the isotropic view falls back to the plain one where they are the same."""
    return Layer(channel.id, level, time, channel.dtype, iso=iso and level > channel.base and has_iso(channel, level))


def targets(volume: Volume, channel: Channel, level: int, iso: bool) -> list[Box]:
    """Cuboids of a level that may hold something: those above a cuboid that exists, and those left from last time."""
    factor = factor_to(channel, level, iso)
    below = volume.cuboids(layer(channel, level - 1, iso))
    step = Vec(*(size * f for size, f in zip(CUBOID, factor, strict=True)))
    above = {Vec(*(a // s * c for a, s, c in zip(box.start, step, CUBOID, strict=True))) for box in below}
    above |= {box.start for box in volume.cuboids(layer(channel, level, iso))}
    return [Box.at(start, CUBOID) for start in sorted(above)]


def factor_to(channel: Channel, level: int, iso: bool) -> Vec:
    return Vec(2, 2, 2 if hierarchy.halves_z(channel.experiment, level, iso) else 1)


def shrunk(volume: Volume, channel: Channel, level: int, iso: bool, target: Box) -> Array:
    """One cuboid of a level. Voxels outside the extent of the level below do not count; at its edge the last one is
    repeated, so that an odd extent does not end in a dark rim."""
    factor = factor_to(channel, level, iso)
    under = Box(*(Vec(*(a * f for a, f in zip(end, factor, strict=True))) for end in (target.start, target.stop)))
    known = under & Box(Vec(0, 0, 0), hierarchy.extent(channel.experiment, level - 1, iso))
    cuboid = np.zeros(target.shape, channel.dtype)
    if not known.empty:
        voxels = volume.read(layer(channel, level - 1, iso), known)
        small = reduced(voxels, factor.z, channel.annotation)
        cuboid[tuple(slice(size) for size in small.shape)] = small
    return cuboid


def reduced(voxels: Array, factor_z: int, annotation: bool) -> Array:
    """Half of x and y, and of z for a factor of 2; sizes are rounded up."""
    odd = [(0, -size % factor) for size, factor in zip(voxels.shape, (factor_z, 2, 2), strict=True)]
    if any(after for _, after in odd):
        voxels = np.pad(voxels, odd, "edge")
    if not annotation and voxels.itemsize in WIDER:
        return mean(voxels[::factor_z])
    planes = [vote(voxels[first::factor_z]) for first in range(factor_z)]
    return planes[0] if factor_z == 1 else np.where(planes[0] != 0, planes[0], planes[1])


def mean(voxels: Array) -> Array:
    """Rounded mean of 2 x 2 voxels of each plane; of z every second plane is kept, as a BOSS does."""
    wide = WIDER[voxels.itemsize]
    rows = np.add(voxels[:, ::2], voxels[:, 1::2], dtype=wide)
    total = np.add(rows[:, :, ::2], rows[:, :, 1::2], dtype=wide)
    return (total + 2 >> 2).astype(voxels.dtype)


def vote(voxels: Array) -> Array:
    """The label that 2 x 2 voxels repeat, else the first one that is not zero; labels are never mixed."""
    a, b, c, d = (voxels[:, y::2, x::2] for y in (0, 1) for x in (0, 1))
    first = np.where(a != 0, a, np.where(b != 0, b, np.where(c != 0, c, d)))
    pairs = ((c, c == d), (b, (b == c) | (b == d)), (a, (a == b) | (a == c) | (a == d)))
    for label, repeated in pairs:
        first = np.where(repeated & (label != 0), label, first)
    return first
