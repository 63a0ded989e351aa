"""Everything that ndex raises on purpose.

NdexError
|-- JobError               the job cannot work as it is written: exit code 2, nothing is tried again
|   |-- AccessError        a token is missing, refused, or may not do what is asked
|   `-- Missing            a channel, folder or file that the job names does not exist
`-- TransferError          one piece of work failed; the others go on: exit code 1
    |-- TransientError     may pass by itself: tried again as `retry` says
    |   |-- ServerError    a 500: tried again a few times only, it may be deterministic
    |   `-- Unreachable    nobody answers at all
    `-- PermanentError     will not pass by itself
        |-- DamagedData    a file or an answer that is not what it claims to be
        `-- Differing      what is at the destination is not what belongs there

Errors of other libraries are translated into these where they are first seen. The text of each is one or two
sentences that name the key, the value and the remedy; it never holds a secret.
"""

from __future__ import annotations


class NdexError(Exception):
    """Base of all errors that are not bugs."""


class JobError(NdexError):
    """The job cannot work as it is written."""


class AccessError(JobError):
    """A token is missing or refused, or a permission is lacking."""


class Missing(JobError):
    """Something that the job names does not exist."""


class TransferError(NdexError):
    """One piece of work failed."""


class TransientError(TransferError):
    """A failure that may pass by itself."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the other side asks to wait, if it does."""

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.retry_after)


class ServerError(TransientError):
    """The other side failed in a way that may be deterministic."""


class Unreachable(TransientError):
    """No connection to the other side."""


class PermanentError(TransferError):
    """A failure that will not pass by itself."""


class DamagedData(PermanentError):
    """Bytes that are not what they claim to be."""


class Differing(PermanentError):
    """The destination does not hold what belongs there."""
