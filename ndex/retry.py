"""The one retry policy: transient errors only, with backoff and jitter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from .errors import ServerError, TransientError
from .job import Retry

T = TypeVar("T")
log = logging.getLogger("ndex")

SERVER_ERROR_TRIES = 4
"""A 500 of a BOSS may be deterministic (boss-api 3.3, 12.3), so it is tried 3 to 5 times, not for an hour."""


def with_retry(policy: Retry, work: Callable[[], T]) -> T:
    """The result of `work`, tried again after transient errors. Raises the last error when the tries are used up.

    `stamina.set_testing(True)` takes the waiting out in tests.
    """
    try:
        return work()
    except TransientError as error:
        return _again(policy, work, error)


def _again(policy: Retry, work: Callable[[], T], first: TransientError) -> T:
    """What follows a `first` try that has failed. Most work succeeds, and needs none of what this has to import."""
    import stamina

    failed = [first]
    server_errors = 0

    def wait(error: Exception) -> bool | float:
        nonlocal server_errors
        if isinstance(error, ServerError):
            server_errors += 1
            if server_errors >= SERVER_ERROR_TRIES:
                return False
        if not isinstance(error, TransientError):
            return False
        log.warning("failed for now: %s", error)
        return True if error.retry_after is None else min(error.retry_after, policy.max_wait)

    for attempt in stamina.retry_context(
        on=wait,
        attempts=policy.attempts,
        timeout=None,
        wait_initial=policy.wait,
        wait_max=policy.max_wait,
        wait_jitter=policy.wait,
    ):
        with attempt:
            if failed:
                raise failed.pop()
            return work()
    raise AssertionError("stamina re-raises the last error")


def seconds_to_wait(retry_after: str | None) -> float | None:
    """Seconds of a `Retry-After` header, which holds a number or a date; None for anything else."""
    if not retry_after:
        return None
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry as Headers

    try:
        return float(Headers().parse_retry_after(retry_after))
    except (InvalidHeader, ValueError, OverflowError):
        return None
