"""Blosc frames: what goes in comes out, and nothing that is damaged gets through or brings the process down."""

from __future__ import annotations

import random
import struct

import blosc
import numpy as np
import pytest

from ndex.boss import wire
from ndex.errors import DamagedData

SHAPE = (3, 17, 29)


def voxels(dtype: str, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 50, SHAPE, dtype=dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("fast", [False, True])
def test_round_trip(dtype: str, fast: bool) -> None:
    array = voxels(dtype)
    back = wire.decode(wire.encode(array, fast=fast), SHAPE, array.dtype)
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable
    assert back.dtype == array.dtype


@pytest.mark.parametrize("codec", blosc.compressor_list())
@pytest.mark.parametrize(("dtype", "bits"), [("uint8", 8), ("uint16", 16), ("uint64", 64)])
def test_frames_of_other_clients(codec: str, dtype: str, bits: int) -> None:
    """intern and the BOSS write the bit depth where the byte size belongs."""
    array = voxels(dtype)
    frame = blosc.compress(array.tobytes(), typesize=bits, cname=codec)
    np.testing.assert_array_equal(wire.decode(frame, SHAPE, array.dtype), array)


def test_any_layout_is_sent_in_c_order_little_endian() -> None:
    array = voxels("uint16")
    for odd in (np.asfortranarray(array), array.astype(">u2"), np.repeat(array, 2, axis=2)[:, :, ::2]):
        assert blosc.decompress(wire.encode(odd)) == array.tobytes()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_decoded(kind: type) -> None:
    array = voxels("uint8")
    np.testing.assert_array_equal(wire.decode(kind(wire.encode(array)), SHAPE, array.dtype), array)


def test_labels_are_shuffled_and_images_are_not() -> None:
    flags = [wire.encode(voxels(dtype))[2] & 1 for dtype in ("uint8", "uint64")]
    assert flags == [0, 1]


def test_a_claim_of_gigabytes_is_refused_before_memory_is_taken() -> None:
    frame = bytearray(wire.encode(voxels("uint8")))
    struct.pack_into("<I", frame, 4, 2_000_000_000)
    with pytest.raises(DamagedData, match="2000000000"):
        wire.decode(frame, SHAPE, np.dtype("uint8"))


@pytest.mark.parametrize("frame", [b"", b"\x02\x01", bytes(16), b"<html>maintenance</html>"])
def test_what_is_no_frame_is_damaged(frame: bytes) -> None:
    with pytest.raises(DamagedData):
        wire.decode(frame, SHAPE, np.dtype("uint8"))


def test_a_cut_or_extended_frame_is_damaged() -> None:
    frame = wire.encode(voxels("uint64"))
    for wrong in (frame[:-1], frame + b"\0", frame[: len(frame) // 2]):
        with pytest.raises(DamagedData, match="claims"):
            wire.decode(wrong, SHAPE, np.dtype("uint64"))


@pytest.mark.parametrize("codec", blosc.compressor_list())
def test_lies_inside_a_frame_cannot_crash(codec: str) -> None:
    """Both lengths are kept right, so that the damage reaches the decompressor."""
    choose = random.Random(codec)
    for size in (64, 4096, 100_000):
        plain = np.random.default_rng(size).integers(0, 9, size, dtype="uint8")
        for clevel, shuffle in ((0, 0), (1, 0), (5, 1), (5, 2)):
            frame = blosc.compress(plain.tobytes(), typesize=8, clevel=clevel, shuffle=shuffle, cname=codec)
            for _ in range(100 if size < 100_000 else 10):
                _decode_damaged(frame, size, choose)


def _decode_damaged(frame: bytes, size: int, choose: random.Random) -> None:
    damaged = bytearray(frame)
    for _ in range(choose.choice((1, 3, 40))):
        damaged[choose.randrange(choose.choice((4, 12, 40, len(damaged)))) % len(damaged)] = choose.randrange(256)
    if choose.random() < 0.3:
        del damaged[choose.randrange(16, len(damaged)) :]
    struct.pack_into("<I", damaged, 4, size)
    struct.pack_into("<I", damaged, 12, len(damaged))
    try:
        assert wire.decode(damaged, (size,), np.dtype("uint8")).size == size
    except DamagedData:
        return


def test_size_of_a_request() -> None:
    assert wire.request_bytes((2, 3, 4), np.dtype("uint8")) == 24
    assert wire.request_bytes((2, 3, 4), np.dtype("uint16")) == 48
    assert wire.request_bytes((2, 3, 4), np.dtype("uint64")) == 48
    assert wire.request_bytes((1040, 1024, 512), np.dtype("uint8")) == wire.MAX_REQUEST_BYTES
    assert blosc.MAX_BUFFERSIZE == wire.BLOSC_MAX
