"""Voxel sizes and extents of the levels of an experiment (boss-api 6)."""

from __future__ import annotations

from ..geometry import Vec
from .faults import BossFault, Code
from .records import Experiment

CUBOID = Vec(512, 512, 16)
"""Voxels of one cuboid, at every level."""


def iso_level(experiment: Experiment) -> int:
    """The level at which voxels are nearest to cubes; above it the isotropic view of an anisotropic experiment begins.

    Raises BossFault (9001) when x and y differ, because there is no such level then.
    """
    x, y, z = experiment.frame.voxel_size
    if experiment.isotropic:
        return 0
    if x != y or x <= 0:
        raise BossFault(Code.SYSTEM, "The levels of this experiment are undefined: its x and y voxel sizes differ.")
    return min(range(30), key=lambda level: abs(z / (x * 2**level) - 1))


def halves_z(experiment: Experiment, level: int, iso: bool) -> bool:
    """Whether z is halved on the way from the level below to this one."""
    return experiment.isotropic or (iso and level > iso_level(experiment))


def z_halvings(experiment: Experiment, level: int, iso: bool) -> int:
    return sum(halves_z(experiment, above, iso) for above in range(1, level + 1))


def extent(experiment: Experiment, level: int, iso: bool) -> Vec:
    """Stop of the voxels of a level, each halving rounded up; it starts from the frame's stop, not from its size."""
    x, y, z = experiment.frame.box.stop
    return Vec(halved(x, level), halved(y, level), halved(z, z_halvings(experiment, level, iso)))


def voxel_size(experiment: Experiment, level: int, iso: bool) -> tuple[float, float, float]:
    x, y, z = experiment.frame.voxel_size
    return float(x * 2**level), float(y * 2**level), float(z * 2 ** z_halvings(experiment, level, iso))


def halved(size: int, times: int) -> int:
    """ceil(size / 2**times), which is the same as rounding up each time."""
    return -(-size >> times)
