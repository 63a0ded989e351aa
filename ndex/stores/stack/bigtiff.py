"""The BigTIFF file of a volume, laid out before the first plane is there, so that any worker can write any plane.

First the header, then a directory of fixed size for each page, then the pixels. Each directory says where the pixels
are; zeros there mean that they were never written, and that is how a half-done file knows what it lacks. Pages lie at
the same place every time when they are not compressed; when they are, the file grows at its end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import IO

from ..images.plane import Header
from ..images.settings import Compression
from ..images.strips import CODES, StripCutter, predictor

SHORT, LONG, RATIONAL, ASCII, LONG8 = 3, 4, 5, 2, 16
FORMATS = {SHORT: "H", LONG: "I", LONG8: "Q", RATIONAL: "I"}
OFFSETS, COUNTS = 273, 279
"""Tags: where each strip begins, and its bytes."""
HEADER, ENTRY, WORD = 16, 20, 8
"""Bytes of the file's header, of a tag in a directory, and of a number."""
TAGS = 16
"""Of the first page, which has a description; the others have one less."""


@dataclass(frozen=True)
class BigTiff:
    """Where everything is in the file."""

    page: Header
    pages: int
    compression: Compression
    description: bytes
    """ASCII, with its final zero."""
    resolution: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))
    """Pixels per unit along x and y; the description names the unit."""

    @cached_property
    def rows(self) -> int:
        """Of a strip. Pixels as they are need no strips, and lie closest without."""
        return self.page.height if self.compression == "none" else StripCutter(self.page, self.compression).rows

    @cached_property
    def strips(self) -> int:
        """Of a page."""
        return -(-self.page.height // self.rows)

    @cached_property
    def first(self) -> int:
        """Where the first directory is."""
        return _even(HEADER + len(self.description), WORD)

    @cached_property
    def directory(self) -> int:
        """Bytes of a directory, with the places and sizes of its strips."""
        lists = 2 * WORD * self.strips if self.strips > 1 else 0
        return _even(WORD + TAGS * ENTRY + WORD, WORD) + lists

    @property
    def pixels(self) -> int:
        """Where the directories end."""
        return self.first + self.pages * self.directory

    @property
    def page_bytes(self) -> int:
        """Of a page as it is."""
        return self.page.width * self.page.height * self.page.dtype.itemsize

    @property
    def size(self) -> int:
        """Of the file while it has no compressed pixels."""
        return self.pixels + (self.pages * self.page_bytes if self.compression == "none" else 0)

    def place(self, page: int) -> int:
        """Of the directory of a page."""
        return self.first + page * self.directory

    def pixels_of(self, page: int) -> int:
        """Where a page begins that is not compressed."""
        return self.pixels + page * self.page_bytes

    def write_empty(self, file: IO[bytes]) -> None:
        """A file whose pages are all there, and all never written."""
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, self.first))
        file.write(self.description.ljust(self.first - HEADER, b"\0"))
        for page in range(self.pages):
            file.seek(self.place(page))
            file.write(self._directory(page))
        file.truncate(self.size)

    def enter(self, file: IO[bytes], page: int, offsets: Sequence[int], counts: Sequence[int]) -> None:
        """Say where the strips of a page are; zeros take a page out."""
        for tag, values in ((OFFSETS, offsets), (COUNTS, counts)):
            file.seek(self._values(page, tag))
            file.write(struct.pack(f"<{self.strips}Q", *values))

    def is_written(self, file: IO[bytes], page: int) -> bool:
        """Whether its strips were entered: the last of what `enter` writes is there."""
        file.seek(self._values(page, COUNTS) + WORD * (self.strips - 1))
        return file.read(WORD).strip(b"\0") != b""

    def missing(self, file: IO[bytes]) -> Iterator[int]:
        """Pages that were never written."""
        return (page for page in range(self.pages) if not self.is_written(file, page))

    def _values(self, page: int, tag: int) -> int:
        """Where the list of a tag is: in its entry if it has one value, else behind the directory."""
        if self.strips == 1:
            index = [code for code, *_ in self._tags(page)].index(tag)
            return self.place(page) + WORD + index * ENTRY + ENTRY - WORD
        lists = self.place(page + 1) - 2 * WORD * self.strips
        return lists if tag == OFFSETS else lists + WORD * self.strips

    def _tags(self, page: int) -> list[tuple[int, int, int, bytes]]:
        """Code, type, count and the eight bytes of value or place, in the order of the codes."""
        described = [(270, ASCII, len(self.description), struct.pack("<Q", HEADER))] if page == 0 else []
        return [
            _tag(256, LONG, self.page.width),
            _tag(257, LONG, self.page.height),
            _tag(258, SHORT, 8 * self.page.dtype.itemsize),
            _tag(259, SHORT, CODES[self.compression]),
            _tag(262, SHORT, 1),  # 0 is black
            *described,
            (OFFSETS, LONG8, self.strips, bytes(WORD)),
            _tag(277, SHORT, 1),
            _tag(278, LONG, self.rows),
            (COUNTS, LONG8, self.strips, bytes(WORD)),
            *(_tag(282 + axis, RATIONAL, *per.as_integer_ratio()) for axis, per in enumerate(self.resolution)),
            _tag(296, SHORT, 1),  # no unit
            (305, ASCII, 5, b"ndex".ljust(WORD, b"\0")),
            _tag(317, SHORT, predictor(self.page, self.compression)),
            _tag(339, SHORT, 1),  # unsigned integers
        ]

    def _directory(self, page: int) -> bytes:
        tags = self._tags(page)
        entries = []
        for code, kind, count, value in tags:
            place = struct.pack("<Q", self._values(page, code)) if code in (OFFSETS, COUNTS) and count > 1 else value
            entries.append(struct.pack("<HHQ", code, kind, count) + place)
        following = self.place(page + 1) if page + 1 < self.pages else 0
        return struct.pack("<Q", len(tags)) + b"".join(entries) + struct.pack("<Q", following)


def _tag(code: int, kind: int, *values: int) -> tuple[int, int, int, bytes]:
    """One whose value fits into its entry."""
    data = struct.pack(f"<{len(values)}{FORMATS[kind]}", *values).ljust(WORD, b"\0")
    return code, kind, len(values) // (2 if kind == RATIONAL else 1), data


def _even(size: int, unit: int) -> int:
    """The next multiple of `unit`."""
    return -(-size // unit) * unit
