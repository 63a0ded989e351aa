"""Between the voxels of a scaled volume and the full-scale boxes that a render service is asked for. Pure.

A box starts and, where rounding allows it, ends at whole pixels both scaled and full-scale: such boxes join without a
seam (render-api 5).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

from ...errors import JobError
from ...geometry import Box, Span, Tiling, Vec

LARGEST = 4096
"""Voxels along x and y of one request (render-api 9)."""
_DENOMINATOR = 1000
"""Of the largest ratio that is taken for what a user means by a decimal number."""


@dataclass(frozen=True)
class Side:
    """One side of a box as it is asked for, and which part of the answer is wanted."""

    start: int
    """Full-scale world coordinate."""
    size: int
    """Full-scale pixels."""
    pixels: int
    """Of the answer."""
    wanted: slice
    """Of the answer's pixels."""


@dataclass(frozen=True)
class Grid:
    """The voxels at a scale of `voxels` for each `pixels` of full scale."""

    scale: float
    """The number that is sent."""
    voxels: int
    pixels: int

    @classmethod
    def at(cls, scale: float) -> Grid:
        """Raises JobError for a scale that is no ratio, at which boxes cannot join."""
        ratio = Fraction(scale).limit_denominator(_DENOMINATOR)
        if float(ratio) != scale:
            raise JobError(
                f"source.scale={scale!r} is no ratio of numbers up to {_DENOMINATOR}, so that images would not join. "
                f"Use {float(ratio)!r}."
            )
        return cls(scale, ratio.numerator, ratio.denominator)

    def requests(self, box: Box) -> Tiling:
        """The parts of a box to ask for one by one: of one plane, and none too large."""
        step = LARGEST // self.voxels * self.voxels
        x, y = (start // self.voxels * self.voxels for start in box.start[:2])
        return Tiling(box, Vec(step, step, 1), Vec(x, y, 0))

    def covering(self, low: float, high: float) -> Span:
        """Voxels that cover the world from `low` to `high`; one pixel more, because `high` may be the position of the
        last pixel (render-api 3.2)."""
        first, last = math.floor(low), math.ceil(high) + 1
        return Span(first * self.voxels // self.pixels, -(-last * self.voxels // self.pixels))

    def side(self, span: Span) -> Side:
        """What to ask for to get these voxels."""
        cell, begin = span.start // self.voxels, span.start // self.voxels * self.voxels
        needed = span.stop - begin
        least = -(-needed // self.voxels) * self.pixels
        size = next(size for size in itertools.count(least) if self.truncated(size) >= needed)
        return Side(cell * self.pixels, size, self.truncated(size), slice(span.start - begin, needed))

    def truncated(self, size: int) -> int:
        """Pixels of the answer to `size` full-scale ones: truncated, and computed in doubles (render-api 5)."""
        return int(self.scale * size)
