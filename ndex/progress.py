"""How far a run is, as its events tell: the phase, the volume done, the rate, the time left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from .events import Event, Result, Started, Stopping, TaskDone, TaskFailed
from .wording import counted, duration, megabytes

WINDOW = 300.0
"""Seconds over which the rate is measured, so that it follows the network and not the whole week."""


class Progress:
    """Listens to events; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._ends: deque[tuple[float, int]] = deque()
        """When tasks ended, and the bytes that had been moved by then; the first is at the edge of the window."""
        self._tasks = self._ended = 0
        self._unmoved = 0
        self._itemsize = 1.0
        self.phase: Literal["preparing", "transferring", "verifying", "finishing"] = "preparing"
        self.name = ""
        self.total = 0
        """Bytes that this run is about."""
        self.done = 0
        """Bytes of the tasks that are done."""
        self.empty = 0
        """Blocks of zeros so far."""
        self.failed = 0
        """Tasks that have failed so far."""

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                self._start(event)
            case TaskDone():
                self.done += event.nbytes
                self.empty += event.empty
                self._end()
            case TaskFailed():
                self.failed += 1
                self._unmoved += round(event.box.voxels * self._itemsize)
                self._end()
            case Stopping() | Result():
                self._enter("finishing")

    @property
    def fraction(self) -> float:
        """Of the volume, from 0 to 1; failed tasks count as gone through."""
        return min(1.0, (self.done + self._unmoved) / self.total) if self.total else 1.0

    @property
    def rate(self) -> float:
        """Bytes a second, over the last minutes."""
        if not self._ends:
            return 0.0
        at, before = self._ends[0]
        return (self.done - before) / max(1e-3, self._clock() - at)

    @property
    def seconds_left(self) -> float | None:
        """None while nothing has been moved lately."""
        rate = self.rate
        return (self.total - self.done - self._unmoved) / rate if rate else None

    def __str__(self) -> str:
        """Phase, volume, rate, time left, and what was skipped or has failed."""
        return ", ".join([*self._pace(), *self._counts()])

    def _pace(self) -> list[str]:
        if self.phase in ("preparing", "finishing"):
            return [self.phase, f"{duration(self._clock() - self._since)} so far"]
        left = self.seconds_left
        return [
            f"{self.phase} {megabytes(self.done)} of {megabytes(self.total)} ({int(100 * self.fraction)} %)",
            f"{megabytes(self.rate)}/s",
            "time left unknown" if left is None else f"{duration(left)} left",
        ]

    def _counts(self) -> list[str]:
        empty = [f"{counted(self.empty, 'block')} empty"] if self.empty else []
        return [*empty, *([f"{counted(self.failed, 'task')} FAILED"] if self.failed else [])]

    def _start(self, event: Started) -> None:
        self._tasks, self.total, self.name = event.left, event.nbytes, event.name
        self._itemsize = event.nbytes / event.voxels if event.voxels else 1.0
        self._ends.append((self._clock(), 0))
        self._enter("verifying" if event.action == "verify" else "transferring")
        self._finish_if_last()

    def _end(self) -> None:
        """A task has ended."""
        self._ended += 1
        now = self._clock()
        self._ends.append((now, self.done))
        while len(self._ends) > 2 and self._ends[1][0] < now - WINDOW:
            self._ends.popleft()
        self._finish_if_last()

    def _finish_if_last(self) -> None:
        if self._ended >= self._tasks:
            self._enter("finishing")

    def _enter(self, phase: Literal["transferring", "verifying", "finishing"]) -> None:
        if phase != self.phase:
            self.phase, self._since = phase, self._clock()
