"""A local file while it is written, and what killed runs leave of such."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import time
import zlib
from pathlib import Path
from typing import IO

from .faults import translated

ABANDONED = 86_400
"""Seconds after which a draft that nobody has touched belongs to a run that is gone."""
DRAFT = re.compile(r"\..*~(?P<stamp>[^~-]*)-(?P<host>[0-9a-f]+)-(?P<pid>\d+)-[0-9a-f]+\.part")


class LocalDraft:
    """A file while it is written: hidden, in the folder of the final one, named after the process that writes it."""

    def __init__(self, final: Path, stamp: str) -> None:
        self.final = str(final)
        self._final = final
        tag = f"{stamp[:16]}-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.path = final.with_name(f".{final.name}~{tag}.part")
        """Where the bytes are until then."""
        with translated(self.final):
            self.file: IO[bytes] = open(self.path, "xb")  # noqa: SIM115 - closed by publish and discard

    def complete(self) -> None:
        """After this the data survive a power cut."""
        with translated(self.final):
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()

    def publish(self) -> None:
        """Give the file its name, in place of one that had it."""
        with translated(self.final):
            os.replace(self.path, self._final)

    def discard(self) -> None:
        """Leave nothing behind; harmless after `publish`."""
        with contextlib.suppress(OSError):  # closing writes what is buffered, which fails again on a full disk
            self.file.close()
        self.path.unlink(missing_ok=True)


def is_abandoned(entry: os.DirEntry[str], stamp: str) -> bool:
    """Whether this is a draft with this stamp that nobody writes any more."""
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
