"""What a file holds, whatever its format: planes of one size and type, and where each of them begins."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...errors import DamagedData
from ...geometry import Span, Vec
from ...volume import Array
from ..images.plane import Header

ABSENT = 0
"""In place of a plane that the file speaks of and does not have; no file begins with a plane."""
UNITS = {
    **dict.fromkeys(("nm", "nanometer"), "nanometers"),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "\\u00B5m"), "micrometers"),
    **dict.fromkeys(("mm", "millimeter"), "millimeters"),
    **dict.fromkeys(("cm", "centimeter"), "centimeters"),
}
"""As files write them, and as the coordinate frame of a BOSS does."""


class Planes(Protocol):
    """An open file. May be used by several threads at once."""

    def read(self, place: int, name: str, rows: Span, columns: Span, out: Array) -> None:
        """Decode a part of the plane that begins at `place` into `out`; `name` is for messages. Raises DamagedData,
        or Unfit when the plane is not like the others."""
        ...

    def header(self, place: int, name: str) -> Header:
        """What the plane itself says it is. Raises as `read`."""
        ...

    def turn(self) -> AbstractContextManager[object]:
        """Held while neighbouring planes are read: what is read in order only should not jump between threads."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Contents:
    """A volume in one file."""

    name: str
    """Of the file."""
    header: Header
    """Of each plane."""
    places: npt.NDArray[np.int64]
    """(t, z): where each plane begins, in bytes."""
    planes: Planes
    origin: Vec = Vec(0, 0, 0)
    """Of the first voxel, where the file says so."""
    voxel_size: tuple[float, float, float] | None = None
    voxel_unit: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    """What else the file says of itself."""

    def plane(self, t: int, z: int) -> str:
        """A plane as messages name it; both numbers count from 0."""
        time = f" of time sample {t}" if len(self.places) > 1 else ""
        return f"plane {z}{time} of {self.name}"

    def read(self, t: int, z: int, rows: Span, columns: Span, out: Array) -> None:
        """Raises as `Planes.read`."""
        place = int(self.places[t, z])
        if place == ABSENT:
            raise DamagedData(f"{self.plane(t, z)} is missing in the file.")
        self.planes.read(place, self.plane(t, z), rows, columns, out)


def known_size(size: tuple[float, float, float], unit: str) -> tuple[tuple[float, float, float] | None, str | None]:
    """The size of a voxel with its unit; None twice when it cannot be one."""
    known = UNITS.get(unit)
    return (size, known) if known and min(size) > 0 else (None, None)
