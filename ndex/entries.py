"""The files that journals consist of: entries one after the other, each with a checksum of its own.

Such a file is only ever appended to, by one process. Whatever a crash, a full disk or a bad one has made of it, and
however late a network file system shows what another machine has written, each entry is believed or not by itself.
"""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

MARK = b"\xf5nx\n"
"""Begins an entry: where one is damaged, the next is found by it. No text in UTF-8 has such a byte."""
LONGEST = 1 << 24
"""Bytes of an entry; one that says it has more is damaged."""
CHUNK = 1 << 18
"""Bytes that are read at once."""
ALIKE = 64
"""Entries of the same length in a row, after which more of them are expected."""

_START = struct.Struct("<4sII")
_HEAD = struct.Struct("<4sIIBBxxqd")
HEAD = np.dtype(
    [
        ("mark", "S4"),
        ("seal", "<u4"),
        ("length", "<u4"),
        ("kind", "u1"),
        ("verified", "u1"),
        ("spare", "<u2"),
        ("task", "<i8"),
        ("at", "<f8"),
    ]
)
"""An entry without what follows it: `length` bytes. The seal is the CRC-32 of all that comes after it."""


class Kind(IntEnum):
    """What an entry says."""

    BEGUN = 1
    """A run has begun; who runs it follows, as JSON."""
    DONE = 2
    """A task is done; the CRC-32 of each of its blocks follows, 4 bytes each, little-endian."""
    FAILED = 3
    """A task has failed; the reason follows."""
    ENDED = 4
    """The run has ended by itself."""


@dataclass(frozen=True)
class Entries:
    """The entries of a file that can be believed, in order."""

    heads: npt.NDArray[np.void]
    """As HEAD says."""
    starts: npt.NDArray[np.int64]
    """Where in the file each of them begins."""


def packed(kind: Kind, at: float, task: int = -1, content: bytes = b"", verified: bool = False) -> bytes:
    """An entry. `at` is in seconds since the epoch."""
    head = _HEAD.pack(MARK, 0, len(content), kind, verified, task, at)
    seal = zlib.crc32(content, zlib.crc32(head[8:]))
    return head[:4] + struct.pack("<I", seal) + head[8:] + content


def entries(path: Path) -> Entries:
    """What a file says, however damaged it is. Raises OSError when it cannot be read."""
    heads, starts = bytearray(), array("q")
    data, base = b"", 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            data += chunk
            used = _collect(data, base, heads, starts, last=False)
            data, base = data[used:], base + used
    _collect(data, base, heads, starts, last=True)
    return Entries(np.frombuffer(heads, HEAD), np.frombuffer(starts, np.int64))


def first_and_last(path: Path) -> tuple[bytes | None, bool]:
    """What the first entry says of a run that has begun, None when it is damaged or not there yet, and whether the last
    one says that the run has ended. What stands between is not looked at. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        begin = file.read(4096)
        file.seek(max(0, file.seek(0, os.SEEK_END) - HEAD.itemsize))
        end = file.read()
    first, last = _believed(begin), _believed(end)
    owned = len(first.heads) and first.starts[0] == 0 and first.heads["kind"][0] == Kind.BEGUN
    content = begin[HEAD.itemsize : HEAD.itemsize + int(first.heads["length"][0])] if owned else None
    return content, bool((last.heads["kind"] == Kind.ENDED).any())


def contents(path: Path, places: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """What follows the heads of entries, of which each place gives where it begins and the length of what follows.
    Raises OSError when the file cannot be read."""
    with path.open("rb") as file:
        for start, length in places:
            file.seek(start + HEAD.itemsize)
            yield file.read(length)


def _believed(data: bytes) -> Entries:
    heads, starts = bytearray(), array("q")
    _collect(data, 0, heads, starts, last=True)
    return Entries(np.frombuffer(heads, HEAD), np.frombuffer(starts, np.int64))


def _collect(data: bytes, base: int, heads: bytearray, starts: array[int], last: bool) -> int:
    """Adds the entries in `data`, which stand at `base` in their file; how much of it needs no second look. Unless it
    is the last of the file, an entry may go on behind its end."""
    at, size, width, alike = 0, len(data), 0, 0
    while (found := data.find(MARK, at)) >= 0:
        at = found
        if size - at < HEAD.itemsize:
            break
        _, seal, length = _START.unpack_from(data, at)
        stop = at + HEAD.itemsize + length
        if stop > size and length <= LONGEST and not last:
            return at
        if stop > size or zlib.crc32(data[at + 8 : stop]) != seal:
            at += 1
            continue
        heads += data[at : at + HEAD.itemsize]
        starts.append(base + at)
        alike = alike + 1 if stop - at == width else 0
        width, at = stop - at, stop
        if alike >= ALIKE:
            row = _alike(data, at, width, 4 * alike)
            heads += row.tobytes()
            starts.extend(range(base + at, base + at + len(row) * width, width))
            at, alike = at + len(row) * width, alike + len(row)
    return at if found >= 0 else max(at, size - len(MARK) + 1)


def _alike(data: bytes, at: int, width: int, most: int) -> npt.NDArray[np.void]:
    """The heads of the entries of this width that follow each other from `at` on. Most are as long as the one before,
    and many at once are read much faster."""
    count = min((len(data) - at) // width, most)
    rows = np.frombuffer(data, np.uint8, count * width, at).reshape(-1, width)
    heads = np.ascontiguousarray(rows[:, : HEAD.itemsize]).view(HEAD)[:, 0]
    heads = _until(heads, (heads["mark"] == MARK) & (heads["length"] == width - HEAD.itemsize))
    seals = (zlib.crc32(data[start + 8 : start + width]) for start in range(at, at + len(heads) * width, width))
    return _until(heads, np.fromiter(seals, np.uint32, len(heads)) == heads["seal"])


def _until(heads: npt.NDArray[np.void], right: npt.NDArray[np.bool_]) -> npt.NDArray[np.void]:
    """Those before the first that is not right."""
    return heads if right.all() else heads[: np.argmin(right)]
