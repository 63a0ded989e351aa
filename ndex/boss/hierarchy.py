"""The resolutions of a coordinate frame: extents and voxel sizes level by level (boss-api 6). Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from ..geometry import Vec
from .records import CoordinateFrame, Experiment

CUBOID = Vec(512, 512, 16)
"""Voxels that a BOSS stores together, at every level."""
MAX_LEVELS = 10
"""Resolutions that URLs can name: 0 to 9."""


@dataclass(frozen=True)
class Hierarchy:
    """How a frame shrinks: x and y halve per level; z too if `isotropic`, or, in the `iso` view of an anisotropic
    experiment, from the level on at which voxels are nearest to cubes."""

    stop: Vec
    """Of the frame at level 0: extents count from coordinate 0, wherever the frame starts."""
    voxel_size: tuple[float, float, float]
    isotropic: bool
    iso: bool = False

    @classmethod
    def of(cls, frame: CoordinateFrame, experiment: Experiment, *, iso: bool = False) -> Hierarchy:
        return cls(frame.box.stop, frame.voxel_size, experiment.isotropic, iso)

    def factors(self, level: int) -> Vec:
        """Voxels of level 0 that one voxel of `level` stands for, along x, y and z."""
        cubes_from = 0 if self.isotropic else self.nearest_cube if self.iso else level
        return Vec(2**level, 2**level, 2 ** max(0, level - cubes_from))

    def extent(self, level: int) -> Vec:
        """Where `level` ends. Halving with ceiling again and again is dividing with ceiling once."""
        return Vec(*(-(-stop // factor) for stop, factor in zip(self.stop, self.factors(level), strict=True)))

    def at_level_0(self, shift: Vec, level: int) -> Vec:
        """A shift in voxels of `level`, in those of level 0."""
        return Vec(*(n * factor for n, factor in zip(shift, self.factors(level), strict=True)))

    def voxel_size_at(self, level: int) -> tuple[float, float, float]:
        x, y, z = (size * factor for size, factor in zip(self.voxel_size, self.factors(level), strict=True))
        return x, y, z

    @property
    def nearest_cube(self) -> int:
        """The level at which a voxel is nearest to a cube, the lowest on a tie. x and y must be of one size."""
        x, _, z = self.voxel_size
        return min(range(30), key=lambda level: abs(z / (x * 2**level) - 1))


def levels_for(stop: Vec) -> int:
    """So many resolutions that the larger of x and y falls to one cuboid or below, at most MAX_LEVELS."""
    side, levels = max(stop.x, stop.y), 1
    while side > CUBOID.x and levels < MAX_LEVELS:
        side, levels = -(-side // 2), levels + 1
    return levels
