"""Which file is which tile, and which tiles there are."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import JobError
from ...geometry import Span
from ..images.pattern import Axis, Pattern, inside, parse

KEY = "source.pattern"
FIELDS: dict[Axis, str] = {
    "z": "{z} or {z:04d} for the plane",
    "y": "{y} for the row of the tile",
    "x": "{x} for its column",
}
MOST = 1 << 31
"""Tiles that numbers in names may span; more are no grid."""


class Tile(NamedTuple):
    """Place of a tile in the grid: its plane, and its row and column from 0."""

    z: int
    y: int
    x: int


@dataclass(frozen=True)
class Names:
    """The names of tiles, in both directions."""

    pattern: Pattern
    first: int
    """Number of the first row and column."""

    @classmethod
    def parsed(cls, text: str, first: int) -> Names:
        """Raises JobError for a pattern that does not name every tile of a volume."""
        inside(text, KEY)
        pattern = parse(text, KEY, FIELDS)
        if pattern.wild or not all(pattern.has(axis) for axis in FIELDS):
            raise JobError(f"{KEY}={text}: it must hold {', '.join(FIELDS.values())}, and no wildcards.")
        return cls(pattern, first)

    def of(self, tile: Tile) -> str:
        return self.pattern.filled({"z": tile.z, "y": tile.y + self.first, "x": tile.x + self.first})

    def tile(self, name: str) -> Tile | None:
        """None for a name of something else."""
        numbers = self.pattern.numbers(name)
        if numbers is None or min(numbers["y"], numbers["x"]) < self.first:
            return None
        return Tile(numbers["z"], numbers["y"] - self.first, numbers["x"] - self.first)


@dataclass(frozen=True)
class Listing:
    """The tiles that were found; there is at least one."""

    z: Span
    present: npt.NDArray[np.bool_]
    """By plane, row and column."""

    @property
    def corners(self) -> tuple[Tile, Tile]:
        """A tile of the last column and one of the last row."""
        k, j = np.argwhere(self.present[:, :, -1])[0]
        last_x = Tile(self.z.start + int(k), int(j), self.present.shape[2] - 1)
        k, i = np.argwhere(self.present[:, -1, :])[0]
        return last_x, Tile(self.z.start + int(k), self.present.shape[1] - 1, int(i))

    def missing(self, z: Span, y: Span, x: Span) -> tuple[int, Tile] | None:
        """How many tiles of a part are not there, and the first of them; None when all are."""
        part = self.present[z.start - self.z.start : z.stop - self.z.start, slice(*y), slice(*x)]
        gaps = int(part.size - np.count_nonzero(part))
        if not gaps:
            return None
        k, j, i = np.unravel_index(int(part.argmin()), part.shape)
        return gaps, Tile(z.start + int(k), y.start + int(j), x.start + int(i))


def listed(names: Iterable[str], known: Names) -> Listing | None:
    """The tiles among these names; None when there is none. Raises JobError when their numbers make no grid."""
    numbers = array("q")
    for name in names:
        tile = known.tile(name)
        if tile is not None:
            numbers.extend(tile)
    if not numbers:
        return None
    tiles = np.frombuffer(numbers, np.int64).reshape(-1, 3)
    low, high = tiles[:, 0].min(), tiles.max(axis=0) + 1
    shape = (int(high[0] - low), int(high[1]), int(high[2]))
    if shape[0] * shape[1] * shape[2] > MOST:
        raise JobError(f"{KEY}={known.pattern}: the numbers in the names span {shape} planes, rows and columns.")
    present = np.zeros(shape, np.bool_)
    present[tiles[:, 0] - low, tiles[:, 1], tiles[:, 2]] = True
    return Listing(Span(int(low), int(high[0])), present)
