"""The file of a stack while tasks of several threads, processes and machines write it, before it gets its name."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock

from ...errors import PermanentError
from ...files import Folder, translated
from .bigtiff import BigTiff

SUFFIX = ".stack"
"""Of a hidden file beside the final one."""


class SharedDraft:
    """One file for all shards of a job, named after its stamp. It is found again after a crash, with all planes that
    were entered in it."""

    def __init__(self, final: Path, stamp: str) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}~{stamp[:16]}{SUFFIX}")
        self._guard = self.path.with_name(self.path.name + ".lock")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """For what only one may do at a time: to begin, to grow and to name the file."""
        with translated(str(self.final)), FileLock(str(self._guard)):
            yield

    def exists(self) -> bool:
        return self.path.exists()

    def current(self) -> Path:
        """The file that has the planes now."""
        return self.path if self.exists() else self.final

    def begin(self, form: BigTiff, folder: Folder, stamp: str) -> None:
        """Make the file; all at once, as a crash half-way would leave something else. Under the lock."""
        draft = folder.draft(self.path.name, stamp)
        try:
            with translated(str(self.final)):
                form.write_empty(draft.file)
            draft.complete()
            draft.publish()
        finally:
            draft.discard()

    def reopen(self) -> None:
        """Take the name away from the complete file, since some of its planes are going to be written again. Under
        the lock."""
        os.replace(self.final, self.path)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        with translated(str(self.final)), open(self.path, "r+b") as file:
            yield file

    def grow(self, file: IO[bytes], nbytes: int) -> int:
        """Room at the end of the file, for the caller alone; returns where."""
        with self.lock():
            start = file.seek(0, os.SEEK_END)
            start += start % 2
            file.truncate(start + nbytes)
            return start

    def publish(self, form: BigTiff, folder: Folder) -> None:
        """Give the complete file its name. Under the lock. Raises PermanentError when it is not complete."""
        with self.open() as file:
            missing = sum(1 for _ in form.missing(file))
            if missing:
                raise PermanentError(
                    f"{self.final}: {missing:,} of {form.pages:,} planes were never written, or were lost. Run the job "
                    "again, each of its shards."
                )
            sync(file)
        os.replace(self.path, self.final)
        folder.sync()

    def forget(self) -> None:
        """Remove what guards the file; who waits for it finds the work done."""
        with contextlib.suppress(OSError):  # on Windows, when another process waits for it
            self._guard.unlink(missing_ok=True)


def drafts_of_others(final: Path, own: Path) -> list[Path]:
    """What other jobs have begun under the same name."""
    found = final.parent.glob(f".{glob.escape(final.name)}~*{SUFFIX}") if final.parent.is_dir() else []
    return sorted(path for path in found if path != own)


def sync(file: IO[bytes]) -> None:
    """What was written survives a power cut."""
    file.flush()
    os.fsync(file.fileno())
