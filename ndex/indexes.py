"""Sets of task indexes: millions of them in an array, or in a few runs without gaps."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .geometry import Span

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Indexes(Collection[int]):
    """A set of indexes."""

    array: Numbers
    """In order, each once."""

    @staticmethod
    def of(indexes: Collection[int]) -> Indexes:
        return Indexes(np.unique(np.fromiter(indexes, np.int64, len(indexes))))

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[int]:
        return iter(self.array.tolist())

    def __contains__(self, index: object) -> bool:
        place = int(np.searchsorted(self.array, index))  # type: ignore[call-overload]  # an index is an integer
        return place < len(self.array) and bool(self.array[place] == index)

    def within(self, span: Span) -> Indexes:
        """Those with start <= index < stop."""
        first, last = np.searchsorted(self.array, [span.start, span.stop])
        return Indexes(self.array[first:last])

    def runs(self) -> list[Span]:
        """The same indexes as runs without gaps, in order."""
        if not len(self.array):
            return []
        breaks = np.flatnonzero(np.diff(self.array) != 1)
        starts = self.array[np.concatenate(([0], breaks + 1))]
        stops = self.array[np.concatenate((breaks, [-1]))] + 1
        return [Span(start, stop) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]

    def missing_in(self, span: Span) -> Iterator[int]:
        """The indexes of `span` that are not in the set, in order."""
        at = span.start
        for run in self.within(span).runs():
            yield from range(at, run.start)
            at = run.stop
        yield from range(at, span.stop)
