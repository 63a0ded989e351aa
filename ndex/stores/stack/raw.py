"""Planes that lie in a file as they are, one behind the other: ImageJ's large stacks and NIfTI."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import DamagedData
from ...files import translated
from ...geometry import Span
from ...volume import Array
from ..images.plane import Header

SLICE = 8 << 20
"""Bytes that are read in one go."""


class Bytes(Protocol):
    """A sequence of bytes, read from anywhere by several threads."""

    def read(self, start: int, length: int) -> bytes:
        """Fewer than `length` at the end only."""
        ...

    def turn(self) -> AbstractContextManager[object]:
        """As `Planes.turn`."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class FileBytes:
    """The bytes of a file as they are."""

    path: Path

    def read(self, start: int, length: int) -> bytes:
        with translated(str(self.path)), open(self.path, "rb") as file:
            file.seek(start)
            return file.read(length)

    def turn(self) -> AbstractContextManager[object]:
        return nullcontext()

    def close(self) -> None:
        """Nothing is kept open between two calls."""


@dataclass(frozen=True)
class RawPlanes:
    """Planes of rows of pixels."""

    file: Bytes
    like: Header
    dtype: np.dtype[Any]
    """With the byte order of the file."""
    samples: int = 1
    """Values of a pixel that lie beside each other."""
    sample: int = 0
    """The one that is wanted."""

    def header(self, place: int, name: str) -> Header:
        return self.like

    def read(self, place: int, name: str, rows: Span, columns: Span, out: Array) -> None:
        shape = (self.like.width, self.samples)
        row_bytes = self.like.width * self.samples * self.dtype.itemsize
        step = max(1, SLICE // row_bytes)
        for top in range(rows.start, rows.stop, step):
            bottom = min(top + step, rows.stop)
            data = self.file.read(place + top * row_bytes, (bottom - top) * row_bytes)
            if len(data) < (bottom - top) * row_bytes:
                raise DamagedData(f"{name} is damaged: the file ends before row {bottom}.")
            pixels = np.frombuffer(data, self.dtype).reshape(-1, *shape)
            out[top - rows.start : bottom - rows.start] = pixels[:, slice(*columns), self.sample]

    def turn(self) -> AbstractContextManager[object]:
        return self.file.turn()

    def close(self) -> None:
        self.file.close()
