"""A folder of files as a place to read from and to write to, with errors of the system put into words."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import JobError, Missing, PermanentError, TransientError

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
ABANDONED = 86_400
"""Seconds after which a draft that nobody has touched belongs to a run that is gone."""


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

    def __str__(self) -> str:
        return str(self.path)

    def resolved(self) -> str:
        """The same text for the same folder, by whatever way it was named."""
        return os.path.normcase(self.path.resolve())

    def exists(self) -> bool:
        """Raises JobError when there is something else of that name."""
        if self.path.exists() and not self.path.is_dir():
            raise JobError(f"{self.key}={self.path} is a file, not a folder.")
        return self.path.exists()

    def names(self) -> list[str]:
        """Names of the files in it, hidden ones left out, in no order. Raises Missing when there is no such folder."""
        if not self.exists():
            raise Missing(f"{self.key}={self.path}: there is no such folder.")
        with translated(f"{self.key}={self.path}"), os.scandir(self.path) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()]

    def holds(self, name: str) -> bool:
        return (self.path / name).exists()

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file of the folder, to read; errors while it is open are translated as well."""
        with translated(str(self.path / name)), open(self.path / name, "rb") as file:
            yield file

    def create(self) -> None:
        if not self.exists():
            with _as_job_error(self.key), translated(f"{self.key}={self.path}"):
                self.path.mkdir(parents=True, exist_ok=True)

    def check_writable(self) -> Path:
        """The nearest folder that exists. Raises JobError when nothing can be created in it."""
        nearest = next(folder for folder in (self.path.absolute(), *self.path.absolute().parents) if folder.exists())
        if not nearest.is_dir():
            raise JobError(f"{self.key}={self.path}: {nearest} is a file, not a folder.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise JobError(f"{self.key}={self.path}: nothing can be written in {nearest}. Change its permissions.")
        return nearest

    def draft(self, name: str, stamp: str) -> Draft:
        """A file that gets its name only when it is complete."""
        return Draft(self, name, stamp)

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
            left = [entry for entry in entries if _abandoned(entry, stamp)]
        for entry in left:
            with contextlib.suppress(OSError):  # of another user, or, on Windows, open: then it is not ours to remove
                os.unlink(entry.path)
        return len(left)


class Draft:
    """A file while it is written: hidden, in the folder of the final one, named after the process that writes it."""

    def __init__(self, folder: Folder, name: str, stamp: str) -> None:
        self.final = folder.path / name
        tag = f"{stamp[:16]}-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._draft = folder.path / f".{name}~{tag}.part"
        with translated(str(self.final)):
            self.file = open(self._draft, "xb")  # noqa: SIM115 - closed by publish and discard

    def publish(self) -> None:
        """Give the file its name, in place of one that had it; after this the data survive a power cut."""
        with translated(str(self.final)):
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self._draft, self.final)

    def discard(self) -> None:
        """Leave nothing behind; harmless after `publish`."""
        with contextlib.suppress(OSError):  # closing writes what is buffered, which fails again on a full disk
            self.file.close()
        self._draft.unlink(missing_ok=True)


DRAFT = re.compile(r"\..*~(?P<stamp>[^~-]*)-(?P<host>[0-9a-f]+)-(?P<pid>\d+)-[0-9a-f]+\.part")


def _abandoned(entry: os.DirEntry[str], stamp: str) -> bool:
    match = DRAFT.fullmatch(entry.name)
    if match is None or match["stamp"] != stamp[:16]:
        return False
    if match["host"] == _host() and _is_gone(int(match["pid"])):
        return True
    try:
        return time.time() - entry.stat().st_mtime > ABANDONED
    except FileNotFoundError:
        return False


def _is_gone(pid: int) -> bool:
    """Whether no process has this number; False where it cannot be asked: on Windows, signal 0 would end it."""
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _host() -> str:
    """This machine, short enough for a file name."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


@contextmanager
def _as_job_error(key: str) -> Iterator[None]:
    try:
        yield
    except PermanentError as error:
        raise JobError(f"{error} Change {key} or its permissions.") from error
