"""The pages of a TIFF file, each read as a plane file is."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import tifffile

from ...errors import DamagedData
from ...files import translated
from ...geometry import Span
from ...volume import Array
from ..images.plane import Header, Unfit
from ..images.tiff import TiffPlane

MAX_TAGS = 4096
"""Of a page. More are nonsense."""


@dataclass(frozen=True)
class TiffPages:
    """Pages by the place of their directories."""

    path: Path
    like: Header
    band: int | None

    @contextmanager
    def _opened(self, place: int, name: str) -> Iterator[TiffPlane]:
        with translated(str(self.path)), open(self.path, "rb") as file:
            yield TiffPlane(file, name, self.band, at=place)

    def header(self, place: int, name: str) -> Header:
        with self._opened(place, name) as plane:
            return plane.header

    def read(self, place: int, name: str, rows: Span, columns: Span, out: Array) -> None:
        with self._opened(place, name) as plane:
            if plane.header != self.like:
                raise Unfit(f"{name} is {plane.header}, while the other planes are {self.like}. Take it out.")
            plane.read(rows, columns, out)

    def turn(self) -> AbstractContextManager[object]:
        return nullcontext()

    def close(self) -> None:
        """Nothing is kept open between two calls."""


def count_pages(file: IO[bytes], tiff: tifffile.TiffFile, name: str) -> int:
    """How many pages are chained to each other. Raises DamagedData when the chain does not end as it should: tifffile
    would take the pages before that for all."""
    form, size = tiff.tiff, file.seek(0, os.SEEK_END)
    seen: set[int] = set()
    at = int(tiff.pages.first.offset)
    while at:
        if at in seen:
            raise DamagedData(f"{name} is damaged: page {len(seen) - 1} leads back to an earlier one.")
        if at + form.tagnosize > size:
            raise DamagedData(f"{name} is damaged or cut short: page {len(seen)} begins at byte {at:,} of {size:,}.")
        seen.add(at)
        file.seek(at)
        tags = struct.unpack(form.tagnoformat, file.read(form.tagnosize))[0]
        file.seek(tags * form.tagsize, os.SEEK_CUR)
        link = file.read(form.offsetsize)
        if not 0 < tags <= MAX_TAGS or len(link) < form.offsetsize:
            raise DamagedData(f"{name} is damaged: page {len(seen) - 1} is not what a page looks like.")
        at = struct.unpack(form.offsetformat, link)[0]
    return len(seen)
