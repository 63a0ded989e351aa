"""Several requests at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

GLANCE = 1.0
"""Seconds after which a wait is begun anew: a signal that comes in the moment before one begins is seen only after."""


class Several:
    """Calls that are done at the same time."""

    def __init__(self, pool: ThreadPoolExecutor, number: Callable[[], int]) -> None:
        self._pool, self._number = pool, number
        self._under_way: list[Future[object]] = []

    def do(self, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have `work` done; waits as long as enough is under way. Raises the error of a call before it instead."""
        self.make_room()
        self._under_way.append(self._pool.submit(work, *args, **kwargs))

    def make_room(self) -> None:
        """Wait until a further call may begin. Raises the error of a call before it."""
        self._wait_for_all_but(self._number() - 1)

    def finish(self) -> None:
        """Wait for what is under way. Raises the error of the first call that has one."""
        self._wait_for_all_but(0)

    def _wait_for_all_but(self, left: int) -> None:
        while len(self._under_way) > left:
            done, _ = wait(self._under_way, GLANCE, FIRST_COMPLETED)
            if any(call.exception() for call in done):
                self._raise_first_error()
            self._under_way = [call for call in self._under_way if call not in done]

    def _raise_first_error(self) -> None:
        """Of all that is under way, so that the same failures give the same error."""
        while wait(self._under_way, GLANCE).not_done:
            pass  # a signal is seen between two waits
        for call in self._under_way:
            call.result()


@contextmanager
def several(most: int, now: Callable[[], int] | None = None) -> Iterator[Several]:
    """Up to `most` calls at once, and not more than `now()` says. All have ended when this is left: after an error no
    further one is begun, and those under way are waited for, unless this thread is interrupted."""
    with threads(most) as pool:
        calls = Several(pool, lambda: min(most, now()) if now else most)
        yield calls
        calls.finish()


@contextmanager
def threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that are waited for at the end, unless this one is interrupted."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    except Exception:
        pool.shutdown(cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown(cancel_futures=True)


def for_each(work: Callable[[T], object], items: Iterable[T], at_once: int) -> None:
    """Do `work` for every item, `at_once` of them at a time. Raises the first error, as `several` does."""
    if at_once == 1:
        for item in items:
            work(item)
        return
    with several(at_once) as calls:
        for item in items:
            calls.do(work, item)
