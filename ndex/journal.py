"""What is done, durably: one SQLite file per job and shard, written by one process.

All shards of a job share a folder, `<journal>/<name>-<stamp>/`, and count what the others have done as done: a job
can be cut into another number of shards half-way. SQLite's write-ahead log is not used, since it needs shared memory
and a journal may lie on a network file system.

A task is written here only after its voxels are durable at the destination, and it is reported only after it is
durable here. What a crash forgets, tasks under way, is transferred again to the same effect.
"""

from __future__ import annotations

import sqlite3
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import JobError, NdexError, PermanentError
from .events import TaskDone, TaskFailed
from .job import Shard

BUSY_SECONDS = 30.0
"""Another shard may be committing."""

Row = tuple[object, ...]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS done (task INTEGER PRIMARY KEY, checksums BLOB NOT NULL, verified INTEGER NOT NULL,
                                 at REAL NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS failed (task INTEGER PRIMARY KEY, reason TEXT NOT NULL, at REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Record:
    """What the journal knows of one finished task."""

    packed: bytes
    verified: bool
    at: float
    """Seconds since the epoch."""

    @property
    def checksums(self) -> tuple[int, ...]:
        """CRC-32 of each block as it was written."""
        return struct.unpack(f"<{len(self.packed) // 4}I", self.packed)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed when it was last tried."""

    reason: str
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class ShardState:
    """What one shard's file says, for `action: status`."""

    name: str
    done: int
    failed: int
    last_seen: float | None
    """Seconds since the epoch of the last task."""


class Journal:
    """The journal of one shard while it runs. Use as a context manager: it holds a claim on the shard.

    Raises JobError when another run holds the claim, or when nothing can be written there.
    """

    def __init__(self, folder: Path, shard: Shard) -> None:
        self.path = folder / f"shard-{shard.index}-of-{shard.count}.sqlite"
        self._claim = FileLock(str(self.path) + ".lock", timeout=0)

    def __enter__(self) -> Journal:
        with _translated(self.path, JobError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._claim.acquire()
            except Timeout:
                raise JobError(
                    f"Another run of this job is under way: it holds {self.path}. Wait for it to end."
                ) from None
            try:
                self._db = self._open()
            except BaseException:
                self._claim.release()
                raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._db.close()
        finally:
            self._claim.release()

    def _open(self) -> sqlite3.Connection:
        """The database; one that a crash has damaged is put aside, and what it surely says is kept."""
        rescued: list[Row] = []
        if self.path.exists() and not _is_sound(self.path):
            rescued = _sealed_rows(self.path)
            self.path.replace(self.path.with_suffix(".damaged"))
        db = sqlite3.connect(self.path, timeout=BUSY_SECONDS)
        db.executescript("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;" + _SCHEMA)
        db.executemany("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?, ?)", rescued)
        db.commit()
        return db

    def describe(self, facts: dict[str, str]) -> None:
        """Keep what the job was, so that a journal can be read without it. Raises JobError when that cannot be."""
        with _translated(self.path, JobError):
            self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
            self._db.commit()

    def keep_job(self, text: str) -> None:
        """Keep the job file that repeats the run, beside the journal. Raises JobError when that cannot be."""
        path, partial = job_file(self.path.parent), self.path.with_suffix(".partial")
        with _translated(self.path, JobError):
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)

    def keep(self, outcome: TaskDone | TaskFailed) -> None:
        """Write down how a task ended. One that is done must be durable at the destination already.

        Raises PermanentError when that cannot be.
        """
        with _translated(self.path, PermanentError):
            if isinstance(outcome, TaskDone):
                self._done(outcome)
            else:
                self._failed(outcome)
            self._db.commit()

    def _done(self, event: TaskDone) -> None:
        sums = struct.pack(f"<{len(event.checksums)}I", *event.checksums)
        row = (event.index, sums, int(event.verified), time.time())
        self._db.execute("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?, ?)", (*row, _seal(row)))
        self._db.execute("DELETE FROM failed WHERE task = ?", (event.index,))

    def _failed(self, event: TaskFailed) -> None:
        self._db.execute("DELETE FROM done WHERE task = ?", (event.index,))
        self._db.execute("INSERT OR REPLACE INTO failed VALUES (?, ?, ?)", (event.index, event.reason, time.time()))


@contextmanager
def _translated(path: Path, kind: type[NdexError]) -> Iterator[None]:
    """What the system says of the journal at `path`, in an error of ndex."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise kind(
            f"journal={path.parent.parent}: {path} cannot be used: {reason}. Mend that, or name another folder."
        ) from error


def folder_of(journals: Path, name: str, stamp: str) -> Path:
    """Where the journal files of a job lie."""
    return journals / f"{name}-{stamp}"


def job_file(folder: Path) -> Path:
    """The job of a journal as it was last run."""
    return folder / "job.yaml"


def folders(journals: Path, name: str) -> list[Path]:
    """The journals of all jobs of this name, the newest first."""
    return sorted(journals.glob(f"{name}-*"), key=lambda folder: folder.stat().st_mtime, reverse=True)


def records(folder: Path) -> dict[int, Record]:
    """The finished tasks of all shards, by index. A task that failed later than it was done is not among them."""
    return _last_words(folder)[0]


def failures(folder: Path) -> dict[int, Failure]:
    """The tasks of all shards that failed when they were last tried, by index, in order."""
    return dict(sorted(_last_words(folder)[1].items()))


def _last_words(folder: Path) -> tuple[dict[int, Record], dict[int, Failure]]:
    """What the journals of all shards say last of each task that was tried: done or failed."""
    done: dict[int, Record] = {}
    failed: dict[int, Failure] = {}
    for _, db in _databases(folder):
        for task, sums, verified, at in db.execute("SELECT task, checksums, verified, at FROM done"):
            if task not in done or at > done[task].at:
                done[task] = Record(sums, bool(verified), at)
        for task, reason, at in db.execute("SELECT task, reason, at FROM failed"):
            if task not in failed or at > failed[task].at:
                failed[task] = Failure(reason, at)
    for task in done.keys() & failed.keys():
        if failed[task].at > done[task].at:
            del done[task]
        else:
            del failed[task]
    return done, failed


def states(folder: Path) -> list[ShardState]:
    """One state for each shard that ever ran."""
    return [_state(path, db) for path, db in _databases(folder)]


def facts(folder: Path) -> dict[str, str]:
    """What the first shard kept by `Journal.describe`."""
    return next((dict(db.execute("SELECT key, value FROM facts")) for _, db in _databases(folder)), {})


def _state(path: Path, db: sqlite3.Connection) -> ShardState:
    (done,), (failed,) = (db.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("done", "failed"))
    (last,) = db.execute("SELECT max(at) FROM (SELECT at FROM done UNION ALL SELECT at FROM failed)").fetchone()
    return ShardState(path.stem, done, failed, last)


def _databases(folder: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """Every sound journal of a job, opened for reading."""
    for path in sorted(folder.glob("shard-*.sqlite")):
        with _translated(path, JobError):
            sound = _is_sound(path)
        if sound:
            with closing(_connect(path)) as db:
                yield path, db


def _connect(path: Path) -> sqlite3.Connection:
    """An existing database. Not read-only: after a crash, SQLite has to roll an unfinished commit back first."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS)


def _is_sound(path: Path) -> bool:
    """Whether the file can be believed. Raises OperationalError when it cannot be looked at: locked, no room to roll
    back, no permission."""
    try:
        with closing(_connect(path)) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            return {"facts", "done", "failed"} <= tables and db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False


def _seal(row: Row) -> int:
    """A checksum of the row itself, so that rows of a damaged file can be believed one by one."""
    return zlib.crc32(repr(row).encode())


def _sealed_rows(path: Path) -> list[Row]:
    """The finished tasks of a damaged file, up to where it cannot be read any more."""
    rows: list[Row] = []
    try:
        with closing(_connect(path)) as db:
            for *row, seal in db.execute("SELECT * FROM done"):
                if _seal(tuple(row)) == seal:
                    rows.append((*row, seal))
    except sqlite3.DatabaseError:
        return rows
    return rows
