"""Reading TIFF files: only the strips or tiles that are needed, and none taken for black because it is missing."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from io import BufferedIOBase
from itertools import islice, product
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from ...errors import DamagedData
from ...geometry import Span
from ...volume import WHOLE, Array
from .plane import MAX_PLANE, Header, Unfit, check_band, check_size, damage, voxel_type

if TYPE_CHECKING:
    import tifffile

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Little and big endian, classic and BigTIFF."""
PALETTE = 3
"""Photometric interpretation of a file with a colour table."""
JPEG = 7
"""Compression whose tables stand in the directory."""
SEPARATE = 2
"""Planar configuration of a file that has its bands one after the other."""
SLICE = 8 << 20
"""Bytes that are read from an uncompressed strip in one go."""


class TiffPlane:
    """An open TIFF file with one image, or one page of a file with several. Values are those in the file, also where 0
    is meant to be shown white."""

    def __init__(self, file: IO[bytes], name: str, band: int | None, at: int | None = None) -> None:
        """`at` is where the directory of a page begins; None: there must be one page."""
        import tifffile  # only for a TIFF file

        self._file, self._name = file, name
        with damage(name):
            file.seek(0)
            self._tiff = tifffile.TiffFile(file)
            self._page = page = self._tiff.pages.first if at is None else self._page_at(at)
            self._size = file.seek(0, os.SEEK_END)
            self.header = self._header()
            self.stamp = _stamp(page.description)
        self._check(band, alone=at is None)

    def _page_at(self, offset: int) -> tifffile.TiffPage:
        from tifffile import TiffPage

        self._tiff.filehandle.seek(offset)
        return TiffPage(self._tiff, 0)

    def _header(self) -> Header:
        page = self._page
        kind = {1: "u", 2: "i", 3: "f"}.get(page.sampleformat, "?")
        bits = page.bitspersample if isinstance(page.bitspersample, int) else 0
        dtype = voxel_type(self._name, kind, bits)
        height = page.tilelength if page.is_tiled else page.rowsperstrip
        if self._raw:
            height = 1
        return Header(page.imagewidth, page.imagelength, dtype, height if height < page.imagelength else WHOLE)

    @property
    def _raw(self) -> bool:
        """Whether rows lie in the file as they are."""
        page = self._page
        return page.compression == 1 and page.predictor == 1 and page.fillorder == 1 and not page.is_tiled

    def _check(self, band: int | None, alone: bool) -> None:
        page = self._page
        check_size(self._name, self.header)
        if page.photometric == PALETTE:
            raise Unfit(f"{self._name} has a colour table. Save the files as grey first.")
        if page.imagedepth > 1 or (alone and self._is_stack()):
            raise Unfit(f"{self._name} holds several planes. Use source=stack, or split it into one file a plane.")
        self._band = check_band(self._name, page.samplesperpixel, band)
        segment = math.prod(page.chunks) * page.samplesperpixel * self.header.dtype.itemsize
        if not self._raw and segment > 2 * MAX_PLANE:
            raise DamagedData(f"{self._name} claims strips or tiles of {segment:,} bytes, which cannot be.")

    def _is_stack(self) -> bool:
        """Whether there is a second image that is not a thumbnail, or ImageJ keeps more behind the first one."""
        with damage(self._name):
            if int((self._tiff.imagej_metadata or {}).get("images", 1)) > 1:
                return True
            return any(not page.aspage().is_reduced for page in islice(self._tiff.pages, 1, None))

    def read(self, rows: Span, columns: Span, out: Array) -> None:
        with damage(self._name):
            if self._raw:
                self._read_raw(rows, columns, out)
            else:
                self._read_segments(rows, columns, out)

    def _read_raw(self, rows: Span, columns: Span, out: Array) -> None:
        page, dtype = self._page, self.header.dtype.newbyteorder(self._tiff.byteorder)
        samples = 1 if page.planarconfig == SEPARATE else page.samplesperpixel
        as_stored = samples == 1 and columns == (0, self.header.width) and dtype == out.dtype
        shape = (self.header.width, samples)
        row_bytes = math.prod(shape) * dtype.itemsize
        step = max(1, SLICE // row_bytes)
        for index, strip in self._strips(rows):
            for start in range(max(strip.start, rows.start), min(strip.stop, rows.stop), step):
                stop = min(start + step, strip.stop, rows.stop)
                here = out[start - rows.start : stop - rows.start]
                skip = (start - strip.start) * row_bytes
                if as_stored and here.flags.c_contiguous:
                    self._read_into(here, index, skip)
                    continue
                pixels = np.frombuffer(self._bytes(index, skip, (stop - start) * row_bytes), dtype).reshape(-1, *shape)
                here[...] = pixels[:, slice(*columns), self._sample]

    def _read_segments(self, rows: Span, columns: Span, out: Array) -> None:
        page = self._page
        tables = {}
        if page.compression == JPEG:
            tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        for index in self._segments(rows, columns):
            pixels, (_, _, y, x, _), _ = page.decode(self._bytes(index), index, **tables)
            assert pixels is not None  # only for no bytes, which `_bytes` refuses
            there = Span(y, y + pixels.shape[1]), Span(x, x + pixels.shape[2])
            y_in, y_out = _overlap(there[0], rows)
            x_in, x_out = _overlap(there[1], columns)
            out[y_out, x_out] = pixels[0, y_in, x_in, self._sample]

    @property
    def _sample(self) -> int:
        """Where the band is among the samples of a pixel in a strip or tile."""
        return 0 if self._page.planarconfig == SEPARATE else self._band

    @property
    def _first(self) -> int:
        """Index of the first strip or tile that holds the band."""
        page = self._page
        if page.planarconfig != SEPARATE or page.samplesperpixel == 1:
            return 0
        across = math.ceil(page.imagewidth / page.tilewidth) if page.is_tiled else 1
        height = page.tilelength if page.is_tiled else page.rowsperstrip
        return self._band * across * math.ceil(page.imagelength / height)

    def _strips(self, rows: Span) -> Iterator[tuple[int, Span]]:
        """Index and rows of each strip that has some of `rows`."""
        height = self._page.rowsperstrip
        for i in range(rows.start // height, -(-rows.stop // height)):
            yield self._first + i, Span(i * height, min((i + 1) * height, self.header.height))

    def _segments(self, rows: Span, columns: Span) -> Iterator[int]:
        page = self._page
        if not page.is_tiled:
            yield from (index for index, _ in self._strips(rows))
            return
        across = math.ceil(page.imagewidth / page.tilewidth)
        down = range(rows.start // page.tilelength, -(-rows.stop // page.tilelength))
        along = range(columns.start // page.tilewidth, -(-columns.stop // page.tilewidth))
        yield from (self._first + j * across + i for j, i in product(down, along))

    def _bytes(self, index: int, skip: int = 0, length: int | None = None) -> bytes:
        """A strip or tile as it lies in the file, or a part of it; all of it or DamagedData."""
        length = self._seek(index, skip, length)
        return self._file.read(length)

    def _read_into(self, out: Array, index: int, skip: int) -> None:
        """As `_bytes`, to where they are wanted: without a copy in between."""
        self._seek(index, skip, out.nbytes)
        wanted = out.data.cast("B")
        if cast(BufferedIOBase, self._file).readinto(wanted) != len(wanted):
            raise DamagedData(f"{self._name} ended while it was read.")

    def _seek(self, index: int, skip: int, length: int | None) -> int:
        """Go to a part of a strip or tile, `length` bytes or all of it. Raises DamagedData unless the file has it."""
        offsets, counts = self._page.dataoffsets, self._page.databytecounts
        if index >= min(len(offsets), len(counts)) or not offsets[index] or not counts[index]:
            raise DamagedData(f"{self._name} is damaged: strip or tile {index} was never written.")
        length = counts[index] if length is None else length
        start = offsets[index] + skip
        if skip + length > counts[index] or start + length > self._size:
            raise DamagedData(
                f"{self._name} is damaged: strip or tile {index} ends at byte {start + length:,}, "
                f"the file at {self._size:,}."
            )
        self._file.seek(start)
        return length


def _overlap(there: Span, wanted: Span) -> tuple[slice, slice]:
    """The common part of two spans, as a slice of the first and one of the second."""
    start, stop = max(there.start, wanted.start), min(there.stop, wanted.stop)
    return slice(start - there.start, stop - there.start), slice(start - wanted.start, stop - wanted.start)


def _stamp(description: str) -> str | None:
    if not description.startswith('{"ndex":'):
        return None
    try:
        return str(json.loads(description)["ndex"]["stamp"])
    except (ValueError, KeyError, TypeError):
        return None
