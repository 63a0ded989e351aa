"""A tree of tiles to read from."""

from __future__ import annotations

import threading

import numpy as np

from ...boss.concurrent import for_each
from ...errors import PermanentError
from ...geometry import ORIGIN, Box, Span, Tiling
from ...job import Job
from ...volume import Array, Facts, Piece
from ..images.listing import identity_of
from ..images.plane import Unfit
from .grid import Grid, find_grid
from .names import Tile
from .settings import Source
from .tree import Tree


class TileSource:
    """Planes as tiles. Each tile that a box touches is fetched and decoded once, several at a time."""

    def __init__(self, job: Job, settings: Source) -> None:
        self._settings, self._extent = settings, job.extent
        self._fill, self._at_once = job.missing == "fill", job.parallel.requests
        self._tree = Tree(job, settings)
        self._lock = threading.Lock()
        self._known: Grid | None = None
        self.label = self._tree.files.where(settings.pattern)

    def facts(self) -> Facts:
        grid = self._grid()
        return Facts(
            label=self.label,
            identity=self._identity(),
            box=Box.of((0, grid.width), (0, grid.height), grid.z).shift(grid.shift),
            dtype=grid.dtype,
            grid=grid.tile,
            grain=grid.tile,
            corner=grid.shift,
        )

    def read(self, box: Box, t: int) -> Piece:
        """Besides what every store raises: DamagedData and PermanentError name the tile; with `missing: fill` it is
        zero instead, and its plane counts as filled."""
        grid = self._grid()
        out = np.empty(box.shape, grid.dtype)
        inside = box.shift(ORIGIN.minus(grid.shift))
        filled: set[int] = set()

        def fetch(piece: Box) -> None:
            if not self._read_tile(grid, piece, out[inside.slices(piece)][0]):
                filled.add(piece.start.z + grid.shift.z)

        for_each(fetch, Tiling(inside, grid.tile), self._at_once)
        return Piece(out, tuple(sorted(filled)))

    def close(self) -> None:
        self._tree.files.close()

    def _grid(self) -> Grid:
        """Found out once for all threads."""
        with self._lock:
            if self._known is None:
                self._known = find_grid(self._tree, self._settings, self._extent, self._fill)
            return self._known

    def _read_tile(self, grid: Grid, piece: Box, out: Array) -> bool:
        """Whether `out` holds the pixels of the tile that `piece` is a part of; if not, it is zero."""
        tile = Tile(piece.start.z, piece.start.y // grid.tile.y, piece.start.x // grid.tile.x)
        try:
            plane = self._tree.plane(tile)
            if not grid.fits(tile, plane.header):
                raise Unfit(
                    f"{self._tree.where(tile)} is {plane.header}, and should be {grid.tile.x} x {grid.tile.y} "
                    f"{grid.dtype} or, at the end of a row or column, what is left of {grid.width} x {grid.height}."
                )
            left, above = tile.x * grid.tile.x, tile.y * grid.tile.y
            rows = Span(piece.start.y - above, piece.stop.y - above)
            plane.read(rows, Span(piece.start.x - left, piece.stop.x - left), out)
        except Unfit:
            raise
        except PermanentError:
            if not self._fill:
                raise
            out[...] = 0
            return False
        return True

    def _identity(self) -> str:
        settings = self._settings
        return identity_of(
            self._tree.files,
            str(self._tree.names.pattern),
            tile=settings.tile,
            first=settings.first,
            origin=settings.origin,
            band=None if settings.band is None else str(settings.band),
        )
