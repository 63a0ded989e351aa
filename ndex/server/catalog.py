"""Resources, metadata and id counters: rows of an SQLite file that several server processes may share.

The rollback journal is used, not WAL: the folder may lie on a network file system. It is truncated, not deleted,
after a transaction, which costs the disk half as much.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from .records import Channel, Experiment, Frame, Row

Table = Literal["collection", "frame", "experiment", "channel"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS collection (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE UNIQUE, description TEXT NOT NULL,
    public INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS frame (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE UNIQUE, description TEXT NOT NULL,
    x_start INTEGER NOT NULL, x_stop INTEGER NOT NULL, y_start INTEGER NOT NULL, y_stop INTEGER NOT NULL,
    z_start INTEGER NOT NULL, z_stop INTEGER NOT NULL,
    x_voxel_size REAL NOT NULL, y_voxel_size REAL NOT NULL, z_voxel_size REAL NOT NULL, voxel_unit TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS experiment (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE, description TEXT NOT NULL,
    public INTEGER NOT NULL, collection_id INTEGER NOT NULL REFERENCES collection, frame_id INTEGER NOT NULL
    REFERENCES frame, num_hierarchy_levels INTEGER NOT NULL, hierarchy_method TEXT NOT NULL,
    num_time_samples INTEGER NOT NULL, time_step INTEGER, time_step_unit TEXT NOT NULL,
    UNIQUE (collection_id, name));
CREATE TABLE IF NOT EXISTS channel (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE, description TEXT NOT NULL,
    public INTEGER NOT NULL, experiment_id INTEGER NOT NULL REFERENCES experiment, type TEXT NOT NULL,
    datatype TEXT NOT NULL, base_resolution INTEGER NOT NULL, default_time_sample INTEGER NOT NULL,
    downsample_status TEXT NOT NULL, storage_type TEXT NOT NULL, bucket TEXT, cv_path TEXT,
    next_id INTEGER NOT NULL DEFAULT 1, UNIQUE (experiment_id, name));
CREATE TABLE IF NOT EXISTS link (
    kind TEXT NOT NULL, channel_id INTEGER NOT NULL REFERENCES channel ON DELETE CASCADE,
    other_id INTEGER NOT NULL REFERENCES channel ON DELETE CASCADE, PRIMARY KEY (kind, channel_id, other_id));
CREATE TABLE IF NOT EXISTS metadata (
    owner TEXT NOT NULL, owner_id INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (owner, owner_id, key));
"""
"""AUTOINCREMENT: ids are never given twice, so that a new channel cannot inherit the voxels of a deleted one."""

BUSY_SECONDS = 30.0
"""How long a statement waits for the transaction of another process."""


class Catalog:
    """The catalogue in one file. With `read_only`, an absent file is an empty BOSS and nothing is ever created."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._idle: deque[sqlite3.Connection] = deque()
        if not read_only:
            with self.transaction() as db:
                create_tables(db)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading, used by one thread at a time and kept for the next."""
        try:
            db = self._idle.pop()
        except IndexError:
            db = self._connect()
        try:
            yield db
        finally:
            self._idle.append(db)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and alone: what is read inside stays true until it ends."""
        with self.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                db.execute("ROLLBACK")
                raise

    def _connect(self) -> sqlite3.Connection:
        absent = self._read_only and not self._path.exists()
        db = sqlite3.connect(
            ":memory:" if absent else self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA foreign_keys = ON")
        if absent:
            create_tables(db)
        db.execute("PRAGMA query_only = ON" if self._read_only else "PRAGMA journal_mode = TRUNCATE")
        return db


def create_tables(db: sqlite3.Connection) -> None:
    for statement in SCHEMA.split(";"):
        db.execute(statement)


def find(db: sqlite3.Connection, table: Table, name: object, **parent: int) -> Row | None:
    """The row of that name, in either case of letters; under `collection_id=` or `experiment_id=` where it has one."""
    conditions = " AND ".join(f"{column} = ?" for column in ("name", *parent))
    if not isinstance(name, str):
        return None
    return _row(db.execute(f"SELECT * FROM {table} WHERE {conditions}", (name, *parent.values())))


def get(db: sqlite3.Connection, table: Table, row_id: int) -> Row:
    row = _row(db.execute(f"SELECT * FROM {table} WHERE id = ?", (row_id,)))
    if row is None:
        raise LookupError(f"{table} {row_id}")
    return row


def names(db: sqlite3.Connection, table: Table, **where: int) -> list[str]:
    """Names of the rows with these values, in the order of their creation."""
    conditions = " AND ".join(f"{column} = ?" for column in where) or "1"
    rows = db.execute(f"SELECT name FROM {table} WHERE {conditions} ORDER BY id", tuple(where.values()))
    return [str(name) for (name,) in rows]


def insert(db: sqlite3.Connection, table: Table, values: Mapping[str, object]) -> int:
    """Id of the new row. Raises sqlite3.IntegrityError when the name is taken."""
    marks = ", ".join("?" * len(values))
    cursor = db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def update(db: sqlite3.Connection, table: Table, row_id: int, values: Mapping[str, object]) -> None:
    """Raises sqlite3.IntegrityError when the new name is taken."""
    if values:
        columns = ", ".join(f"{column} = ?" for column in values)
        db.execute(f"UPDATE {table} SET {columns} WHERE id = ?", (*values.values(), row_id))


def delete(db: sqlite3.Connection, table: Table, row_id: int) -> None:
    db.execute("DELETE FROM metadata WHERE owner = ? AND owner_id = ?", (table, row_id))
    db.execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))


def links(db: sqlite3.Connection, kind: Literal["source", "related"], channel_id: int) -> list[str]:
    """Names of the channels that this one is linked to, in the order in which they were given."""
    rows = db.execute(
        "SELECT name FROM link JOIN channel ON channel.id = other_id WHERE kind = ? AND channel_id = ?"
        " ORDER BY link.rowid",
        (kind, channel_id),
    )
    return [str(name) for (name,) in rows]


def replace_links(db: sqlite3.Connection, channel_id: int, sources: Iterable[int], related: Iterable[int]) -> None:
    """Set both lists of a channel; being related holds in both directions."""
    db.execute("DELETE FROM link WHERE channel_id = ?", (channel_id,))
    db.execute("DELETE FROM link WHERE kind = 'related' AND other_id = ?", (channel_id,))
    rows = [("source", channel_id, other) for other in sources]
    for other in related:
        rows += [("related", channel_id, other), ("related", other, channel_id)]
    db.executemany("INSERT OR IGNORE INTO link VALUES (?, ?, ?)", rows)


def derived(db: sqlite3.Connection, channel_id: int) -> list[str]:
    """Names of the other channels that have this one as a source."""
    rows = db.execute(
        "SELECT name FROM link JOIN channel ON channel.id = channel_id WHERE kind = 'source' AND other_id = ?"
        " AND channel_id <> other_id",
        (channel_id,),
    )
    return [str(name) for (name,) in rows]


def place(db: sqlite3.Connection, channel: Row) -> Channel:
    """A channel with the experiment and the frame around it."""
    experiment = get(db, "experiment", channel["experiment_id"])
    frame = get(db, "frame", experiment["frame_id"])
    return Channel.of(channel, Experiment.of(experiment, Frame.of(frame)))


def _row(cursor: sqlite3.Cursor) -> Row | None:
    row = cursor.fetchone()
    return None if row is None else dict(row)
