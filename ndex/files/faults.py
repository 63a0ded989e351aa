"""Errors of the file system, in the words of ndex."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import JobError, PermanentError, TransientError

PASSING = {
    getattr(errno, name)
    for name in (
        *("EAGAIN", "EBUSY", "EINTR", "EIO", "EMFILE", "ENFILE", "ESTALE", "ETIMEDOUT"),
        *("ECONNRESET", "ECONNABORTED", "ENETDOWN", "ENETRESET", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH"),
    )
    if hasattr(errno, name)
}
"""What a network file system says when it hiccups."""
FULL = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS") if hasattr(errno, name)}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """OSErrors in the block become errors of ndex; `what` is the file or folder, as a person would name it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in PASSING:
            raise TransientError(f"{what}: {reason}.") from error
        if error.errno in FULL:
            raise JobError(f"{what} cannot be written: {reason}. Make room or choose another destination.") from error
        raise PermanentError(f"{what}: {reason}.") from error
