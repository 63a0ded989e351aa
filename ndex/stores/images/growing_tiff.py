"""Writing a TIFF file strip by strip, as rows arrive; tifffile would want all of them in one call.

The pixels come first and the directory with its tags last, which TIFF 6.0 (section 2) allows and which keeps nothing
but strip offsets in memory. Every reader of grey TIFF files understands the result.
"""

from __future__ import annotations

import json
import struct
from typing import IO

from ...geometry import Span
from ...volume import Array
from .plane import Header
from .settings import Compression
from .strips import CODES, StripCutter

SHORT, LONG, RATIONAL, ASCII, LONG8 = 3, 4, 5, 2, 16
FORMATS = {SHORT: "H", LONG: "I", LONG8: "Q", RATIONAL: "I"}
CLASSIC_LIMIT = (1 << 32) - (1 << 24)
"""Bytes of pixels that a classic TIFF file has room for, with its tags."""


class GrowingTiff:
    """A TIFF file while it is written: rows of grey pixels from top to bottom."""

    def __init__(self, file: IO[bytes], header: Header, compression: Compression, note: dict[str, object]) -> None:
        self._file, self._header, self._compression, self._note = file, header, compression, note
        self._cutter = StripCutter(header, compression)
        # A deflate stream may be a little larger than what it holds.
        self._big = header.height * header.width * header.dtype.itemsize * 1.01 > CLASSIC_LIMIT
        self._strips: list[Span] = []
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if self._big else struct.pack("<2sHI", b"II", 42, 0))

    def append(self, rows: Array) -> None:
        for strip in self._cutter.append(rows):
            self._write_strip(strip)

    def finish(self) -> None:
        for strip in self._cutter.finish():
            self._write_strip(strip)
        self._write_directory()

    def _write_strip(self, data: bytes) -> None:
        start = self._file.tell()
        self._file.write(data)
        self._strips.append(Span(start, start + len(data)))

    def _tags(self) -> list[tuple[int, int, list[int] | bytes]]:
        """Code, type and values, in the order of the codes."""
        header, word = self._header, LONG8 if self._big else LONG
        return [
            (256, LONG, [header.width]),
            (257, LONG, [header.height]),
            (258, SHORT, [8 * header.dtype.itemsize]),
            (259, SHORT, [CODES[self._compression]]),
            (262, SHORT, [1]),  # 0 is black
            (270, ASCII, json.dumps({"ndex": self._note}).encode("ascii") + b"\0"),
            (273, word, [strip.start for strip in self._strips]),
            (277, SHORT, [1]),
            (278, LONG, [self._cutter.rows]),
            (279, word, [strip.size for strip in self._strips]),
            (282, RATIONAL, [1, 1]),
            (283, RATIONAL, [1, 1]),
            (296, SHORT, [1]),  # no unit
            (305, ASCII, b"ndex\0"),
            (317, SHORT, [self._cutter.predictor]),
            (339, SHORT, [1]),  # unsigned integers
        ]

    def _write_directory(self) -> None:
        """The values that do not fit into the entries, then the entries, then their place into the header."""
        room = 8 if self._big else 4
        entry, count, offset = ("<HHQ", "<Q", "<Q") if self._big else ("<HHI", "<H", "<I")
        entries = []
        for code, kind, values in self._tags():
            data = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{FORMATS[kind]}", *values)
            length = len(values) // (2 if kind == RATIONAL else 1)
            place = data.ljust(room, b"\0") if len(data) <= room else struct.pack(offset, self._put(data))
            entries.append(struct.pack(entry, code, kind, length) + place)
        start = self._put(struct.pack(count, len(entries)) + b"".join(entries) + struct.pack(offset, 0))
        self._file.seek(8 if self._big else 4)
        self._file.write(struct.pack(offset, start))

    def _put(self, data: bytes) -> int:
        """Append at an even offset, as TIFF asks for; returns it."""
        start = self._file.tell()
        self._file.write(bytes(start % 2) + data)
        return start + start % 2
