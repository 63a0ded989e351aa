"""A folder of image files to write to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from rich.filesize import decimal

from ...boss.concurrent import for_each
from ...errors import JobError, PermanentError
from ...files import Place, place_at, translated
from ...geometry import Box, Span, Vec
from ...job import Job
from ...retry import with_retry
from ...volume import Array, Layout, Mask, Pause, Piece, Say, UInt, Volume
from .formats import open_plane, read_plane
from .listing import CHECKED, THREADS, identity_of, names_in, spread
from .output import PlaneWriter
from .pattern import Number, Pattern, parse, split, with_channel
from .plane import Header, at_once
from .settings import Destination, Source
from .source import ImageSource

PNG_BYTES = 2
"""Of a pixel, at most."""
DIGITS = 4
"""Of a plane number in the default names, at least."""
METADATA = "metadata.json"
"""Name of the file with what the source says of itself."""
MAX_METADATA = 1 << 28
"""Its bytes, at most."""
SQUEEZE = 4
"""By how much compression may shrink a volume, when the free space is judged."""


class ImageDestination:
    """One file a plane, each complete before it gets its name.

    Names, and the mark by which a job knows its own files, depend on the whole volume: `expect` comes first.
    """

    layout = Layout(planes=True, below_0=True)

    def __init__(self, job: Job, settings: Destination) -> None:
        self._job, self._settings = job, settings
        channel = job.resource.channel if job.resource else None
        below, self._pattern = _parsed(settings.pattern, channel)
        path = with_channel(settings.path, channel, "destination.path")
        self._folder = _inside(place_at(path, "destination.path", settings.access), below)
        names = str(self._pattern or f"{_prefix(job)}_x*_y*_z{{z}}.tif")
        self._is_png = names.lower().endswith(".png")
        self._volume: Volume | None = None
        self._names = self._pattern
        self._listed: frozenset[str] = frozenset()
        """Files that were there when the job began: a bucket is not asked for each of them again."""
        self.label = self._folder.where((settings.pattern or names).rpartition("/")[2])
        self.identity = identity_of(self._folder, names, z_step=settings.z_step if settings.z_step > 1 else None)

    def accepts(self, dtype: UInt) -> UInt:
        if self._is_png and dtype.itemsize > PNG_BYTES:
            raise JobError(
                f"destination.pattern={self._settings.pattern}: PNG cannot hold {dtype}. Use .tif or convert.dtype."
            )
        return dtype

    def expect(self, volume: Volume) -> None:
        self._volume = volume
        self._names = self._pattern or default_pattern(_prefix(self._job), volume, self._settings.z_step)

    def check(self, volume: Volume) -> list[str]:
        self.expect(volume)
        self._check_names(volume)
        with_retry(self._job.retry, self._folder.check_writable)
        exists = with_retry(self._job.retry, self._folder.exists)
        left = volume.box.size.z * volume.times.size - (self._own_files(volume) if exists else 0)
        self._check_room(left, volume)
        lines = [] if exists else [f"folder {self._folder}"]
        if left:
            form = "PNG" if self._is_png else f"TIFF (compression: {self._settings.compression})"
            first = self._name(volume.box.z.start, volume.times.start)
            lines.append(f"{left:,} planes, {self._header(volume)}, {form}, from {first} on")
        return lines

    def prepare(self, volume: Volume) -> None:
        self.expect(volume)
        self._check_names(volume)
        self._folder.create()
        self._folder.sweep(volume.stamp)

    def keep_metadata(self, text: str) -> None:
        if not self._settings.metadata:
            return
        folder, data = self._folder, text.encode()
        if folder.holds(METADATA):
            if folder.fetch(METADATA, MAX_METADATA) == data:
                return
            if not self._settings.overwrite:
                raise JobError(
                    f"{folder.where(METADATA)} is there already and says something else. Choose another folder, or set "
                    "destination.metadata=false."
                )
        draft = folder.draft(METADATA, self._prepared().stamp)
        try:
            with translated(draft.final):
                draft.file.write(data)
            draft.complete()
            draft.publish()
        finally:
            draft.discard()

    @contextmanager
    def writer(self, box: Box, t: int) -> Iterator[PlaneWriter]:
        volume = self._prepared()
        names = [self._name(z, t) for z in range(*box.z)]
        self._check_own(names, volume)
        compression = None if self._is_png else self._settings.compression
        planes = PlaneWriter(self._folder, names, box, volume, compression, self._job)
        try:
            yield planes
            planes.publish()
        finally:
            planes.discard()

    def read(self, box: Box, t: int) -> Piece:
        volume = self._prepared()
        out = np.empty(box.shape, volume.dtype)
        inside = box.shift(Vec(-volume.box.x.start, -volume.box.y.start, 0))
        header = self._header(volume)

        def read(plane: tuple[int, Array]) -> None:
            name = self._name(plane[0], t)
            part = partial(read_plane, self._folder, name, header, inside.y, inside.x, plane[1])
            with_retry(self._job.retry, part)

        for_each(read, zip(range(*box.z), out, strict=True), at_once(self._folder, header, self._job.parallel.requests))
        return Piece(out)

    def finish(self, volume: Volume, say: Say, pause: Pause) -> tuple[str, ...]:
        """Each plane is complete by itself; what killed workers have left of others goes."""
        self._folder.sweep(volume.stamp)
        return ()

    def held(self, pieces: Sequence[tuple[Box, int]]) -> Mask:
        return np.fromiter((self._has_planes(box.z, t) for box, t in pieces), np.bool_, len(pieces))

    def close(self) -> None:
        self._folder.close()

    def _prepared(self) -> Volume:
        if self._volume is None:
            raise RuntimeError("the destination must be told what to expect before it is used")
        return self._volume

    def _header(self, volume: Volume) -> Header:
        return Header(volume.box.size.x, volume.box.size.y, volume.dtype)

    def _name(self, z: int, t: int) -> str:
        assert self._names is not None  # since `expect`
        return self._names.name(z * self._settings.z_step, t)

    def _check_names(self, volume: Volume) -> None:
        if volume.box.z.start < 0:
            raise JobError(f"offset: plane {volume.box.z.start} cannot be in a file name. Use offset=auto.")
        if self._pattern and not self._pattern.has("t") and volume.times.size > 1:
            raise JobError(
                f"destination.pattern={self._settings.pattern}: the {volume.times.size} time samples would have the "
                "same names. Put {t} into it."
            )
        source = self._job.source
        if not self._settings.overwrite or not isinstance(source, Source):
            return
        if ImageSource(self._job, source).folder.resolved() == self._folder.resolved():
            raise JobError(
                f"destination.overwrite=true: {self._folder} is the folder of the source too, whose files would be "
                "lost. Give another destination.path."
            )

    def _check_room(self, planes: int, volume: Volume) -> None:
        """Raises JobError only where no compression would help: how well it does is known afterwards."""
        free = self._folder.room()
        plain = planes * volume.box.size.x * volume.box.size.y * volume.dtype.itemsize
        packed = self._is_png or self._settings.compression != "none"
        needed = plain // SQUEEZE if packed else plain
        if free is not None and needed > free:
            raise JobError(
                f"destination.path={self._folder}: at least {decimal(needed)} are needed, and "
                f"{decimal(free)} are free. Make room, or choose another disk."
            )

    def _own_files(self, volume: Volume) -> int:
        """How many files of this volume are there from an earlier run of this job. Raises JobError when one of them
        is foreign; of very many files, only a sample is looked at, the others when it is their turn."""
        self._listed = frozenset(names_in(self._folder, self._job.retry))
        planes = ((z, t) for t in range(*volume.times) for z in range(*volume.box.z))
        found = [name for z, t in planes if (name := self._name(z, t)) in self._listed]
        with ThreadPoolExecutor(THREADS) as pool:
            chosen = spread(found, CHECKED)
            stamps = pool.map(self._stamp, chosen)
            foreign = [name for name, stamp in zip(chosen, stamps, strict=True) if stamp != volume.stamp]
        if foreign and not self._settings.overwrite:
            raise JobError(f"destination.path={self._folder}: {_foreign(foreign[0])}")
        return len(found) - len(foreign)

    def _check_own(self, names: Sequence[str], volume: Volume) -> None:
        """Once more and for every file: something may have come since `check`."""

        def check(name: str) -> None:
            if self._holds(name) and self._stamp(name) != volume.stamp:
                raise PermanentError(f"{self._folder}: {_foreign(name)}")

        if not self._settings.overwrite:
            for_each(check, names, self._job.parallel.requests if self._folder.is_remote else 1)

    def _has_planes(self, z: Span, t: int) -> bool:
        return all(name in self._listed or self._holds(name) for name in (self._name(i, t) for i in range(*z)))

    def _holds(self, name: str) -> bool:
        return with_retry(self._job.retry, partial(self._folder.holds, name))

    def _stamp(self, name: str) -> str | None:
        """Of the job that wrote a file; None for files of others, whatever they are."""
        try:
            return with_retry(self._job.retry, partial(_stamp_of, self._folder, name))
        except PermanentError:
            return None


def _stamp_of(folder: Place, name: str) -> str | None:
    """As the place keeps it, else as the file does."""
    kept = folder.stamp_of(name)
    if kept is not None:
        return kept
    with open_plane(folder, name) as plane:
        return plane.stamp


def default_pattern(prefix: str, volume: Volume, z_step: int) -> Pattern:
    """The names that the first ndex gave: with the extent, and a number as long as that of the last plane."""
    digits = max(DIGITS, len(str((volume.box.z.stop - 1) * z_step)))
    x, y = volume.box.x, volume.box.y
    times = ("_t", Number("t", 0)) if volume.timed else ()
    extent = f"_x{x.start}-{x.stop}_y{y.start}-{y.stop}"
    return Pattern((prefix + extent, *times, "_z", Number("z", digits), ".tif"))


def _prefix(job: Job) -> str:
    resource = job.resource
    names = (resource.collection, resource.experiment, resource.channel) if resource else (job.name,)
    return re.sub(r"[^\w.+-]", "_", "_".join(names)).lstrip(".")


def _inside(root: Place, below: str) -> Place:
    """A folder in the destination. Raises JobError for one that is a link to elsewhere."""
    folder = root.below(below)
    if not (root.is_remote or Path(folder.resolved()).is_relative_to(root.resolved())):
        raise JobError(f"destination.pattern: {folder} is a link that leads out of {root}. Name where in the path.")
    return folder


def _foreign(name: str) -> str:
    return (
        f"{name} is there already and was not written by this job. Choose another folder, or set "
        "destination.overwrite=true to replace it."
    )


def _parsed(text: str | None, channel: str | None) -> tuple[str, Pattern | None]:
    """Folder below the path, and the pattern; None for the default names."""
    key = "destination.pattern"
    if text is None:
        return "", None
    below, name = split(with_channel(text, channel, key), key)
    pattern = parse(name, key)
    if not pattern.has("z") or pattern.wild:
        raise JobError(f"{key}={text}: it must hold the plane number, as in em_%04d.tif, and no wildcards.")
    if not name.lower().endswith((".tif", ".tiff", ".png")):
        raise JobError(f"{key}={text}: it must end in .tif, .tiff or .png.")
    return below, pattern
