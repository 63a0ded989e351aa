"""What a place of named bytes offers, wherever it is: a folder, a bucket, a web server."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import IO, NamedTuple, Protocol, runtime_checkable


class Page(NamedTuple):
    """A part of the names in a place."""

    names: list[str]
    """In no order."""
    next: str | None = None
    """Where to go on; None: nothing is left."""


class Files(Protocol):
    """A place to fetch whole files from.

    Errors name the file or the setting. Nothing here is tried again: who asks knows how patient the job is. A file
    that does not exist is a PermanentError, and one that may not be read an AccessError.
    """

    @property
    def key(self) -> str:
        """The setting it comes from, for messages."""
        ...

    def __str__(self) -> str: ...

    def where(self, name: str) -> str:
        """A file of the place, as a person would name it."""
        ...

    def resolved(self) -> str:
        """The same text for the same place, by whatever way it was named; without secrets."""
        ...

    def fetch(self, name: str, limit: int) -> bytes:
        """A whole file. Raises DamagedData when it has more than `limit` bytes."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Place(Files, Protocol):
    """A place whose files can be listed, read in parts, and written."""

    @property
    def is_remote(self) -> bool:
        """Whether most of the time goes into waiting, so that several files at once are faster than one."""
        ...

    def below(self, folder: str) -> Place:
        """A folder in it, with `/` between its parts; "" is the place itself."""
        ...

    def exists(self) -> bool:
        """Whether there is anything of that name. Raises JobError when it is something else, or cannot be reached."""
        ...

    def page(self, after: str | None = None, deep: bool = False) -> Page:
        """Names of the files, hidden ones left out; `after` is what the page before gave as `next`. With `deep` also
        those in folders below, as `a/b.tif`. Raises Missing when there is no such place."""
        ...

    def holds(self, name: str) -> bool: ...

    def stamp_of(self, name: str) -> str | None:
        """The stamp with which a file was written, where the place keeps it beside the bytes."""
        ...

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file to read in any order; errors while it is open are those of ndex too."""
        ...

    def check_writable(self) -> None:
        """Raises JobError when it is certain that nothing can be written here."""
        ...

    def room(self) -> int | None:
        """Bytes that are free; None: no limit is known."""
        ...

    def create(self) -> None: ...

    def draft(self, name: str, stamp: str) -> Draft:
        """A file that gets its name only when it is complete."""
        ...

    def sync(self) -> None:
        """Make the names given since the last call survive a power cut, where the place can."""
        ...

    def sweep(self, stamp: str) -> int:
        """Remove drafts that killed runs with this stamp left behind; returns how many."""
        ...


class Draft(Protocol):
    """A file while it is written."""

    final: str
    """Where it will be, for messages."""
    file: IO[bytes]

    def complete(self) -> None:
        """No more bytes will come; those that came are safe on the disk."""
        ...

    def publish(self) -> None:
        """Give the complete file its name, in place of one that had it. May be tried again."""
        ...

    def discard(self) -> None:
        """Leave nothing behind; harmless after `publish`."""
        ...
