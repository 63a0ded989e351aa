"""A channel of a BOSS at one resolution, as source and as destination."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..boss.client import BossClient
from ..boss.concurrent import for_each
from ..boss.downsampling import POLL_SECONDS, ask_for_levels, await_levels
from ..boss.fitting import check_reachable, check_readable, check_verifiable, dtype_held, level_box
from ..boss.hierarchy import CUBOID, Hierarchy
from ..boss.links import View, links_to
from ..boss.records import Channel
from ..boss.resources import Found, Site, create_missing, look, plan_creation, require_site
from ..errors import JobError, PermanentError
from ..geometry import ORIGIN, Box, Span, Tiling, Vec
from ..job import Boss, End, Job, Resource
from ..volume import Array, Facts, Layout, Pause, Piece, Say, UInt, Volume, Writer

EMBEDDED_POLL_SECONDS = 0.2

OFFSETS = "offsets"
"""Key of the experiment's metadata that says how far its coordinates are shifted."""


@dataclass(frozen=True, kw_only=True)
class Source(End):
    """Read from a BOSS."""

    kind: Literal["boss"] = "boss"
    boss: Boss | None = None
    """null: the job's."""
    resource: Resource | None = None
    """null: the job's."""
    filter: tuple[int, ...] | None = None
    """Annotation ids to keep; all others read as 0."""


@dataclass(frozen=True, kw_only=True)
class Destination(End):
    """Write to a BOSS."""

    kind: Literal["boss"] = "boss"
    boss: Boss | None = None
    """null: the job's."""
    resource: Resource | None = None
    """null: the job's."""


def open_source(job: Job) -> BossSource:
    assert isinstance(job.source, Source)
    return BossSource(job, job.source.boss or job.boss, job.source.resource or job.resource, job.source.filter or ())


def open_destination(job: Job) -> BossDestination:
    assert isinstance(job.destination, Destination)
    return BossDestination(job, job.destination.boss or job.boss, job.destination.resource or job.resource)


class _Level:
    """What both roles share: one channel at one resolution, looked up when it is needed and remembered."""

    def __init__(self, job: Job, boss: Boss, resource: Resource | None, keep: tuple[int, ...] = ()) -> None:
        if resource is None:
            raise JobError("resource is not set: give resource.collection, resource.experiment and resource.channel.")
        self._job = job
        self._boss = boss
        self._resource = resource
        self._keep = keep
        self._block: Vec | None = None
        self._lock = threading.RLock()
        self._open: BossClient | None = None
        self._known: Found | None = None

    @property
    def label(self) -> str:
        return f"{self._resource} at resolution {self._resource.resolution} on {self._host}"

    @property
    def identity(self) -> str:
        """With the folder in place of an embedded BOSS's address, which is another one each time."""
        root = self._boss.root
        host = root.absolute().as_posix() if root else self._client.host
        view = ("?iso" if self._resource.iso else "") + (f"#{','.join(map(str, self._keep))}" if self._keep else "")
        return f"boss://{host}/{self._resource}/{self._resource.resolution}{view}"

    def read(self, box: Box, t: int) -> Piece:
        """The voxels of `box`, fetched as several cutouts at once."""
        site = self._site()
        array: Array = np.empty(box.shape, site.channel.dtype)
        iso, keep = self._resource.iso, self._keep

        def fetch(block: Box) -> None:
            where = self._where(site, block, t)
            array[box.slices(block)] = self._client.get_cutout(*where, iso=iso, filter=keep)

        self._each_block(box, site, fetch)
        return Piece(array)

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
                self._open = BossClient.connect(self._boss, self._job.retry)
            return self._open

    def _found(self, client: BossClient) -> Found:
        """What exists; asked for once, with the patience of `client`."""
        with self._lock:
            if self._known is None:
                self._known = look(client, self._resource)
            return self._known

    def _site(self) -> Site:
        return require_site(self._found(self._client), self._resource, self._host)

    def _where(self, site: Site, box: Box, t: int) -> tuple[Channel, int, Box, int | None]:
        """What a cutout is named by. Its time sample only where there are several, or the job speaks of them."""
        timed = site.experiment.time_samples > 1 or self._job.extent.t is not None
        return site.channel, self._resource.resolution, box, t if timed else None

    def _each_block(self, box: Box, site: Site, work: Callable[[Box], None]) -> None:
        block = self._block or self._job.blocks.on(CUBOID, site.channel.dtype.itemsize)
        for_each(work, Tiling(box, block), self._job.parallel.requests)


class BossSource(_Level):
    """A channel to read from."""

    def facts(self) -> Facts:
        site = require_site(self._found(self._client.impatient()), self._resource, self._host)
        frame, channel, level = site.frame, site.channel, self._resource.resolution
        check_readable(frame, site.experiment, channel, self._resource)
        if self._keep and channel.type != "annotation":
            raise JobError(
                f"source.filter={list(self._keep)}: only annotations can be filtered; {channel} is an image."
            )
        levels = Hierarchy.of(frame, site.experiment, iso=self._resource.iso)
        check_reachable(frame, levels, channel.base, level, self._job.extent)
        return Facts(
            label=self.label,
            identity=self.identity,
            box=level_box(frame, levels, level),
            dtype=channel.dtype,
            times=Span(0, site.experiment.time_samples),
            grid=CUBOID,
            voxel_size=levels.voxel_size_at(level),
            voxel_unit=frame.voxel_unit,
        )


class BossDestination(_Level):
    """A channel to write to, created where it is missing."""

    layout = Layout(grid=CUBOID)

    def accepts(self, dtype: UInt) -> UInt:
        return dtype_held(self._resource, self._found(self._client.impatient()).channel, dtype)

    def expect(self, volume: Volume) -> None:
        self._block = volume.block

    def check(self, volume: Volume) -> list[str]:
        found = self._found(self._client.impatient())
        if found.channel and self._job.verify != "none":
            check_verifiable(found.channel, self._resource)
        return plan_creation(self._resource, volume, found)

    def prepare(self, volume: Volume) -> None:
        client = self._client.impatient()
        create_missing(client, self._resource, volume)
        with self._lock:
            self._known = None
        if volume.offset != ORIGIN:
            self._record(client, volume.offset)

    def holds(self, box: Box, t: int) -> bool:
        """Voxels stay as long as their channel does."""
        return self._found(self._client.impatient()).site is not None

    @contextmanager
    def writer(self, box: Box, t: int) -> Iterator[Writer]:
        """Each write is stored, or has failed, when `write` returns: nothing is left to do at the end."""
        yield _BossWriter(self, t)

    def write(self, box: Box, t: int, array: Array) -> None:
        """Send the voxels of `box` as several cutouts at once. Raises PermanentError for another shape or dtype."""
        site = self._site()
        if array.shape != box.shape or array.dtype != site.channel.dtype:
            raise PermanentError(
                f"An array {array.shape} of {array.dtype} does not fit {box} of the channel {site.channel} "
                f"({site.channel.dtype})."
            )
        self._each_block(box, site, lambda block: self._send(site, block, t, array[box.slices(block)]))

    def _send(self, site: Site, box: Box, t: int, voxels: Array) -> None:
        """Zeros never overwrite (boss-api 7.7): they need not be sent, and to erase, the box is blacked out first."""
        where = self._where(site, box, t)
        if self._job.empty == "erase" and not voxels.all():
            self._client.erase(*where)
        if voxels.any():
            self._client.put_cutout(*where, voxels)

    def finish(self, volume: Volume, say: Say, pause: Pause) -> tuple[str, ...]:
        """Has the lower resolutions built where that is asked. An embedded BOSS is waited for: it ends with the job."""
        site, asked, embedded = self._site(), self._resource.downsample, self._boss.embedded
        if asked and site.experiment.levels > 1:
            poll = EMBEDDED_POLL_SECONDS if embedded else POLL_SECONDS
            under_way = ask_for_levels(self._client.impatient(), site.channel, say)
            if under_way and (asked == "wait" or embedded):
                await_levels(self._client, site.channel, say, pause, poll)
        size = Hierarchy.of(site.frame, site.experiment).voxel_size_at(self._resource.resolution)
        view = View(site.channel, volume.box, size, site.frame.voxel_unit)
        links = links_to(view, self._client.protocol, self._client.host)
        if not links:
            say(f"To look at {site.channel}, bring a part of it back: destination=images destination.path=FOLDER")
        return links

    def _record(self, client: BossClient, offset: Vec) -> None:
        """Note the offset where others find it; not again when another shard has."""
        place = (self._resource.collection, self._resource.experiment)
        noted = json.dumps(list(offset))
        if client.get_metadata(OFFSETS, *place) != noted:
            client.put_metadata(OFFSETS, noted, *place)


@dataclass(frozen=True)
class _BossWriter:
    store: BossDestination
    t: int

    def write(self, box: Box, array: Array) -> None:
        self.store.write(box, self.t, array)
