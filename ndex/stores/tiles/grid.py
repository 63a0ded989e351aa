"""How large the planes are and which there are: as the job says, or as the tiles do."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from ...errors import JobError, Missing, PermanentError
from ...files import Place
from ...geometry import Span, Vec
from ...job import Extent
from ...volume import UInt
from ..images.listing import spread
from ..images.plane import Header, Unfit
from .names import KEY, Listing, Tile
from .settings import Source
from .tree import Tree

TRIED = 3
"""Planes, rows and columns of which a tile is asked for, where they are not listed, until one is there."""


@dataclass(frozen=True)
class Grid:
    """Planes that are cut into tiles."""

    width: int
    height: int
    z: Span
    """Numbers of the planes in the names."""
    tile: Vec
    shift: Vec
    """Coordinate = pixel of the plane and its number, + shift."""
    dtype: UInt

    def fits(self, tile: Tile, header: Header) -> bool:
        """Whether a tile is what it must be; those at the end of a row or column may be smaller, or padded."""
        left, above = self.width - tile.x * self.tile.x, self.height - tile.y * self.tile.y
        return (
            header.dtype == self.dtype
            and header.width in (self.tile.x, min(self.tile.x, left))
            and header.height in (self.tile.y, min(self.tile.y, above))
        )


def find_grid(tree: Tree, settings: Source, extent: Extent, fill: bool) -> Grid:
    """The grid of a source. Where size and planes are given, one tile is fetched for the type; else all are listed.

    Raises JobError when there is none or, unless absent tiles are filled with zeros, when one is missing.
    """
    size, z = settings.size, Span(*settings.z) if settings.z else None
    if not isinstance(tree.files, Place):
        x, y, _ = settings.origin or (0, 0, 0)
        size = size or ((extent.x[1] - x, extent.y[1] - y) if extent.x and extent.y else None)
        z = z or (Span(*extent.z) if extent.z and settings.origin is None else None)
    if size and z:
        return _grid(settings, size, z, _some_header(tree, settings, size, z))
    listing = tree.listing()
    last_x, last_y = listing.corners
    wide, high = _header(tree, last_x), _header(tree, last_y)
    found = last_x.x * settings.tile[0] + wide.width, last_y.y * settings.tile[1] + high.height
    grid = _grid(settings, size or found, z or listing.z, wide)
    if not fill:
        _check_complete(tree, grid, listing, extent)
    return grid


def _grid(settings: Source, size: tuple[int, int], z: Span, header: Header) -> Grid:
    x, y, first = settings.origin or (0, 0, z.start)
    return Grid(*size, z, Vec(*settings.tile, 1), Vec(x, y, first - z.start), header.dtype)


def _header(tree: Tree, tile: Tile) -> Header:
    try:
        return tree.plane(tile).header
    except PermanentError as error:
        raise JobError(f"source.path={tree.files}: {error}") from error


def _some_header(tree: Tree, settings: Source, size: tuple[int, int], z: Span) -> Header:
    """Of the first tile that is there; they are looked for at the corners, the sides and the middle."""
    rows, columns = -(-size[1] // settings.tile[1]), -(-size[0] // settings.tile[0])
    last = ""
    for place in product(*(spread(range(*span), TRIED) for span in (z, (0, rows), (0, columns)))):
        try:
            return tree.plane(Tile(*place)).header
        except Unfit as error:
            raise JobError(f"source.path={tree.files}: {error}") from error
        except PermanentError as error:
            last = str(error)
    raise Missing(f"source.path={tree.files}: none of the tiles that were tried can be read. {last}")


def _check_complete(tree: Tree, grid: Grid, listing: Listing, extent: Extent) -> None:
    """Raises JobError naming the first tile that the job needs and that was not found."""
    shift, tile = grid.shift, grid.tile

    def cells(asked: tuple[int, int] | None, shift: int, step: int, size: int) -> Span:
        start, stop = (asked[0] - shift, asked[1] - shift) if asked else (0, size)
        return Span(max(0, start) // step, -(-min(stop, size) // step))

    z = Span(*extent.z) if extent.z else Span(grid.z.start + shift.z, grid.z.stop + shift.z)
    gap = listing.missing(
        Span(max(z.start - shift.z, grid.z.start), min(z.stop - shift.z, grid.z.stop)),
        cells(extent.y, shift.y, tile.y, grid.height),
        cells(extent.x, shift.x, tile.x, grid.width),
    )
    if gap is not None:
        count, first = gap
        many = "1 tile is missing:" if count == 1 else f"{count:,} tiles are missing, the first of them"
        raise JobError(f"{KEY}: {many} {tree.where(first)}. Add it, or set missing=fill to have black there.")
