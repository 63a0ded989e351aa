"""A channel of a BOSS to write to, created where it is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ...boss.downsampling import POLL_SECONDS, ask_for_levels, await_levels
from ...boss.fitting import check_verifiable, dtype_held
from ...boss.hierarchy import CUBOID, Hierarchy
from ...boss.links import View, links_to
from ...boss.offsets import note, noted_line
from ...boss.resources import Site, complete, create_missing, plan_creation
from ...errors import PermanentError
from ...geometry import ORIGIN, Box
from ...job import Job
from ...volume import Array, Layout, Mask, Pause, Say, UInt, Volume, Writer
from .level import Level, naming_own_keys
from .settings import Destination

EMBEDDED_POLL_SECONDS = 0.2


class BossDestination(Level):
    """A channel to write to."""

    role = "destination"
    layout = Layout(grid=CUBOID)

    def __init__(self, job: Job, settings: Destination) -> None:
        super().__init__(job, settings.boss, settings.resource)

    @naming_own_keys
    def accepts(self, dtype: UInt) -> UInt:
        return dtype_held(self._resource, self._found(self._client.impatient()).channel, dtype)

    def expect(self, volume: Volume) -> None:
        self._block = volume.block

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

    def _send(self, site: Site, box: Box, t: int, voxels: Array) -> None:
        """Zeros never overwrite (boss-api 7.7): they need not be sent, and to erase, the box is blacked out first."""
        where = self._where(site, box, t)
        if self._job.empty == "erase" and not voxels.all():
            self._client.erase(*where)
        if voxels.any():
            self._client.put_cutout(*where, voxels)

    def _is_shifted(self, volume: Volume) -> bool:
        """Whether the job says how its coordinates relate to those of the BOSS."""
        return self._job.offset is not None or volume.offset != ORIGIN


def _levels(site: Site) -> Hierarchy:
    return Hierarchy.of(site.frame, site.experiment)


@dataclass(frozen=True)
class _BossWriter:
    store: BossDestination
    t: int

    def write(self, box: Box, array: Array) -> None:
        self.store.write(box, self.t, array)
