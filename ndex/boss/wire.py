"""Cutouts on the wire: blosc frames, and how large a request may be; the same code for client and server."""

from __future__ import annotations

import math
import struct
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import DamagedData

Array: TypeAlias = npt.NDArray[Any]
Dtype: TypeAlias = "np.dtype[Any]"

MAX_REQUEST_BYTES = 545_259_520
"""Largest `request_bytes` that a BOSS takes in one cutout (boss-api 7.3)."""

BLOSC_MAX = 2_147_483_631
"""Most bytes that one blosc-1 frame can hold."""

HEADER = struct.Struct("<BBBBIII")
"""version, codec version, flags, typesize, nbytes, blocksize, cbytes."""


@cache
def _codec() -> Any:
    """blosc, imported for the first frame: a plan has none, nor has a server that nobody has asked for voxels."""
    import blosc

    # Several threads code at once, one frame each. Without the first line they would wait for each other on the
    # interpreter's lock; without the second each frame would start threads of its own for cores that are busy already.
    blosc.set_releasegil(True)
    blosc.set_nthreads(1)
    return blosc


def request_bytes(shape: tuple[int, ...], dtype: Dtype) -> int:
    """What a cutout counts against MAX_REQUEST_BYTES: its bytes, for 64-bit voxels a quarter of them (boss-api 7.3)."""
    plain = math.prod(shape) * dtype.itemsize
    return plain // 4 if dtype.itemsize == 8 else plain


def encode(array: Array, *, fast: bool = False, level: int = 1) -> bytes:
    """One blosc frame of the voxels in C order, little-endian. Raises ValueError above BLOSC_MAX bytes.

    zstd at its lowest level is what pays on a network: electron microscopy shrinks by an eighth, where blosclz and lz4
    gain nothing at all. `fast` takes lz4 instead, for a disk or a loopback connection. At level 7 it shrinks by a
    seventh, an eighth as fast. A shuffle of single bytes would be a copy for nothing.
    """
    flat = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    blosc = _codec()
    shuffle = blosc.SHUFFLE if flat.itemsize > 1 else blosc.NOSHUFFLE
    codec, level = ("lz4", 5) if fast else ("zstd", level)
    frame: bytes = blosc.compress_ptr(
        flat.ctypes.data, flat.size, typesize=flat.itemsize, clevel=level, shuffle=shuffle, cname=codec
    )
    return frame


def decode(frame: bytes | bytearray | memoryview, shape: tuple[int, ...], dtype: Dtype) -> Array:
    """The voxels of a frame, in a fresh array of this shape. Raises DamagedData when the frame holds anything else.

    What the header claims is compared with what is expected before memory is taken for it. The header's typesize is
    not: it is 8, 16 or 64 in frames of `intern` and of the BOSS itself (boss-api 7.4).
    """
    check_header(frame, math.prod(shape) * dtype.itemsize)
    array = np.empty(shape, dtype.newbyteorder("<"))
    decode_into(frame, array)
    return array


def decode_into(frame: bytes | bytearray | memoryview, target: Array) -> None:
    """Decompress a frame into a contiguous array of exactly its size. Raises DamagedData, with `target` undefined."""
    if not (target.flags.c_contiguous and target.flags.writeable):
        raise ValueError("a frame can only be decoded into a contiguous, writeable array")
    check_header(frame, target.nbytes)
    blosc = _codec()
    try:
        done = blosc.decompress_ptr(frame, target.ctypes.data)
    except blosc.blosc_extension.error as error:
        raise DamagedData(f"The blosc frame is damaged: {error}.") from error
    if done != target.nbytes:
        raise DamagedData(f"The blosc frame is damaged: it gave {done} bytes instead of {target.nbytes}.")


def check_header(frame: bytes | bytearray | memoryview, nbytes: int) -> None:
    """Raise DamagedData unless the 16 bytes of header promise `nbytes` of voxels in a frame of this length.

    The two lengths are also what makes `decompress_ptr` safe: it trusts them for the ends of both buffers.
    """
    if (claimed := claimed_bytes(frame)) != nbytes:
        raise DamagedData(f"The blosc frame holds {claimed} bytes of voxels instead of {nbytes}.")


def claimed_bytes(frame: bytes | bytearray | memoryview) -> int:
    """How many bytes of voxels a frame says it holds. Raises DamagedData when its own length is not as it says."""
    if len(frame) < HEADER.size:
        raise DamagedData(f"{len(frame)} bytes are too few for a blosc frame.")
    *_, claimed, _, length = HEADER.unpack_from(frame)
    if length != len(frame):
        raise DamagedData(f"The blosc frame is damaged: it claims {length} bytes, {len(frame)} are there.")
    return int(claimed)
