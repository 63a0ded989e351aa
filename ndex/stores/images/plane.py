"""One image file as a plane of voxels: what it must be, whatever its format."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ...errors import DamagedData, NdexError, PermanentError
from ...files import Place
from ...geometry import Span
from ...volume import WHOLE, Array

MAX_PLANE = 1 << 33
"""Bytes of the largest plane that is believed: five times 40,000 x 40,000 pixels of 8 bits. A header that claims more
is damaged or meant to fill the memory."""

WHOLE_BYTES = 64 << 20
"""Of planes that are decoded whole at the same time for one task."""

logging.getLogger("tifffile").setLevel(logging.CRITICAL)
"""What it grumbles about becomes an error here, or does not matter."""


class Unfit(PermanentError):
    """A sound file that cannot be a plane of this volume; filling it with zeros would hide a mistake in the job."""


@dataclass(frozen=True)
class Header:
    """What a file says of its pixels."""

    width: int
    height: int
    dtype: np.dtype[np.unsignedinteger]
    rows: int = field(default=WHOLE, compare=False)
    """Rows that are decoded together; WHOLE: all. The planes of a volume may differ in it."""

    def __str__(self) -> str:
        return f"{self.width} x {self.height} {self.dtype}"


def at_once(place: Place, header: Header, requests: int) -> int:
    """Planes that are read at a time: more than one only where that saves waiting, and none that are decoded whole
    beyond WHOLE_BYTES."""
    if not place.is_remote:
        return 1
    plane = header.width * header.height * header.dtype.itemsize
    return requests if header.rows < WHOLE else max(1, min(requests, WHOLE_BYTES // plane))


class Plane(Protocol):
    """An open file. Raises Unfit or DamagedData when it is opened, and DamagedData when it is read."""

    header: Header
    stamp: str | None
    """Of the job that wrote the file, if ndex did."""

    def read(self, rows: Span, columns: Span, out: Array) -> None:
        """Decode a part into `out`, an array (rows, columns) of the header's dtype."""
        ...


def voxel_type(name: str, kind: str, bits: int) -> np.dtype[np.unsignedinteger]:
    """The dtype of unsigned integers of so many bits. Raises Unfit for pixels of any other kind."""
    if kind == "u" and bits in (8, 16, 32, 64):
        return np.dtype(f"u{bits // 8}")
    words = {"u": "unsigned", "i": "signed", "f": "float", "b": "boolean", "c": "complex"}.get(kind, "unknown")
    raise Unfit(
        f"{name} has {bits}-bit {words} pixels. Convert the files to unsigned integers of 8, 16, 32 or 64 bits first."
    )


def check_size(name: str, header: Header) -> None:
    """Raises DamagedData for a size that no plane has."""
    if min(header.width, header.height) < 1 or header.width * header.height * header.dtype.itemsize > MAX_PLANE:
        raise DamagedData(f"{name} claims to have {header} pixels, which cannot be.")


def check_band(name: str, bands: int, band: int | None) -> int:
    """The band to read. Raises Unfit when none is chosen, or one that is not there."""
    if bands == 1:
        return 0
    if band is None:
        raise Unfit(f"{name} has {bands} bands (colours). Choose one with source.band, counted from 0.")
    if band >= bands:
        raise Unfit(f"source.band={band}: {name} has bands 0 to {bands - 1} only.")
    return band


@contextmanager
def damage(name: str) -> Iterator[None]:
    """Whatever a decoder says about bytes becomes DamagedData."""
    try:
        yield
    except (OSError, MemoryError, NdexError):
        raise
    except Exception as error:  # decoders fail on damaged bytes with nearly any type; it is raised again, as one
        raise DamagedData(f"{name} is damaged: {error}.") from error
