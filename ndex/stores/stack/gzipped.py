"""The plain bytes of a gzip file, which can only be unpacked from the beginning on.

What was passed once need not be unpacked from the beginning again: the state of the decoder is kept at some places on
the way, each 40 KiB, and reading goes on from the nearest one. So tasks that come nearly in order, as those of several
threads do, cost one pass over the file, without a plain copy on a disk.
"""

from __future__ import annotations

import threading
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ...errors import DamagedData
from ...files import translated
from ..images.plane import damage

CHUNK = 1 << 16
"""Packed bytes that are read in one go."""
SPACING = 16 << 20
"""Plain bytes from mark to mark, to begin with."""
MARKS = 256
"""At most; of more, every other one is dropped."""
GZIP = 31
"""zlib's name for a gzip stream; it compares the checksum at the end of it."""


@dataclass(frozen=True)
class Mark:
    """A place to go on from."""

    plain: int
    packed: int
    decoder: Any


class GzipBytes:
    """One pass over the file at a time; threads wait for each other."""

    def __init__(self, path: Path, end: int) -> None:
        """`end` is where the last plane ends; who reads up to there has the checksum compared."""
        self._path, self._end = path, end
        self._lock = threading.RLock()
        self._marks = [Mark(0, 0, zlib.decompressobj(GZIP))]
        self._spacing = SPACING
        self._file: IO[bytes] | None = None
        self._plain = 0
        self._input = b""
        self._decoder: Any = None

    def read(self, start: int, length: int) -> bytes:
        with self._lock, translated(str(self._path)), damage(str(self._path)):
            try:
                self._go_to(start)
                return self._take(length)
            except BaseException:
                self._close()  # where it stands is not sure any more
                raise

    def turn(self) -> AbstractContextManager[object]:
        return self._lock

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _go_to(self, start: int) -> None:
        mark = max((mark for mark in self._marks if mark.plain <= start), key=lambda mark: mark.plain)
        if self._file is None or not mark.plain <= self._plain <= start:
            self._close()
            self._file = open(self._path, "rb")  # noqa: SIM115 - stays open for the next call
            self._file.seek(mark.packed)
            self._plain, self._input, self._decoder = mark.plain, b"", mark.decoder.copy()
        while self._plain < start and self._more(start - self._plain):
            pass

    def _take(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length and (more := self._more(length - len(data))):
            data += more
        if self._plain >= self._end:
            while self._more(CHUNK):
                pass
        return bytes(data)

    def _more(self, limit: int) -> bytes:
        """The next plain bytes; none at the end. Raises DamagedData when that comes too early, zlib.error when the
        stream or its checksum is wrong."""
        assert self._file is not None
        while True:
            if self._decoder.eof and not self._next_member():
                return b""
            packed = self._input or self._file.read(CHUNK)
            data: bytes = self._decoder.decompress(packed, limit)
            self._input = self._decoder.unconsumed_tail
            if data:
                self._plain += len(data)
                self._mark()
                return data
            if not packed and not self._decoder.eof:
                raise DamagedData(f"{self._path} is damaged: it is cut short.")

    def _next_member(self) -> bool:
        """Whether another gzip stream follows; zeros that pad the file are none."""
        assert self._file is not None
        rest = self._decoder.unused_data.lstrip(b"\0") or self._file.read(CHUNK).lstrip(b"\0")
        if rest:
            self._decoder, self._input = zlib.decompressobj(GZIP), rest
        return bool(rest)

    def _mark(self) -> None:
        assert self._file is not None
        if self._input or self._decoder.eof or self._plain < self._marks[-1].plain + self._spacing:
            return
        self._marks.append(Mark(self._plain, self._file.tell(), self._decoder.copy()))
        if len(self._marks) > MARKS:
            self._marks, self._spacing = self._marks[::2], 2 * self._spacing
