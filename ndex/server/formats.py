"""The forms in which voxels travel (boss-api 7.4). Nothing is ever unpickled."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..boss import wire
from ..errors import DamagedData
from .faults import BossFault, Code, HttpFault
from .messages import Buffer, Request
from .regions import Region

Array: TypeAlias = npt.NDArray[Any]

BLOSC = "application/blosc"
NPYGZ = "application/npygz"
JPEG = "image/jpeg"

ALLOWED_BY_FORMAT = {"bin": BLOSC, "jpg": JPEG}
JPEG_QUALITY = 85
JPEG_MAX = 65500
"""Pixels along one side of a JPEG."""
NPY_HEADER_MAX = 4096
"""Bytes of an .npy file before its voxels; those of a plain array take 128."""


def media_type_wanted(request: Request) -> str:
    """Of the answer to a cutout. Raises HttpFault (406)."""
    if chosen := ALLOWED_BY_FORMAT.get(request.query.get("format", "").lower()):
        return chosen
    ranges = accepted(request.headers.get("accept", ""))
    for wanted in ranges:
        if wanted in ENCODERS:
            return wanted
    if not ranges or "*/*" in ranges or "application/*" in ranges:
        return BLOSC
    if "image/*" in ranges:
        return JPEG
    raise HttpFault(406, f"Could not satisfy the request Accept header; a cutout is one of {', '.join(ENCODERS)}.")


def accepted(header: str) -> list[str]:
    """Media ranges of an Accept header, without their parameters."""
    return [part.partition(";")[0].strip().lower() for part in header.split(",") if part.strip()]


def encode(media_type: str, array: Array, region: Region) -> bytes:
    return ENCODERS[media_type](array, region)


def _to_blosc(array: Array, region: Region) -> bytes:
    if array.nbytes > wire.BLOSC_MAX:
        raise BossFault(Code.TOO_LARGE, f"{array.nbytes} bytes of voxels do not fit into one blosc frame.")
    return wire.encode(array, fast=True)


def _to_npygz(array: Array, region: Region) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
    return zlib.compress(file.getbuffer(), 1)


def _to_jpeg(array: Array, region: Region) -> bytes:
    """All planes below one another, grey."""
    if region.timed:
        raise BossFault(Code.NO_TIME_IN_JPEG, "A cutout with a time range cannot be had as JPEG.")
    if array.dtype != np.uint8:
        raise BossFault(Code.DATATYPE_MISMATCH, "Only uint8 channels can be had as JPEG.")
    depth, height, width = array.shape
    if max(depth * height, width) > JPEG_MAX:
        raise BossFault(Code.TOO_LARGE, f"A JPEG has at most {JPEG_MAX} lines and columns.")
    from PIL import Image  # only for pictures

    file = io.BytesIO()
    Image.fromarray(array.reshape(depth * height, width)).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


ENCODERS: dict[str, Callable[[Array, Region], bytes]] = {BLOSC: _to_blosc, NPYGZ: _to_npygz, JPEG: _to_jpeg}


def check_uploadable(request: Request) -> str:
    """The media type of an uploaded cutout. Raises HttpFault (415)."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in DECODERS:
        raise HttpFault(415, f"Unsupported media type '{media_type}' in request; a cutout is one of {BLOSC}, {NPYGZ}.")
    return media_type


def decode(media_type: str, body: Buffer, region: Region) -> Array:
    """The voxels of an upload, (t, z, y, x). Raises BossFault (2001, 2002)."""
    return DECODERS[media_type](body, region)


def _from_blosc(body: Buffer, region: Region) -> Array:
    """The frame says how many bytes there are but not of which type."""
    shape, dtype = (region.times.size, *region.box.shape), region.channel.dtype
    expected = math.prod(shape) * dtype.itemsize
    try:
        claimed = wire.claimed_bytes(body)
        if claimed != expected:
            code = Code.DATATYPE_MISMATCH if claimed % dtype.itemsize else Code.DIMENSION_MISMATCH
            raise BossFault(code, f"The frame holds {claimed} bytes of voxels, the URL names {expected}.")
        return wire.decode(body, shape, dtype)
    except DamagedData as error:
        raise BossFault(Code.DATATYPE_MISMATCH, str(error)) from error


def _from_npygz(body: Buffer, region: Region) -> Array:
    """A zlib stream of an .npy file; it is inflated no further than the URL's number of voxels goes."""
    dtype = region.channel.dtype
    expected = math.prod((region.times.size, *region.box.shape)) * dtype.itemsize
    try:
        file = io.BytesIO(zlib.decompressobj().decompress(body, expected + NPY_HEADER_MAX))
        shape, fortran, found = _npy_header(file)
    except (zlib.error, ValueError) as error:
        raise BossFault(Code.DATATYPE_MISMATCH, f"The body is not an array as npygz: {error}.") from error
    if found != dtype:
        raise BossFault(Code.DATATYPE_MISMATCH, f"The array is {found}, the channel {dtype}.")
    size = _size_with_time(shape, region)
    voxels = file.getbuffer()[file.tell() :]
    if len(voxels) < size * dtype.itemsize:
        raise BossFault(Code.DATATYPE_MISMATCH, "The array of the body is cut off.")
    array = np.frombuffer(voxels, dtype, size).reshape(shape, order="F" if fortran else "C")
    return array[np.newaxis] if array.ndim == 3 else array


def _npy_header(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an .npy file, before memory is taken for its array. Raises ValueError."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(file, max_header_size=NPY_HEADER_MAX)
    except Exception as error:  # a header is a Python literal, and numpy's parser fails on odd ones in many ways
        raise ValueError("its header cannot be read") from error


def _size_with_time(shape: tuple[int, ...], region: Region) -> int:
    """Voxels of an array that knows its shape: three axes under a time range mean its first sample (boss-api 7.4)."""
    full = (region.times.size, *region.box.shape)
    if shape not in (full, full[1:]):
        raise BossFault(Code.DIMENSION_MISMATCH, f"The array is {shape}, the URL names {region.shape}.")
    return math.prod(shape)


DECODERS: dict[str, Callable[[Buffer, Region], Array]] = {BLOSC: _from_blosc, NPYGZ: _from_npygz}
