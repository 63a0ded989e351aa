"""Several requests at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")

GLANCE = 1.0
"""Seconds after which a wait is begun anew: a signal that comes in the moment before one begins is seen only after."""


def for_each(work: Callable[[T], None], items: Iterable[T], at_once: int) -> None:
    """Do `work` for every item, `at_once` of them at a time. After an error no further item is begun.

    Raises the first error. Nothing runs any more when this returns or raises: what had begun is waited for, unless
    this thread is interrupted.
    """
    errors: list[BaseException] = []

    def attempt(item: T) -> None:
        if errors:
            return
        try:
            work(item)
        except BaseException as error:
            errors.append(error)

    pool = ThreadPoolExecutor(at_once)
    try:
        under_way = {pool.submit(attempt, item) for item in items}
        while under_way:
            under_way = wait(under_way, GLANCE).not_done
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    if errors:
        raise errors[0]
