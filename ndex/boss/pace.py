"""How fast voxels may be asked for: the share of a process in the job's rate, and a pause that all its threads keep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from weakref import WeakValueDictionary

from pydantic import ByteSize

from ..job import Job, Rate, Retry

BUSY = (429, 503)
"""Answers of a host that is asked for too much."""
GLANCE = 1.0
"""Seconds of sleep at most, so that a longer pause or an interrupt is seen in time."""
SLACK = 0.1
"""Seconds of unused rate that may be caught up, since nobody wakes up in time."""


class Pace:
    """Says when the next request to one host may be sent. Usable by several threads at once."""

    def __init__(
        self,
        rate: Rate,
        retry: Retry,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate, self._retry = rate, retry
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = self._paid = self._open = clock()
        self._refusals = 0

    def wait(self) -> None:
        """Until one request may be sent."""
        while (seconds := self._seconds_left()) > 0:
            self._sleep(min(seconds, GLANCE))

    def _seconds_left(self) -> float:
        """Until a request may be sent; at 0 it counts as sent."""
        with self._lock:
            now = self._clock()
            left = max(self._next, self._paid, self._open) - now
            if left <= 0 and self._rate.requests:
                self._next = max(self._next, now - SLACK) + _parts / self._rate.requests
            return left

    def carry(self, nbytes: int) -> None:
        """So many bytes have come or gone: the next request waits until the rate allows for them."""
        if self._rate.bytes:
            with self._lock:
                self._paid = max(self._paid, self._clock() - SLACK) + nbytes * _parts / self._rate.bytes

    def answered(self, status: int, seconds: float | None = None) -> None:
        """A request was answered; `seconds` is what Retry-After asks for."""
        if status in BUSY:
            self.slow(seconds)
        else:
            self._refusals = 0

    def slow(self, seconds: float | None = None) -> None:
        """Nobody sends a request for so long; None: twice as long each time, beginning as `retry` does. What refuses
        requests that were sent before the pause began does not prolong it."""
        with self._lock:
            now = self._clock()
            if seconds is None:
                if now < self._open:
                    return
                seconds = self._retry.wait * 2 ** min(self._refusals, 30)
                self._refusals += 1
            self._open = max(self._open, now + min(seconds, self._retry.max_wait))


_paces: WeakValueDictionary[tuple[str, Rate, Retry], Pace] = WeakValueDictionary()
_lock = threading.Lock()
_parts = 1


def pace_of(host: str, rate: Rate, retry: Retry) -> Pace:
    """One for all that this process sends to a host under the same limits: both ends of a job may be there."""
    with _lock:
        key = (host, rate, retry)
        pace = _paces.get(key)
        if pace is None:
            pace = _paces[key] = Pace(rate, retry)
        return pace


def share(job: Job) -> Rate:
    """What one shard of a job may ask for: all of them are taken to run at once."""
    rate, count = job.parallel.rate, job.shard.count
    return Rate(rate.requests and rate.requests / count, rate.bytes and ByteSize(-(-rate.bytes // count)))


def divide(parts: int) -> None:
    """From now on this process is one of so many that share the rate of a run."""
    global _parts
    _parts = max(1, parts)
