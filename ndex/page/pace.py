"""How fast the volume moved, in a few numbers however long it took."""

from __future__ import annotations

from array import array
from itertools import pairwise

KEPT = 4096
"""Moments that are remembered; when there are more, every second one is dropped."""
BINS = 120


class Pace:
    """How many bytes were moved by when."""

    def __init__(self) -> None:
        self._seconds = array("d", [0.0])
        self._nbytes = array("d", [0.0])
        self._total = 0
        self._stride = 1
        self._count = 0

    def add(self, seconds: float, nbytes: int) -> None:
        """So many bytes have arrived, `seconds` after the start."""
        self._total += nbytes
        self._count += 1
        self._end = seconds
        if self._count % self._stride:
            return
        self._seconds.append(seconds)
        self._nbytes.append(self._total)
        if len(self._seconds) > KEPT:
            self._seconds, self._nbytes = self._seconds[::2], self._nbytes[::2]
            self._stride *= 2

    def rates(self) -> tuple[float, list[float]]:
        """Seconds from start to end, and bytes per second in equal parts of that time."""
        if not self._count or not self._end:
            return 0.0, []
        import numpy as np

        seconds, nbytes = [*self._seconds, self._end], [*self._nbytes, float(self._total)]
        parts = max(1, min(BINS, self._count // 2))
        moved = np.interp(np.linspace(0, self._end, parts + 1), seconds, nbytes)
        width = self._end / parts
        return self._end, [float(after - before) / width for before, after in pairwise(moved)]
