"""The client of a BOSS, on top of intern: its sessions, its resource objects, its URLs."""

from __future__ import annotations

from dataclasses import replace

from ..job import Boss, Rate, Retry
from .catalog import Catalog
from .connection import Connection
from .credentials import find_credentials
from .cutouts import Cutouts
from .derived import Derived
from .flow import Flow, Line
from .metadata import Metadata
from .pace import pace_of

NO_LIMIT = Rate()


class BossClient(Catalog, Cutouts, Metadata, Derived):
    """One BOSS, in ndex's terms. Usable by several threads at once."""

    @classmethod
    def connect(cls, boss: Boss, retry: Retry, rate: Rate = NO_LIMIT, at_once: int = 1) -> BossClient:
        """The client for the BOSS of a job; nothing is sent yet. `rate` is what this shard may ask for, `at_once` how
        many requests for voxels this process may have under way.

        Raises AccessError when there is no usable token, JobError when there is no usable host.
        """
        access = find_credentials(boss)
        return cls(Connection(access, boss.timeout, pace_of(access.host, rate, retry), Flow(at_once)), retry)

    def impatient(self) -> BossClient:
        """The same client for the questions before a transfer, which give up within seconds."""
        few = replace(self._retry, attempts=min(3, self._retry.attempts), wait=min(1.0, self._retry.wait), max_wait=5.0)
        return BossClient(self._connection, few)

    @property
    def allowed(self) -> int:
        """Requests for voxels that may be under way now."""
        return self._connection.flow.allowed

    @property
    def line(self) -> Line | None:
        """What requests for voxels have seen of the line."""
        return self._connection.flow.line

    @property
    def host(self) -> str:
        """Name and port."""
        return self._access.host

    @property
    def protocol(self) -> str:
        """`https` or `http`."""
        return self._access.protocol

    def close(self) -> None:
        """End the connections."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"BossClient({self._access.url})"
