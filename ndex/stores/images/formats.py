"""Opening an image file by what it holds, whatever its name says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from ...errors import DamagedData
from ...files import Place
from ...geometry import Span
from ...volume import Array
from .jpeg import SIGNATURE as JPEG
from .jpeg import JpegPlane
from .plane import Header, Plane, Unfit
from .png import SIGNATURE as PNG
from .png import PngPlane
from .tiff import MAGIC, TiffPlane


@contextmanager
def open_plane(place: Place, name: str, band: int | None = None) -> Iterator[Plane]:
    """The plane in a file. Raises what `Plane` raises; PermanentError or TransientError when it cannot be opened."""
    with place.open(name) as file:
        yield plane_in(file, name, band)


def plane_in(file: IO[bytes], name: str, band: int | None = None) -> Plane:
    """The plane in an open file, which `name` names for messages."""
    start = file.read(8)
    if start == PNG:
        return PngPlane(file, name, band)
    if start.startswith(JPEG):
        return JpegPlane(file, name, band)
    if start[:4] in MAGIC:
        return TiffPlane(file, name, band)
    if not start:
        raise DamagedData(f"{name} is empty.")
    raise Unfit(f"{name} is not a TIFF, PNG or JPEG file. Convert it, or change the pattern.")


def read_plane(
    place: Place, name: str, expected: Header, rows: Span, columns: Span, out: Array, band: int | None = None
) -> None:
    """Decode a part of a file into `out`. Raises Unfit when the file is not what it was or should be."""
    with open_plane(place, name, band) as plane:
        if plane.header != expected:
            raise Unfit(f"{name} is {plane.header}, while the other planes are {expected}. Replace it.")
        plane.read(rows, columns, out)
