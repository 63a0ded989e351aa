"""JPEG files: decoded whole, 8 bits a band."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import numpy as np

from ...errors import DamagedData
from ...geometry import Span
from ...volume import Array
from .plane import Header, Unfit, check_band, check_size, damage

if TYPE_CHECKING:
    from PIL.JpegImagePlugin import JpegImageFile

SIGNATURE = b"\xff\xd8\xff"
BANDS = {"L": 1, "RGB": 3}
"""By mode, as Pillow names it."""


class JpegPlane:
    """An open JPEG file. Pillow decodes it, because it tells a file that was cut; other decoders make that grey."""

    stamp: str | None = None

    def __init__(self, file: IO[bytes], name: str, band: int | None) -> None:
        self._file, self._name = file, name
        file.seek(0)
        image = self._opened(file)
        if image.mode not in BANDS:
            raise Unfit(f"{name} has {image.mode} colours. Save the files as grey or RGB first.")
        self._band = check_band(name, BANDS[image.mode], band)
        self.header = Header(*image.size, np.dtype(np.uint8))
        check_size(name, self.header)

    def read(self, rows: Span, columns: Span, out: Array) -> None:
        self._file.seek(0)
        image = self._opened(io.BytesIO(self._file.read()))
        with _damage(self._name):
            pixels = np.asarray(image)
            out[...] = pixels.reshape(*pixels.shape[:2], -1)[slice(*rows), slice(*columns), self._band]

    def _opened(self, file: IO[bytes]) -> JpegImageFile:
        """With its header read, and not a pixel decoded."""
        from PIL.JpegImagePlugin import JpegImageFile  # only for a JPEG file

        with _damage(self._name):
            return JpegImageFile(file)


@contextmanager
def _damage(name: str) -> Iterator[None]:
    """As `damage`, for Pillow: it says SyntaxError of a header, and OSError, without a number, of a file that ends."""
    try:
        with damage(name):
            yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise DamagedData(f"{name} is damaged: {error}.") from error
