"""Delivers messages in the background: whoever posts one never waits, and never hears of an error."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

WAITING = 20
"""Messages that are kept while one is being delivered; the oldest gives way to a newer one."""
PATIENCE = 8.0
"""Seconds that the end of a job waits for what is still under way."""


class Courier(Generic[T]):
    """A thread that hands messages to `deliver`, which must not raise, one after the other.

    A daemon: a delivery that hangs does not keep the process from ending.
    """

    def __init__(self, deliver: Callable[[T], None]) -> None:
        self._deliver = deliver
        self._waiting: deque[T] = deque(maxlen=WAITING)
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)
        self._thread.start()

    def post(self, message: T) -> None:
        with self._changed:
            self._waiting.append(message)
            self._changed.notify()

    def close(self, patience: float = PATIENCE) -> None:
        """Take no more messages; wait at most `patience` seconds for those posted."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(patience)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                message = self._waiting.popleft()
            self._deliver(message)
