"""A folder of this machine, or of a network file system that it has mounted."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import DamagedData, JobError, Missing, PermanentError, TransientError
from .draft import LocalDraft, is_abandoned
from .faults import translated
from .place import Page


@dataclass(frozen=True)
class Folder:
    """A local folder; `key` is the setting it comes from, for messages."""

    path: Path
    key: str

    @classmethod
    def named(cls, text: str, key: str) -> Folder:
        """The folder of a setting. Raises JobError for an address of something else."""
        if "://" in text:
            raise JobError(f"{key}={text}: only local folders can be used.")
        return cls(Path(text).expanduser(), key)

    @property
    def is_remote(self) -> bool:
        return False

    def __str__(self) -> str:
        return str(self.path)

    def where(self, name: str) -> str:
        return str(self.path / name)

    def resolved(self) -> str:
        """The same text for the same folder, by whatever way it was named."""
        return os.path.normcase(self.path.resolve())

    def below(self, folder: str) -> Folder:
        return Folder(self.path / folder, self.key)

    def exists(self) -> bool:
        """Raises JobError when there is something else of that name."""
        if self.path.exists() and not self.path.is_dir():
            raise JobError(f"{self.key}={self.path} is a file, not a folder.")
        return self.path.exists()

    def page(self, after: str | None = None, deep: bool = False) -> Page:
        """All names at once. Raises Missing when there is no such folder."""
        if not self.exists():
            raise Missing(f"{self.key}={self.path}: there is no such folder.")
        with translated(f"{self.key}={self.path}"):
            return Page(list(self._names_below("") if deep else self._names("", os.DirEntry.is_file)))

    def _names(self, folder: str, chosen: Callable[[os.DirEntry[str]], bool]) -> Iterator[str]:
        with os.scandir(self.path / folder) as entries:
            yield from (entry.name for entry in entries if not entry.name.startswith(".") and chosen(entry))

    def _names_below(self, folder: str) -> Iterator[str]:
        yield from (folder + name for name in self._names(folder, os.DirEntry.is_file))
        for inner in self._names(folder, os.DirEntry.is_dir):
            yield from self._names_below(f"{folder}{inner}/")

    def holds(self, name: str) -> bool:
        return (self.path / name).exists()

    def stamp_of(self, name: str) -> None:
        """Files keep nothing beside their bytes."""

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file of the folder, to read; errors while it is open are translated as well. Raises TransientError when
        something wrote to it in the meantime."""
        path = self.path / name
        with translated(str(path)), open(path, "rb") as file:
            before = _state(file)
            yield file
            if _state(file) != before:
                raise TransientError(f"{path} changed while it was read.")

    def fetch(self, name: str, limit: int) -> bytes:
        with self.open(name) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise DamagedData(f"{self.where(name)} has more than {limit:,} bytes, which cannot be.")
        return data

    def create(self) -> None:
        if not self.exists():
            with _as_job_error(self.key), translated(f"{self.key}={self.path}"):
                self.path.mkdir(parents=True, exist_ok=True)

    def check_writable(self) -> None:
        """Raises JobError when nothing can be created in the nearest folder that exists."""
        nearest = self._nearest()
        if not nearest.is_dir():
            raise JobError(f"{self.key}={self.path}: {nearest} is a file, not a folder.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise JobError(f"{self.key}={self.path}: nothing can be written in {nearest}. Change its permissions.")

    def room(self) -> int:
        with translated(str(self.path)):
            return shutil.disk_usage(self._nearest()).free

    def _nearest(self) -> Path:
        """The folder itself, or the nearest one above it that exists."""
        return next(folder for folder in (self.path.absolute(), *self.path.absolute().parents) if folder.exists())

    def draft(self, name: str, stamp: str) -> LocalDraft:
        """A file that gets its name only when it is complete."""
        return LocalDraft(self.path / name, stamp)

    def sync(self) -> None:
        """Make the names given since the last call survive a power cut, where the system can."""
        with contextlib.suppress(OSError):  # Windows opens no folders; there the name is durable with the file
            handle = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def sweep(self, stamp: str) -> int:
        """Remove drafts that killed runs with this stamp left behind; returns how many."""
        with translated(str(self.path)), os.scandir(self.path) as entries:
            left = [entry for entry in entries if is_abandoned(entry, stamp)]
        for entry in left:
            with contextlib.suppress(OSError):  # of another user, or, on Windows, open: then it is not ours to remove
                os.unlink(entry.path)
        return len(left)

    def close(self) -> None:
        """Nothing is kept open."""


def _state(file: IO[bytes]) -> tuple[int, int]:
    """What changes with every write: size and time."""
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


@contextmanager
def _as_job_error(key: str) -> Iterator[None]:
    try:
        yield
    except PermanentError as error:
        raise JobError(f"{error} Change {key} or its permissions.") from error
