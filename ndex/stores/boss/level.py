"""What reading from and writing to a BOSS share: one channel at one resolution, looked up when it is needed."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ClassVar, Concatenate, ParamSpec, TypeVar

import numpy as np

from ...boss.client import BossClient
from ...boss.concurrent import for_each
from ...boss.flow import Line
from ...boss.hierarchy import CUBOID
from ...boss.pace import share
from ...boss.records import Channel
from ...boss.resources import Found, Site, look, require_site
from ...errors import JobError
from ...geometry import Box, Tiling, Vec
from ...job import Boss, Job, Resource
from ...volume import Array, Piece

P = ParamSpec("P")
R = TypeVar("R")
L = TypeVar("L", bound="Level")
KEY = re.compile(r"(?<![\w.])resource\.(?=[a-z])")


def naming_own_keys(asked: Callable[Concatenate[L, P], R]) -> Callable[Concatenate[L, P], R]:
    """Has what a method raises name the keys of the end's own resource, where it has one."""

    @wraps(asked)
    def wrapped(self: L, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return asked(self, *args, **kwargs)
        except JobError as error:
            if not self.has_own:
                raise
            raise type(error)(KEY.sub(f"{self.role}.resource.", str(error))) from error

    return wrapped


class Level:
    """One channel of a BOSS at one resolution."""

    role: ClassVar[str]

    def __init__(self, job: Job, boss: Boss | None, resource: Resource | None) -> None:
        """`boss` and `resource` are the end's own; None: the job's."""
        self.has_own = resource is not None
        found = resource or job.resource
        if found is None:
            raise JobError("resource is not set: give resource.collection, resource.experiment and resource.channel.")
        self._job = job
        self._boss = boss or job.boss
        self._resource = found
        self._block: Vec | None = None
        self._lock = threading.RLock()
        self._open: BossClient | None = None
        self._known: Found | None = None

    @property
    def label(self) -> str:
        return f"{self._resource} at resolution {self._resource.resolution} on {self._host}"

    @property
    def identity(self) -> str:
        """With the folder in place of an embedded BOSS's address, which is another one each time; in small letters,
        because a BOSS takes capitals in a name for the same (boss-api 17)."""
        root = self._boss.root
        host = Path(os.path.normcase(root.resolve())).as_posix() if root else self._client.host
        return f"boss://{host}/{str(self._resource).lower()}/{self._resource.resolution}"

    def read(self, box: Box, t: int) -> Piece:
        """The voxels of `box`, fetched as several cutouts at once."""
        site = self._site()
        if len(self._requests(box, site)) == 1:
            return Piece(self._cutout(*self._where(site, box, t)))
        array: Array = np.empty(box.shape, site.channel.dtype)

        def fetch(block: Box) -> None:
            array[box.slices(block)] = self._cutout(*self._where(site, block, t))

        for_each(fetch, self._requests(box, site), self._job.parallel.requests)
        return Piece(array)

    @property
    def allowed(self) -> int:
        """Requests that are worth having under way in this process, as far as it is known."""
        return self._client.allowed

    @property
    def line(self) -> Line | None:
        """What the requests of this process have seen of the line."""
        return self._client.line

    def close(self) -> None:
        with self._lock:
            if self._open:
                self._open.close()

    @property
    def _host(self) -> str:
        return f"the embedded BOSS in {self._boss.root}" if self._boss.root else self._client.host

    @property
    def _client(self) -> BossClient:
        with self._lock:
            if self._open is None:
                at_once = self._job.parallel.requests_of_process
                self._open = BossClient.connect(self._boss, self._job.retry, share(self._job), at_once)
            return self._open

    def _found(self, client: BossClient) -> Found:
        """What exists; asked for once, with the patience of `client`."""
        with self._lock:
            if self._known is None:
                self._known = self._look(client)
            return self._known

    def _look(self, client: BossClient) -> Found:
        return look(client, self._resource)

    def _site(self) -> Site:
        return require_site(self._found(self._client), self._resource, self._host)

    def _cutout(self, channel: Channel, resolution: int, box: Box, t: int | None) -> Array:
        return self._client.get_cutout(channel, resolution, box, t)

    def _where(self, site: Site, box: Box, t: int) -> tuple[Channel, int, Box, int | None]:
        """What a cutout is named by. Its time sample only where there are several, or the job speaks of them."""
        timed = site.experiment.time_samples > 1 or self._job.extent.t is not None
        return site.channel, self._resource.resolution, box, t if timed else None

    def _requests(self, box: Box, site: Site) -> Tiling:
        """The boxes in which a larger one is read or written."""
        return Tiling(box, self._block or self._job.blocks.on(CUBOID, site.channel.dtype.itemsize))
