"""A run of planes on its way into the shared file: pixels first, and when they are safe, where they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np

from ...geometry import Box
from ...volume import Array
from ..images.strips import StripCutter
from .bigtiff import BigTiff
from .draft import SharedDraft, sync

HELD = 8 << 20
"""Bytes of compressed strips that are written in one go."""


class StackWriter:
    """Writes whole planes from bands that come from top to bottom."""

    def __init__(self, draft: SharedDraft, file: IO[bytes], form: BigTiff, box: Box, first: int) -> None:
        """`first` is the page of the first plane of `box`."""
        self._draft, self._file, self._form, self._box, self._first = draft, file, form, box, first
        self._row = box.y.start
        self._cutters = [StripCutter(form.page, form.compression) for _ in range(box.z.size)]
        self._counts: list[list[int]] = [[] for _ in self._cutters]
        self._offsets: list[list[int]] = [[] for _ in self._cutters]
        self._held: list[tuple[int, bytes]] = []
        """Compressed strips that wait to be written, with their plane."""
        self._withdraw()

    def write(self, box: Box, array: Array) -> None:
        """The next band: the full width of the planes, and all of them."""
        if (box.x, box.z, box.y.start) != (self._box.x, self._box.z, self._row) or array.shape != box.shape:
            raise ValueError(f"{box} with {array.shape} does not continue {self._box} at row {self._row}")
        for plane, rows in enumerate(array):
            if self._form.compression == "none":
                self._put(plane, rows)
            else:
                self._hold(plane, self._cutters[plane].append(rows))
        self._row = box.y.stop

    def finish(self) -> None:
        """Enter the planes into the file; they survive a power cut from here on."""
        if self._row != self._box.y.stop:
            raise ValueError(f"{self._box} ended at row {self._row}")
        for plane, cutter in enumerate(self._cutters):
            self._hold(plane, cutter.finish())
        self._release()
        sync(self._file)
        for plane in range(self._box.z.size):
            page = self._first + plane
            if self._form.compression == "none":
                self._form.enter(self._file, page, [self._form.pixels_of(page)], [self._form.page_bytes])
            else:
                self._form.enter(self._file, page, self._offsets[plane], self._counts[plane])
        sync(self._file)

    def _withdraw(self) -> None:
        """Planes that are written over are not there until that is done."""
        nothing = [0] * self._form.strips
        pages = range(self._first, self._first + self._box.z.size)
        written = [page for page in pages if self._form.is_written(self._file, page)]
        for page in written:
            self._form.enter(self._file, page, nothing, nothing)
        if written:
            sync(self._file)

    def _put(self, plane: int, rows: Array) -> None:
        pixels = np.ascontiguousarray(rows, rows.dtype.newbyteorder("<"))
        above = (self._row - self._box.y.start) * pixels.shape[1] * pixels.itemsize
        self._file.seek(self._form.pixels_of(self._first + plane) + above)
        self._file.write(pixels.data)

    def _hold(self, plane: int, strips: Iterator[bytes]) -> None:
        for strip in strips:
            self._held.append((plane, strip))
            if sum(len(data) for _, data in self._held) >= HELD:
                self._release()

    def _release(self) -> None:
        if not self._held:
            return
        at = self._draft.grow(self._file, sum(len(data) for _, data in self._held))
        self._file.seek(at)
        for plane, data in self._held:
            self._file.write(data)
            self._offsets[plane].append(at)
            self._counts[plane].append(len(data))
            at += len(data)
        self._held.clear()
