"""Downsampling in the background: one job at a time for all servers of a folder."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

from filelock import FileLock, Timeout

from . import catalog, downsample
from .catalog import Catalog
from .records import Channel
from .volume import Volume

LOG = logging.getLogger(__name__)

TURN_SECONDS = 1.0
"""How long to wait in one go for the jobs of another server."""


class Worker:
    """Takes queued channels from the catalogue and makes their levels.

    A file lock is held while a job runs. Whoever has it knows that no other job runs, so a channel that is IN_PROGRESS
    then was left by a server that died, and is done again.
    """

    def __init__(self, root: Path, catalog: Catalog, volume: Volume) -> None:
        self._root = root
        self._catalog = catalog
        self._volume = volume
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def wake(self) -> None:
        """There may be something to do."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="downsample", daemon=True)
                self._thread.start()
        self._wake.set()

    def wake_if_pending(self) -> None:
        """Go on with what an earlier server has left."""
        with self._catalog.connection() as db:
            if next_job(db) is not None:
                self.wake()

    def close(self) -> None:
        """Stop between two cuboids; what is left is done by the next server."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                with FileLock(self._root / "downsample.lock", timeout=TURN_SECONDS):
                    self._work_off()
            except Timeout:  # another server is at it; ask again, unless this one is told to stop
                self._wake.set()
            except (OSError, sqlite3.Error):
                LOG.exception("downsampling is put off")

    def _work_off(self) -> None:
        while not self._stop.is_set():
            with self._catalog.transaction() as db:
                channel = next_job(db)
                if channel is None:
                    return
                catalog.update(db, "channel", channel.id, {"downsample_status": "IN_PROGRESS"})
            self._do(channel)

    def _do(self, channel: Channel) -> None:
        try:
            done = downsample.compute(self._volume, channel, lambda: self._wanted(channel))
        except Exception:  # whatever it is, the state must say so, and the next channel must get its turn
            LOG.exception("downsampling of channel %s failed", channel.name)
            self._set_status(channel, "FAILED")
        else:
            if done:
                self._set_status(channel, "DOWNSAMPLED")

    def _wanted(self, channel: Channel) -> bool:
        """False once the job was cancelled or its channel deleted, or the server ends."""
        with self._catalog.connection() as db:
            query = "SELECT 1 FROM channel WHERE id = ? AND downsample_status = 'IN_PROGRESS'"
            return not self._stop.is_set() and db.execute(query, (channel.id,)).fetchone() is not None

    def _set_status(self, channel: Channel, status: str) -> None:
        with self._catalog.transaction() as db:
            query = "UPDATE channel SET downsample_status = ? WHERE id = ? AND downsample_status = 'IN_PROGRESS'"
            db.execute(query, (status, channel.id))


def next_job(db: sqlite3.Connection) -> Channel | None:
    query = "SELECT * FROM channel WHERE downsample_status IN ('QUEUED', 'IN_PROGRESS') ORDER BY id LIMIT 1"
    row = db.execute(query).fetchone()
    return None if row is None else catalog.place(db, dict(row))
