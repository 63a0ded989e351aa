"""Who works on something in a folder that machines share, and whether they still do.

No server is asked for it, and no lock of another machine is believed.

A claim is a file that only one process can make. Its owner touches it every half a minute. It is over when the owner

- is a process of this machine that is gone: known by number and time of birth, since numbers are given out again. The
  numbers of another container mean nothing here, and Windows is not asked: there, a lock on the claim tells, which
  the kernel lets go with the process;
- or, on another machine, has not touched it for five minutes by the clock of the file server.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

BEAT = 30.0
"""Seconds between two touches. A network file system may show them a minute late."""
STALE = 300.0
"""Seconds without a touch after which the owner is gone."""
_BEYOND = 1 << 40
"""Where Windows locks: nobody else can read what is locked there."""
_ENDED = "ended"


@dataclass(frozen=True)
class Owner:
    """A process, so that another one can tell whether it is gone."""

    host: str
    pid: int
    machine: str
    """The same for all processes of one kernel, until it is booted again."""
    numbers: str
    """The same for all processes among which a `pid` means the same."""
    born: str
    """When the process was; "" where that is not known."""
    locked: bool
    """Whether it holds a lock on its claim."""

    @staticmethod
    def me(locked: bool) -> Owner:
        pid = os.getpid()
        return Owner(socket.gethostname(), pid, _machine(), _numbers(), _born(pid), locked)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def from_json(text: bytes) -> Owner:
        return Owner(**json.loads(text))

    def is_gone(self, claim: Path) -> bool:
        """Whether the process has surely ended; False when that cannot be told from here."""
        if self.machine != _machine():
            return False
        if os.name == "posix" and self.numbers == _numbers():
            return not _lives(self.pid, self.born)
        return self.locked and _is_free(claim)


class Draft:
    """A claim before it has its name; `content` makes its first bytes. Raises OSError."""

    def __init__(self, folder: Path, content: Callable[[Owner], bytes]) -> None:
        self._content = content
        self._path = folder / f".{secrets.token_hex(8)}.claim"
        self.file = self._begun(self._path)
        """Where the owner goes on writing."""
        self.now = os.fstat(self.file.fileno()).st_mtime
        """The time by the clock of the file server, in seconds since the epoch."""

    def take(self, path: Path) -> bool:
        """Make this the claim of that name, unless there is one."""
        if os.name == "nt":
            return self._take_without_link(path)
        try:
            os.link(self._path, path)
        except FileExistsError:
            # A network file system may have lost its answer and asked again: then it is this one.
            return os.fstat(self.file.fileno()).st_nlink > 1
        except OSError:
            return self._take_without_link(path)
        return True

    def drop(self) -> None:
        """What is left of the draft; of a claim that was taken, its other name."""
        self._path.unlink(missing_ok=True)

    def _take_without_link(self, path: Path) -> bool:
        """For a moment, the claim does not say whose it is. Until it is old, it is somebody's."""
        try:
            file = self._begun(path)
        except FileExistsError:
            return False
        self.file.close()
        self.file = file
        return True

    def _begun(self, path: Path) -> IO[bytes]:
        file = path.open("xb", buffering=0)
        try:
            file.write(self._content(Owner.me(_locked(file))))
            os.fsync(file.fileno())
        except BaseException:
            file.close()
            path.unlink(missing_ok=True)
            raise
        return file


def age(claim: Path, now: float) -> float:
    """Seconds since the claim was touched. It is opened for that: a network file system may answer from memory
    otherwise. Raises OSError."""
    with claim.open("rb") as file:
        return now - os.fstat(file.fileno()).st_mtime


def make_durable(folder: Path) -> None:
    """After this, names in the folder survive a power cut, where the system can do that."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _machine() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


def _numbers() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _lives(pid: int, born: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    now = _born(pid)
    return now != _ENDED and (now == born or not now or not born)


def _born(pid: int) -> str:
    """When a process was born, in ticks of the kernel; of one that only waits for its parent to notice, that it ended.
    Fields are counted behind the name, which may hold blanks."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return _ENDED if fields[0] in "ZX" else fields[19]


def _is_free(claim: Path) -> bool:
    """Whether nobody on this machine holds the lock."""
    try:
        with claim.open("r+b") as file:
            return _locked(file)
    except OSError:
        return False


def _locked(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed. False when another process has, or where there are no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            end = file.seek(0, os.SEEK_END)
            file.seek(_BEYOND)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(end)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
