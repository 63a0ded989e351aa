"""A channel of a BOSS to write to, created where it is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ...boss.concurrent import Several, several
from ...boss.downsampling import POLL_SECONDS, ask_for_levels, await_levels
from ...boss.fitting import check_verifiable, dtype_held
from ...boss.hierarchy import CUBOID, Hierarchy
from ...boss.links import View, links_to
from ...boss.offsets import note, noted_line
from ...boss.records import Channel
from ...boss.resources import Site, complete, create_missing, plan_creation
from ...errors import PermanentError
from ...geometry import ORIGIN, Box, Tiling
from ...job import Job
from ...volume import Array, Layout, Mask, Pause, Say, UInt, Volume, Writer, is_empty
from .level import Level, naming_own_keys
from .settings import Destination

EMBEDDED_POLL_SECONDS = 0.2


class BossDestination(Level):
    """A channel to write to."""

    role = "destination"
    layout = Layout(grid=CUBOID)

    def __init__(self, job: Job, settings: Destination) -> None:
        super().__init__(job, settings.boss, settings.resource)
        self._at_once = 1

    @naming_own_keys
    def accepts(self, dtype: UInt) -> UInt:
        return dtype_held(self._resource, self._found(self._client.impatient()).channel, dtype)

    def expect(self, volume: Volume) -> None:
        self._block, self._at_once = volume.block, volume.at_once

    @naming_own_keys
    def check(self, volume: Volume) -> list[str]:
        client = self._client.impatient()
        found = self._found(client)
        if found.channel and self._job.verify != "none":
            check_verifiable(found.channel, self._resource)
        lines = plan_creation(self._resource, volume, found)
        if self._is_shifted(volume):
            levels = _levels(complete(self._resource, volume, found))
            there = client if found.experiment else None
            lines += noted_line(there, self._resource, levels.at_level_0(volume.offset, self._resource.resolution))
        return lines

    @naming_own_keys
    def prepare(self, volume: Volume) -> None:
        client = self._client.impatient()
        create_missing(client, self._resource, volume)
        with self._lock:
            self._known = None
        if self._is_shifted(volume):
            levels = _levels(self._site())
            note(client, self._resource, levels.at_level_0(volume.offset, self._resource.resolution))

    def held(self, pieces: Sequence[tuple[Box, int]]) -> Mask:
        """Voxels stay as long as their channel does."""
        return np.full(len(pieces), self._found(self._client.impatient()).site is not None)

    @contextmanager
    def writer(self, box: Box, t: int) -> Iterator[Writer]:
        """What is sent is stored when this is left without an error."""
        with several(self._at_once, lambda: self.allowed) as calls:
            yield _BossWriter(self, t, calls)

    def send(self, box: Box, t: int, voxels: Array, calls: Several) -> None:
        """Have the voxels of one request sent. Zeros never overwrite (boss-api 7.7): they need not be sent, and to
        erase, the box is blacked out first. Raises PermanentError for another dtype."""
        where = self._where(self._site(), box, t)
        calls.make_room()  # before the voxels are packed: what is packed takes memory until it is sent
        black = self._job.empty == "erase" and not voxels.all()
        frame = None if is_empty(voxels) else self._client.packed(*where, voxels)
        if black or frame is not None:
            calls.do(self._send, where, black, frame)

    def pieces(self, box: Box, array: Array) -> Tiling:
        """The requests that a box is sent in. Raises PermanentError for an array of another shape."""
        if array.shape != box.shape:
            raise PermanentError(f"{self._resource}: an array {array.shape} does not fit the box {box.shape}.")
        return self._requests(box, self._site())

    def finish(self, volume: Volume, say: Say, pause: Pause) -> tuple[str, ...]:
        """Has the lower resolutions built where that is asked. An embedded BOSS is waited for: it ends with the job."""
        site = self._site()
        if self._resource.downsample:
            self._build_levels(site, say, pause)
        size = _levels(site).voxel_size_at(self._resource.resolution)
        view = View(site.channel, volume.box, size, site.frame.voxel_unit)
        links = links_to(view, self._client.protocol, self._client.host)
        if not links:
            say(f"To look at {site.channel}, bring a part of it back: destination=images destination.path=FOLDER")
        return links

    def _build_levels(self, site: Site, say: Say, pause: Pause) -> None:
        if site.experiment.levels == 1:
            say(f"The experiment {site.experiment} has one resolution: there are no lower ones to build.")
            return
        embedded = self._boss.embedded
        under_way = ask_for_levels(self._client.impatient(), site.channel, say)
        if under_way and (embedded or self._resource.downsample == "wait"):
            poll = EMBEDDED_POLL_SECONDS if embedded else POLL_SECONDS
            await_levels(self._client, site.channel, say, pause, poll)

    def _send(self, where: tuple[Channel, int, Box, int | None], black: bool, frame: bytes | None) -> None:
        if black:
            self._client.erase(*where)
        if frame is not None:
            self._client.put_frame(*where, frame)

    def _is_shifted(self, volume: Volume) -> bool:
        """Whether the job says how its coordinates relate to those of the BOSS."""
        return self._job.offset is not None or volume.offset != ORIGIN


def _levels(site: Site) -> Hierarchy:
    return Hierarchy.of(site.frame, site.experiment)


@dataclass(frozen=True)
class _BossWriter:
    store: BossDestination
    t: int
    calls: Several

    def write(self, box: Box, array: Array) -> None:
        for piece in self.store.pieces(box, array):
            self.store.send(piece, self.t, array[box.slices(piece)], self.calls)
