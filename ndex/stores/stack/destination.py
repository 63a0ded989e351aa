"""One BigTIFF file to write to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import IO

import numpy as np
import tifffile
from rich.filesize import decimal

from ...errors import JobError, PermanentError
from ...files import Folder, translated
from ...geometry import Box, Span, Vec
from ...job import Job
from ...retry import with_retry
from ...volume import Layout, Mask, Pause, Piece, Say, UInt, Volume
from ..images.plane import Header, damage
from .bigtiff import BigTiff
from .draft import SharedDraft, drafts_of_others
from .output import StackWriter
from .pages import TiffPages
from .settings import Destination, Source, file_of, identity_of
from .sizes import for_imagej
from .tiff import NOTE, note_of

SQUEEZE = 4
"""By how much compression may shrink a volume, when the free space is judged."""


class StackDestination:
    """Pages in the order of time and z. The file gets its name when all of them are there.

    Its layout, and the mark by which a job knows its own file, depend on the whole volume: `expect` comes first.
    """

    layout = Layout(planes=True)

    def __init__(self, job: Job, settings: Destination) -> None:
        self._job, self._settings = job, settings
        self._path = file_of(job, settings.path, "destination.path")
        if not self._path.name.lower().endswith((".tif", ".tiff")):
            raise JobError(f"destination.path={settings.path}: it must end in .tif or .tiff.")
        self._folder = Folder(self._path.parent, "destination.path")
        self._volume: Volume | None = None
        self.label = str(self._path)
        self.identity = identity_of(self._path)

    def accepts(self, dtype: UInt) -> UInt:
        return dtype

    def expect(self, volume: Volume) -> None:
        self._volume = volume
        header = Header(volume.box.size.x, volume.box.size.y, volume.dtype)
        pages = volume.box.size.z * volume.times.size
        sized, resolution = for_imagej(volume.voxel_size, volume.voxel_unit)
        self._form = BigTiff(header, pages, self._settings.compression, _description(volume, sized), resolution)
        self._draft = SharedDraft(self._path, volume.stamp)

    def check(self, volume: Volume) -> list[str]:
        self.expect(volume)
        self._check_others()
        self._folder.check_writable()
        left = self._left(volume)
        self._check_room(left)
        lines = [] if self._folder.exists() else [f"folder {self._folder}"]
        if left:
            form = f"BigTIFF (compression: {self._settings.compression})"
            lines.append(f"{left:,} planes, {self._form.page}, {form}, in {self._path.name}")
        return lines

    def prepare(self, volume: Volume) -> None:
        self.expect(volume)
        self._check_others()
        self._folder.create()
        self._folder.sweep(volume.stamp)
        with self._draft.lock():
            if self._settings.overwrite:
                for other in drafts_of_others(self._path, self._draft.path):
                    other.unlink(missing_ok=True)
            if not self._draft.exists() and not self._is_complete():
                self._draft.begin(self._form, self._folder, volume.stamp)

    @contextmanager
    def writer(self, box: Box, t: int) -> Iterator[StackWriter]:
        if not self._draft.exists():
            with self._draft.lock():
                if not self._draft.exists() and self._is_complete():
                    self._draft.reopen()
        with self._draft.open() as file:
            planes = StackWriter(self._draft, file, self._form, box, self._page(box.z.start, t))
            yield planes
            planes.finish()

    def finish(self, volume: Volume, say: Say, pause: Pause) -> tuple[str, ...]:
        """The file gets its name. Raises PermanentError when planes are missing in it."""
        self.expect(volume)
        with self._draft.lock():
            if self._draft.exists() or not self._is_complete():
                self._draft.publish(self._form, self._folder)
        self._draft.forget()
        return ()

    def read(self, box: Box, t: int) -> Piece:
        volume = self._prepared()
        out = np.empty(box.shape, volume.dtype)
        inside = box.shift(Vec(-volume.box.x.start, -volume.box.y.start, 0))
        pages = TiffPages(self._draft.current(), self._form.page, None)
        for z, plane in zip(range(*box.z), out, strict=True):
            place = self._form.place(self._page(z, t))
            name = f"plane {z} of {self._path.name}"
            with_retry(self._job.retry, partial(pages.read, place, name, inside.y, inside.x, plane))
        return Piece(out)

    def held(self, pieces: Sequence[tuple[Box, int]]) -> Mask:
        if not pieces or not self._draft.exists():
            return np.full(len(pieces), bool(pieces) and self._is_complete())
        with self._draft.open() as file:
            return np.fromiter((self._has_pages(file, box.z, t) for box, t in pieces), np.bool_, len(pieces))

    def close(self) -> None:
        """Nothing is kept open between two calls."""

    def _prepared(self) -> Volume:
        if self._volume is None:
            raise RuntimeError("the destination must be told what to expect before it is used")
        return self._volume

    def _has_pages(self, file: IO[bytes], z: Span, t: int) -> bool:
        first = self._page(z.start, t)
        return all(self._form.is_written(file, page) for page in range(first, first + z.size))

    def _page(self, z: int, t: int) -> int:
        volume = self._prepared()
        return (t - volume.times.start) * volume.box.size.z + z - volume.box.z.start

    def _is_complete(self) -> bool:
        """Whether the file that has the final name is of this job."""
        return self._path.exists() and self._stamp() == self._prepared().stamp

    def _stamp(self) -> object:
        """Of the job that wrote the file; None for files of others, whatever they are."""
        try:
            with translated(self.label), damage(self.label), tifffile.TiffFile(self._path) as tiff:
                return note_of(tiff.pages.first.description).get("stamp")
        except PermanentError:
            return None

    def _left(self, volume: Volume) -> int:
        """Planes that are not there yet."""
        if self._draft.exists():
            with self._draft.open() as file:
                return sum(1 for _ in self._form.missing(file))
        return 0 if self._is_complete() else self._form.pages

    def _check_others(self) -> None:
        """Raises JobError when something else has the name, or is going to have it."""
        if self._path.is_dir():
            raise JobError(f"destination.path={self._path} is a folder. Give the name of a file in it.")
        if self._settings.overwrite:
            self._check_not_source()
            return
        others = drafts_of_others(self._path, self._draft.path)
        if others or (self._path.exists() and not self._is_complete()):
            what = f"{others[0].name}, the beginning of it by another job," if others else "it"
            raise JobError(
                f"destination.path={self._path}: {what} is there already and was not written by this job. Choose "
                "another name, or set destination.overwrite=true to replace it."
            )

    def _check_not_source(self) -> None:
        source = self._job.source
        if isinstance(source, Source) and identity_of(file_of(self._job, source.path, "source.path")) == self.identity:
            raise JobError(
                f"destination.overwrite=true: {self._path} is the file of the source too, which would be lost. Give "
                "another destination.path."
            )

    def _check_room(self, planes: int) -> None:
        """Raises JobError only where no compression would help: how well it does is known afterwards."""
        plain = planes * self._form.page_bytes
        needed = plain if self._settings.compression == "none" else plain // SQUEEZE
        free = self._folder.room()
        if needed > free:
            raise JobError(
                f"destination.path={self._path}: at least {decimal(needed)} are needed, and "
                f"{decimal(free)} are free. Make room, or choose another disk."
            )


def _description(volume: Volume, sized: list[str]) -> bytes:
    """As ImageJ writes it, for the axes, and a line of ndex."""
    size, frames = volume.box.size, volume.times.size
    lines = ["ImageJ=1.54f", f"images={size.z * frames}", f"slices={size.z}"]
    lines += [f"frames={frames}", "hyperstack=true"] if frames > 1 else []
    note = {"stamp": volume.stamp, **volume.box.start._asdict()}
    return "\n".join([*lines, *sized, "loop=false", NOTE + json.dumps(note), ""]).encode("ascii") + b"\0"
