"""An answer of a render service as grey pixels, or why it cannot be one."""

from __future__ import annotations

import struct
from typing import NamedTuple

import imagecodecs
import numpy as np

from ...errors import DamagedData, PermanentError
from ...volume import Array, UInt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGBA = 6
_GREY = 0
SMALL = 1 << 14
"""Pixels of an image that is only looked at."""


class Format(NamedTuple):
    """A kind of image of the service (render-api 4)."""

    kind: str
    """Last part of the path."""
    depth: int
    """Bits of a sample."""
    colour: int
    """Colour type of PNG."""
    pixel: int
    """Bytes of a decoded pixel."""


FORMATS = {"uint8": Format("png-image", 8, _RGBA, 4), "uint16": Format("png16-image", 16, _GREY, 2)}


class Unexpected(PermanentError):
    """A sound image that is not of the data; filling it with zeros would hide a mistake."""


def pixels(body: bytes, dtype: UInt, width: int, height: int, what: str) -> Array:
    """The grey pixels (rows, columns) of a PNG answer. Nothing is decoded before its header is as it must be.

    Raises DamagedData when it is no PNG or a broken one, Unexpected for another size or another kind of image: a
    picture of tile outlines comes as colours, or with 8 bits where 16 are due (render-api 8.1).
    """
    expected = FORMATS[str(dtype)]
    there = _header(body, what)
    if there[:2] != (width, height):
        raise Unexpected(f"{what}: the image has {there[0]} x {there[1]} pixels instead of {width} x {height}.")
    if there[2:] != (expected.depth, expected.colour):
        raise Unexpected(f"{what}: {_OUTLINES} (it is no {expected.depth}-bit image of the kind asked for).")
    return _grey(_decoded(body, what).reshape(height, width, -1), what)


def is_transparent(body: bytes, what: str) -> bool:
    """Whether no pixel of a small image of 8 bits is opaque. Raises DamagedData for anything else."""
    width, height, *kind = _header(body, what)
    if width * height > SMALL or tuple(kind) != FORMATS["uint8"][1:3]:
        raise DamagedData(f"{what}: the answer is not a small image with alpha.")
    return not _decoded(body, what)[..., 3].any()


def _header(body: bytes, what: str) -> tuple[int, int, int, int]:
    """Width, height, bits of a sample, colour type."""
    if body[:8] != _SIGNATURE or len(body) < 33:
        raise DamagedData(f"{what}: the answer is not a PNG image.")
    width, height, depth, colour = struct.unpack(">IIBB", body[16:26])
    return width, height, depth, colour


def _decoded(body: bytes, what: str) -> Array:
    try:
        decoded: Array = imagecodecs.png_decode(body)
    except (imagecodecs.PngError, ValueError) as error:
        raise DamagedData(f"{what}: the image is damaged ({error}).") from error
    return decoded


def _grey(bands: Array, what: str) -> Array:
    """The only band, or the first of three equal ones; alpha says nothing reliable (render-api 6.1)."""
    red = bands[..., 0]
    if bands.shape[2] > 1 and not (np.array_equal(red, bands[..., 1]) and np.array_equal(red, bands[..., 2])):
        raise Unexpected(f"{what}: {_OUTLINES} (red, green and blue differ).")
    return red


_OUTLINES = "the service drew a picture of tile outlines instead of the data, or the stack is in colour"
