"""Pieces of made-up volumes."""

from __future__ import annotations

import numpy as np

from ndex.events import Pieces
from ndex.geometry import ORIGIN, Box, Span, Tiling, Vec
from ndex.volume import Volume


def pieces(
    box: Box,
    task: Vec,
    block: Vec,
    rows: int | None = None,
    origin: Vec = ORIGIN,
    offset: Vec = ORIGIN,
    times: Span = Span(0, 1),
    part: Span | None = None,
    resumed: tuple[Span, ...] = (),
    dtype: str = "uint8",
) -> Pieces:
    """A volume that is cut on a grid with a corner at `origin`."""
    tasks = Tiling(box, task, origin)
    voxel = (4.0, 4.0, 40.0), "nanometers"
    volume = Volume(box.shift(offset), np.dtype(dtype), times, times.size > 1, offset, "stamp", block, *voxel)
    return Pieces(
        volume=volume,
        tasks=tasks,
        bands=Tiling(box, task._replace(y=rows or task.y), origin),
        blocks=Tiling(box, block, origin),
        part=part or Span(0, len(tasks) * times.size),
        resumed=resumed,
    )
