"""PNG files: decoded whole, written band by band."""

from __future__ import annotations

import struct
import zlib
from typing import IO, NamedTuple

import imagecodecs
import numpy as np

from ...geometry import Span
from ...volume import Array
from .deflate import compressor
from .plane import Header, Unfit, check_band, check_size, damage, voxel_type

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BANDS = {0: 1, 2: 3, 4: 2, 6: 4}
"""By colour type: grey, RGB, grey with alpha, RGBA."""
PALETTE = 3
KEYWORD = b"ndex"
"""Of the text chunk with the stamp of the job."""
SUB = 1
"""The row filter that stores differences to the left neighbour, as predictor 2 of TIFF."""
SLICE = 1 << 20
"""Bytes of pixels that are compressed in one go."""


class Ihdr(NamedTuple):
    """The first chunk."""

    width: int
    height: int
    depth: int
    colour: int


class PngPlane:
    """An open PNG file."""

    def __init__(self, file: IO[bytes], name: str, band: int | None) -> None:
        self._file, self._name = file, name
        with damage(name):
            file.seek(0)
            start = file.read(4096)
            ihdr = Ihdr(*struct.unpack(">IIBB", start[16:26]))
        if ihdr.colour == PALETTE:
            raise Unfit(f"{name} has a colour table. Save the files as grey first.")
        self._bands = BANDS.get(ihdr.colour, 1)
        self._band = check_band(name, self._bands, band)
        self.header = Header(ihdr.width, ihdr.height, voxel_type(name, "u", ihdr.depth))
        check_size(name, self.header)
        self.stamp = _stamp(start)

    def read(self, rows: Span, columns: Span, out: Array) -> None:
        self._file.seek(0)
        data = self._file.read()
        with damage(self._name):
            pixels = imagecodecs.png_decode(data)
            del data
            bands = pixels.reshape(self.header.height, self.header.width, -1)
            out[...] = bands[slice(*rows), slice(*columns), self._band]


class GrowingPng:
    """A PNG file while it is written: rows of grey pixels, 8 or 16 bits, from top to bottom."""

    def __init__(self, file: IO[bytes], header: Header, stamp: str) -> None:
        self._file, self._deflate = file, compressor()
        depth = 8 * header.dtype.itemsize
        file.write(SIGNATURE)
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", header.width, header.height, depth, 0, 0, 0, 0))
        self._chunk(b"tEXt", KEYWORD + b"\0" + stamp.encode("latin-1"))

    def append(self, rows: Array) -> None:
        step = max(1, SLICE // max(1, rows.shape[1] * rows.itemsize))
        for start in range(0, len(rows), step):
            self._chunk(b"IDAT", self._deflate.compress(_filtered(rows[start : start + step])))

    def finish(self) -> None:
        self._chunk(b"IDAT", self._deflate.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, kind: bytes, data: bytes) -> None:
        if data or kind != b"IDAT":
            self._file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


def _filtered(rows: Array) -> bytes:
    """Rows as PNG has them: a byte that names the filter, then big-endian pixels less their left neighbours."""
    size = rows.itemsize
    pixels = rows.astype(rows.dtype.newbyteorder(">")).view(np.uint8).reshape(len(rows), -1)
    lines = np.empty((len(rows), 1 + pixels.shape[1]), np.uint8)
    lines[:, 0] = SUB
    lines[:, 1 : 1 + size] = pixels[:, :size]
    np.subtract(pixels[:, size:], pixels[:, :-size], out=lines[:, 1 + size :])
    return lines.tobytes()


def _stamp(start: bytes) -> str | None:
    """What ndex wrote right after the first chunk."""
    at = len(SIGNATURE) + 25
    length, kind = start[at : at + 4], start[at + 4 : at + 8]
    if kind != b"tEXt":
        return None
    keyword, _, text = start[at + 8 : at + 8 + int.from_bytes(length, "big")].partition(b"\0")
    return text.decode("latin-1") if keyword == KEYWORD else None
