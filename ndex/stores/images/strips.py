"""Rows of pixels as the strips of a TIFF file, each encoded as soon as it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import imagecodecs
import numpy as np

from ...volume import Array
from .deflate import compress
from .plane import Header
from .settings import Compression

STRIP = 128 << 10
"""Bytes aimed at by a strip: small enough to read few rows, large enough for deflate."""
CODES = {"none": 1, "deflate": 8, "zstd": 50000}
"""Of the tag Compression."""
HORIZONTAL = 2
"""Predictor: differences to the left neighbour. For images; labels compress as well without, and few readers know it
for 32 and 64 bits."""


class StripCutter:
    """Bands of one plane, from top to bottom, become strips."""

    def __init__(self, header: Header, compression: Compression) -> None:
        self.rows = max(1, min(header.height, STRIP // (header.width * header.dtype.itemsize)))
        """Of a strip; the last one may have fewer."""
        self.predictor = predictor(header, compression)
        self._encode = _encoder(compression)
        self._rest: Array = np.empty((0, header.width), header.dtype)

    def append(self, rows: Array) -> Iterator[bytes]:
        """The strips that are whole with these rows."""
        if len(self._rest):
            missing = self.rows - len(self._rest)
            self._rest = np.concatenate([self._rest, rows[:missing]])
            rows = rows[missing:]
            if len(self._rest) == self.rows:
                yield self._encoded(self._rest)
                self._rest = self._rest[:0]
        whole = len(rows) - len(rows) % self.rows
        for start in range(0, whole, self.rows):
            yield self._encoded(rows[start : start + self.rows])
        if whole < len(rows):
            self._rest = rows[whole:].copy()

    def finish(self) -> Iterator[bytes]:
        """The last strip, if there is one left."""
        if len(self._rest):
            yield self._encoded(self._rest)
            self._rest = self._rest[:0]

    def _encoded(self, rows: Array) -> bytes:
        pixels = np.ascontiguousarray(rows)
        if self.predictor == HORIZONTAL:
            pixels = imagecodecs.delta_encode(pixels, axis=-1)
        return self._encode(pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes())


def predictor(header: Header, compression: Compression) -> int:
    """Value of the tag Predictor."""
    return HORIZONTAL if compression != "none" and header.dtype.itemsize <= 2 else 1


def _encoder(compression: Compression) -> Callable[[bytes], bytes]:
    if compression == "zstd":
        return lambda data: bytes(imagecodecs.zstd_encode(data, level=1))
    return compress if compression == "deflate" else bytes
