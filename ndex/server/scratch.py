"""Memory for a few cuboids that is used over and over: fresh pages would cost as much as what is done in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from queue import LifoQueue
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..geometry import Box, Vec
from .hierarchy import CUBOID

Array: TypeAlias = npt.NDArray[Any]

SHAPE = Box.at(Vec(0, 0, 0), CUBOID).shape
WIDEST = np.dtype(np.uint64)
SLOTS = min((os.cpu_count() or 1) + 2, 8)
"""Threads that work on a cuboid at once: enough for the cores while some wait for the disk, and no more, because
threads that only compete for the interpreter make each other slower. Their memory, 32 MiB each where labels are kept,
is never given back."""


class Scratch:
    """Lends one cuboid to a thread at a time. A thread must not ask for a second one."""

    def __init__(self) -> None:
        self._free: LifoQueue[Array | None] = LifoQueue()
        for _ in range(SLOTS):
            self._free.put(None)

    @contextmanager
    def cuboid(self, dtype: np.dtype[Any]) -> Iterator[Array]:
        """An array of SHAPE with whatever was in it before; waits until one is free. Only what is used takes memory."""
        memory = self._free.get()
        try:
            if memory is None:
                memory = np.empty(SHAPE, WIDEST)
            yield memory.reshape(-1).view(dtype)[: memory.size].reshape(SHAPE)
        finally:
            self._free.put(memory)
