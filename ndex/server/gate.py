"""Limits how many bytes of voxels are in memory at once, whatever the number of connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Gate:
    """Lets work through while its weights add up to no more than the capacity; the rest waits."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free = capacity
        self._changed = Condition()

    @contextmanager
    def hold(self, weight: int) -> Iterator[None]:
        """Wait for room. What is heavier than the whole capacity goes through alone."""
        weight = min(weight, self._capacity)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= weight)
            self._free -= weight
        try:
            yield
        finally:
            with self._changed:
                self._free += weight
                self._changed.notify_all()
