"""Boxes of voxels and the grids that cut them.

Everywhere in ndex: coordinates are (x, y, z), boxes are half-open, arrays are (z, y, x).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload


class Vec(NamedTuple):
    """A position, a size or a shift, in voxels along x, y and z."""

    x: int
    y: int
    z: int

    def plus(self, other: Vec) -> Vec:
        return Vec(self.x + other.x, self.y + other.y, self.z + other.z)

    def minus(self, other: Vec) -> Vec:
        return Vec(self.x - other.x, self.y - other.y, self.z - other.z)

    @property
    def volume(self) -> int:
        return self.x * self.y * self.z

    def __str__(self) -> str:
        return f"{self.x} x {self.y} x {self.z}"


ORIGIN = Vec(0, 0, 0)


class Span(NamedTuple):
    """Half-open interval of integers: start <= i < stop."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return max(0, self.stop - self.start)

    def contains(self, other: Span) -> bool:
        return self.start <= other.start and other.stop <= self.stop

    def __str__(self) -> str:
        return f"{self.start}:{self.stop}"


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open box of voxels: start <= (x, y, z) < stop."""

    start: Vec
    stop: Vec

    @classmethod
    def of(cls, x: Sequence[int], y: Sequence[int], z: Sequence[int]) -> Box:
        """The box from one (start, stop) pair an axis."""
        return cls(Vec(x[0], y[0], z[0]), Vec(x[1], y[1], z[1]))

    @classmethod
    def at(cls, start: Vec, size: Vec) -> Box:
        return cls(start, start.plus(size))

    @property
    def x(self) -> Span:
        return Span(self.start.x, self.stop.x)

    @property
    def y(self) -> Span:
        return Span(self.start.y, self.stop.y)

    @property
    def z(self) -> Span:
        return Span(self.start.z, self.stop.z)

    @property
    def size(self) -> Vec:
        return Vec(self.x.size, self.y.size, self.z.size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the array of this box: (z, y, x)."""
        return (self.z.size, self.y.size, self.x.size)

    @property
    def voxels(self) -> int:
        return self.size.volume

    @property
    def empty(self) -> bool:
        return self.voxels == 0

    def shift(self, by: Vec) -> Box:
        return Box(self.start.plus(by), self.stop.plus(by))

    def contains(self, other: Box) -> bool:
        return self.x.contains(other.x) and self.y.contains(other.y) and self.z.contains(other.z)

    def __and__(self, other: Box) -> Box:
        start = Vec(*map(max, self.start, other.start))
        stop = Vec(*map(min, self.stop, other.stop))
        return Box(start, Vec(*map(max, start, stop)))

    def slices(self, inner: Box) -> tuple[slice, slice, slice]:
        """Where `inner` lies in the (z, y, x) array of this box."""
        begin, end = inner.start.minus(self.start), inner.stop.minus(self.start)
        return slice(begin.z, end.z), slice(begin.y, end.y), slice(begin.x, end.x)

    def __str__(self) -> str:
        return f"x {self.x}, y {self.y}, z {self.z}"


@dataclass(frozen=True, slots=True)
class Tiling(Sequence[Box]):
    """The pieces of a box cut by a grid, x fastest, then y, then z; nothing is stored but the box and the grid."""

    box: Box
    step: Vec
    """Size of one grid cell."""
    origin: Vec = ORIGIN
    """A corner of the grid."""

    def __post_init__(self) -> None:
        if min(self.step) < 1:
            raise ValueError(f"a grid step must be positive, not {self.step}")

    def _cells(self) -> tuple[Span, Span, Span]:
        """First and last-plus-one grid cell that the box touches, along x, y and z."""
        if self.box.empty:
            return Span(0, 0), Span(0, 0), Span(0, 0)
        axes = zip(self.box.start, self.box.stop, self.step, self.origin, strict=True)
        x, y, z = (Span((a - o) // s, -((o - b) // s)) for a, b, s, o in axes)
        return x, y, z

    @property
    def counts(self) -> Vec:
        """Number of pieces along x, y and z."""
        x, y, z = self._cells()
        return Vec(x.size, y.size, z.size)

    def __len__(self) -> int:
        return self.counts.volume

    @overload
    def __getitem__(self, index: int) -> Box: ...
    @overload
    def __getitem__(self, index: slice) -> list[Box]: ...
    def __getitem__(self, index: int | slice) -> Box | list[Box]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        count = self.counts
        if not -count.volume <= index < count.volume:
            raise IndexError(index)
        rest, i = divmod(index % count.volume, count.x)
        k, j = divmod(rest, count.y)
        x, y, z = self._cells()
        corner = Vec(x.start + i, y.start + j, z.start + k)
        cell = Vec(*(o + c * s for o, c, s in zip(self.origin, corner, self.step, strict=True)))
        return Box.at(cell, self.step) & self.box

    def __iter__(self) -> Iterator[Box]:
        return (self[i] for i in range(len(self)))
