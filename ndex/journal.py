"""What is done, durably: one SQLite file per job and shard, written by one process.

All shards of a job share a folder, `<journal>/<name>-<stamp>/`, and count what the others have done as done: a job
can be cut into another number of shards half-way. SQLite's write-ahead log is not used, since it needs shared memory
and a journal may lie on a network file system.

A task is written here only after its voxels are durable at the destination. Commits are grouped, so a crash forgets
at most the tasks of the last `COMMIT_SECONDS`; they are transferred again, to the same effect.
"""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import JobError
from .events import TaskDone, TaskFailed
from .job import Shard

COMMIT_SECONDS = 0.2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS done (task INTEGER PRIMARY KEY, checksums BLOB NOT NULL, empty INTEGER NOT NULL,
                                 filled INTEGER NOT NULL, verified INTEGER NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS failed (task INTEGER PRIMARY KEY, reason TEXT NOT NULL, at REAL NOT NULL);
"""


@dataclass(frozen=True)
class Record:
    """What the journal knows of one finished task."""

    task: int
    checksums: tuple[int, ...]
    """CRC-32 of each block as it was written."""
    verified: bool


@dataclass(frozen=True)
class ShardState:
    """What one shard's file says, for `action: status`."""

    name: str
    done: int
    failed: dict[int, str]
    last_seen: float | None
    """Seconds since the epoch of the last task."""


class Journal:
    """The journal of one shard while it runs. Use as a context manager: it holds a claim on the shard.

    Raises JobError when another run holds the claim.
    """

    def __init__(self, folder: Path, shard: Shard) -> None:
        self.path = folder / f"shard-{shard.index}-of-{shard.count}.sqlite"
        self._claim = FileLock(str(self.path) + ".lock", timeout=0)
        self._last_commit = 0.0

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._claim.acquire()
        except Timeout:
            raise JobError(f"Another run of this job is under way: it holds {self.path}. Wait for it to end.") from None
        try:
            self._db = self._open()
        except BaseException:
            self._claim.release()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._db.commit()
            self._db.close()
        finally:
            self._claim.release()

    def _open(self) -> sqlite3.Connection:
        """The database; one that a crash has damaged is put aside and what can be read of it is kept."""
        rescued: list[tuple[object, ...]] = []
        if self.path.exists() and not _is_sound(self.path):
            rescued = _readable_rows(self.path)
            self.path.replace(self.path.with_suffix(".damaged"))
        db = sqlite3.connect(self.path)
        db.executescript("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;" + _SCHEMA)
        db.executemany("INSERT OR IGNORE INTO done VALUES (?, ?, ?, ?, ?, ?)", rescued)
        db.commit()
        return db

    def describe(self, facts: dict[str, str]) -> None:
        """Keep what the job was, so that a journal can be read without it."""
        self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
        self._db.commit()

    def done(self, event: TaskDone) -> None:
        """The task's voxels are durable at the destination."""
        sums = struct.pack(f"<{len(event.checksums)}I", *event.checksums)
        row = (event.index, sums, event.empty, len(event.filled), event.verified, time.time())
        self._db.execute("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?, ?, ?)", row)
        self._db.execute("DELETE FROM failed WHERE task = ?", (event.index,))
        self._commit_now_and_then()

    def failed(self, event: TaskFailed) -> None:
        self._db.execute("DELETE FROM done WHERE task = ?", (event.index,))
        self._db.execute("INSERT OR REPLACE INTO failed VALUES (?, ?, ?)", (event.index, event.reason, time.time()))
        self._commit_now_and_then()

    def _commit_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._last_commit >= COMMIT_SECONDS:
            self._db.commit()
            self._last_commit = now


def folder_of(journals: Path, name: str, stamp: str) -> Path:
    """Where the journal files of a job lie."""
    return journals / f"{name}-{stamp}"


def done_tasks(folder: Path) -> set[int]:
    """Indexes of the tasks that any shard has finished."""
    return {task for db in _databases(folder) for (task,) in db.execute("SELECT task FROM done")}


def records(folder: Path) -> dict[int, Record]:
    """Everything known of the finished tasks, by index."""
    rows = (row for db in _databases(folder) for row in db.execute("SELECT task, checksums, verified FROM done"))
    return {
        task: Record(task, struct.unpack(f"<{len(sums) // 4}I", sums), bool(verified)) for task, sums, verified in rows
    }


def states(folder: Path) -> list[ShardState]:
    """One state for each shard that ever ran."""
    return [_state(path, db) for path, db in _open_all(folder)]


def _state(path: Path, db: sqlite3.Connection) -> ShardState:
    (done, last) = db.execute("SELECT count(*), max(at) FROM done").fetchone()
    return ShardState(path.stem, done, dict(db.execute("SELECT task, reason FROM failed ORDER BY task")), last)


def _databases(folder: Path) -> Iterable[sqlite3.Connection]:
    return (db for _, db in _open_all(folder))


def _open_all(folder: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """Every readable journal of a job, opened for reading."""
    for path in sorted(folder.glob("shard-*.sqlite")):
        if _is_sound(path):
            with closing(_read_only(path)) as db:
                yield path, db


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)


def _is_sound(path: Path) -> bool:
    try:
        with closing(_read_only(path)) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            return {"done", "failed"} <= tables and db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.DatabaseError:
        return False


def _readable_rows(path: Path) -> list[tuple[object, ...]]:
    """The finished tasks of a damaged file, up to where it cannot be read any more."""
    rows: list[tuple[object, ...]] = []
    try:
        with closing(_read_only(path)) as db:
            rows.extend(db.execute("SELECT * FROM done"))
    except sqlite3.DatabaseError:
        return rows
    return rows
