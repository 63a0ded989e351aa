"""A file of which only ranges can be had, each at the price of a request, as one that can be read in any order."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, NamedTuple

FIRST = 64 << 10
"""Bytes of the first range: the header of nearly every image."""
GROWTH = 16
LARGEST = 8 << 20
"""Bytes of a range at most, unless more are asked for in one call: a network gives its full speed to ranges of this
size. They grow to it while a file is read from front to back, as pixels are, and are small again after a jump."""
KEPT = 2
"""Ranges in memory: the directory of a TIFF file and its pixels."""


class Part(NamedTuple):
    """A range of a file."""

    data: bytes
    start: int
    total: int
    """Bytes of the whole file."""
    tag: str | None
    """Of the version that it is from."""

    @property
    def stop(self) -> int:
        return self.start + len(self.data)


Get = Callable[[int, int | None, str | None], Part]
"""Makes the request from the first byte, the number of bytes (None: all that follow) and the tag of the version."""


class RangedFile(io.RawIOBase):
    """To be read only, by one thread."""

    def __init__(self, get: Get) -> None:
        self._get, self._at, self._ahead = get, 0, FIRST
        self._parts: list[Part] = []
        """The one that was used last comes first."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._total if whence == os.SEEK_END else 0}
        self._at = base[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As many bytes as one range gives, at most those that fit."""
        if self._at >= self._total:
            return 0
        target = memoryview(buffer).cast("B")
        part = self._part(len(target))
        data = memoryview(part.data)[self._at - part.start :][: len(target)]
        target[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        """What is left of the file, in one request."""
        if self._at >= self._total:
            return b""
        start, known = self._at, self._known()
        data = known.data[start - known.start :] if known else b""
        if start + len(data) < self._total:
            data += self._get(start + len(data), None, self._parts[0].tag).data
        self._at = start + len(data)
        return data

    @property
    def _total(self) -> int:
        if not self._parts:
            self._fetch(0, FIRST)
        return self._parts[0].total

    def _known(self) -> Part | None:
        return next((part for part in self._parts if part.start <= self._at < part.stop), None)

    def _part(self, wanted: int) -> Part:
        """The range that holds the next byte. At the end of the file it also holds what is before: a directory that
        is written last is read from there backwards."""
        known = self._known()
        if known is None:
            goes_on = any(part.stop == self._at for part in self._parts)
            self._ahead = min(LARGEST, self._ahead * GROWTH) if goes_on else FIRST
            size = max(wanted, self._ahead)
            return self._fetch(max(0, min(self._at, self._total - size)), size)
        return known

    def _fetch(self, start: int, size: int) -> Part:
        part = self._get(start, size, self._parts[0].tag if self._parts else None)
        self._parts = [part, *self._parts][:KEPT]
        return part
