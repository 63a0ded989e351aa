"""Voxels on disk: one file a cuboid, replaced as a whole, merged under a lock that holds across processes.

    voxels/<channel id>/<level>[i]/<time>/<z>/<y>/<x>.blosc      indices of the cuboid on the 512 x 512 x 16 grid

A cuboid that has no file is zero. Readers take no lock: a file is complete or absent. A killed server leaves at most
a temporary file, which the next write of that cuboid replaces; a power failure may lose the last writes, because
nothing is forced to the disk.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from ..boss import wire
from ..geometry import Box, Tiling, Vec
from .hierarchy import CUBOID
from .scratch import Scratch

Array: TypeAlias = npt.NDArray[Any]

STRIPES = 64
"""Locks for all cuboids together: two writers seldom meet, and the folder stays small."""
POLL_SECONDS = 0.002
WINDOWS_TRIES = 200


@dataclass(frozen=True)
class Layer:
    """All voxels of one channel at one level and one time sample."""

    channel: int
    level: int
    time: int
    dtype: np.dtype[Any]
    iso: bool = False
    """The isotropic variant of the levels above the isotropic one."""

    @property
    def path(self) -> Path:
        return Path(str(self.channel), f"{self.level}i" if self.iso else str(self.level), str(self.time))


class Volume:
    """The voxels below one folder."""

    def __init__(self, root: Path) -> None:
        self._voxels = root / "voxels"
        self._locks = root / "locks"
        self._scratch = Scratch()
        self._stripes = [threading.Lock() for _ in range(STRIPES)]

    def read(self, layer: Layer, box: Box) -> Array:
        """The voxels of a box, zero where nothing was written."""
        array = np.empty(box.shape, layer.dtype)
        self.read_into(array, layer, box)
        return array

    def read_into(self, array: Array, layer: Layer, box: Box) -> None:
        """Fill an array of the box's shape. Raises DamagedData or OSError."""
        for cell in Tiling(box, CUBOID):
            whole = _cuboid_of(cell)
            target = array[box.slices(cell)]
            if cell == whole and target.flags.c_contiguous:
                self._load(layer, whole, target)
                continue
            with self._scratch.cuboid(layer.dtype) as cuboid:
                self._load(layer, whole, cuboid)
                target[...] = cuboid[whole.slices(cell)]

    def write(self, layer: Layer, box: Box, array: Array) -> None:
        """Store the voxels that are not zero: zero never overwrites (boss-api 7.7)."""
        for cell in Tiling(box, CUBOID):
            self._merge(layer, cell, array[box.slices(cell)])

    def erase(self, layer: Layer, box: Box) -> None:
        """Make the voxels of a box zero, in the cuboids that exist."""
        for cell in Tiling(box, CUBOID):
            whole = _cuboid_of(cell)
            with self._scratch.cuboid(layer.dtype) as cuboid, self._locked(layer, whole):
                if self._load(layer, whole, cuboid):
                    cuboid[whole.slices(cell)] = 0
                    self._replace(layer, whole, cuboid)

    def store(self, layer: Layer, whole: Box, cuboid: Array) -> None:
        """Replace a whole cuboid, also where the new one is zero."""
        with self._locked(layer, whole):
            self._replace(layer, whole, cuboid)

    def cuboids(self, layer: Layer) -> Iterator[Box]:
        """The boxes of the cuboids that exist, each as large as the grid cell."""
        for path in (self._voxels / layer.path).glob("*/*/*.blosc"):
            index = Vec(int(path.stem), int(path.parent.name), int(path.parent.parent.name))
            yield Box.at(Vec(*(i * step for i, step in zip(index, CUBOID, strict=True))), CUBOID)

    def discard(self, channel: int) -> None:
        """Remove the voxels of a channel that no longer exists; a file that is still open elsewhere may stay behind."""
        shutil.rmtree(self._voxels / str(channel), ignore_errors=True)

    def _merge(self, layer: Layer, cell: Box, new: Array) -> None:
        if not any(plane.max() for plane in new):
            return
        whole = _cuboid_of(cell)
        replaces = cell == whole and all(plane.min() for plane in new)
        with self._scratch.cuboid(layer.dtype) as cuboid, self._locked(layer, whole):
            target = cuboid[whole.slices(cell)]
            if not replaces and self._load(layer, whole, cuboid):
                _overlay(target, new)
            else:
                target[...] = new
            self._save(layer, whole, cuboid)

    def _replace(self, layer: Layer, whole: Box, cuboid: Array) -> None:
        if cuboid.any():
            self._save(layer, whole, cuboid)
        else:
            self._path(layer, whole).unlink(missing_ok=True)

    def _save(self, layer: Layer, whole: Box, cuboid: Array) -> None:
        path = self._path(layer, whole)
        frame = wire.encode(cuboid, fast=True)
        temporary = path.with_suffix(".tmp")
        try:
            temporary.write_bytes(frame)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(frame)
        _rename(temporary, path)

    def _load(self, layer: Layer, whole: Box, target: Array) -> bool:
        """Decompress a cuboid into the target; False, with zeros there, when there is none."""
        try:
            frame = self._path(layer, whole).read_bytes()
        except FileNotFoundError:
            target[...] = 0
            return False
        wire.decode_into(frame, target)
        return True

    def _path(self, layer: Layer, whole: Box) -> Path:
        x, y, z = (start // step for start, step in zip(whole.start, CUBOID, strict=True))
        return self._voxels / layer.path / str(z) / str(y) / f"{x}.blosc"

    @contextmanager
    def _locked(self, layer: Layer, whole: Box) -> Iterator[None]:
        """Only one writer of a cuboid at a time: the first lock is for the threads, the second for the processes."""
        stripe = zlib.crc32(str((layer.path, whole)).encode()) % STRIPES
        self._locks.mkdir(parents=True, exist_ok=True)
        between_processes = FileLock(self._locks / f"{stripe}.lock")
        with self._stripes[stripe], between_processes.acquire(poll_interval=POLL_SECONDS):
            yield


def _cuboid_of(cell: Box) -> Box:
    """The whole cuboid that a piece of the grid lies in."""
    return Box.at(Vec(*(start // step * step for start, step in zip(cell.start, CUBOID, strict=True))), CUBOID)


def _overlay(below: Array, above: Array) -> None:
    """Put into the lower array what is not zero in the upper one. A masked copy of voxels that lie scattered would
    take ten times as long."""
    for plane, new in zip(below, above, strict=True):
        plane *= new == 0
        plane |= new


def _rename(temporary: Path, path: Path) -> None:
    """Atomic on every system; Windows refuses for as long as a reader has the old file open."""
    for _ in range(WINDOWS_TRIES if os.name == "nt" else 0):
        try:
            temporary.replace(path)
            return
        except PermissionError:
            time.sleep(POLL_SECONDS)
    temporary.replace(path)
