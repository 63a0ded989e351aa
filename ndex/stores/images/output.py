"""A run of planes while it is written: bands of rows go to one draft a plane, and all get their names at the end."""

from __future__ import annotations

from collections.abc import Sequence

from ...boss.concurrent import for_each
from ...files import Draft, Place, translated
from ...geometry import Box
from ...job import Job
from ...retry import with_retry
from ...volume import Array, Volume
from .growing_tiff import GrowingTiff
from .plane import Header
from .png import GrowingPng
from .settings import Compression


class PlaneWriter:
    """Writes whole planes of a volume from bands that come from top to bottom."""

    def __init__(
        self,
        folder: Place,
        names: Sequence[str],
        box: Box,
        volume: Volume,
        compression: Compression | None,
        job: Job,
    ) -> None:
        """`compression` is that of TIFF; None: PNG. `job` says how patient, and how many files may be sent at once."""
        self._folder, self._names, self._box, self._volume = folder, names, box, volume
        self._compression, self._retry = compression, job.retry
        self._at_once = job.parallel.requests if folder.is_remote else 1
        self._drafts: list[Draft] = []
        self._files: list[GrowingPng | GrowingTiff] = []
        self._row = box.y.start

    def write(self, box: Box, array: Array) -> None:
        """The next band: the full width of the planes, and all of them."""
        if (box.x, box.z, box.y.start) != (self._box.x, self._box.z, self._row) or array.shape != box.shape:
            raise ValueError(f"{box} with {array.shape} does not continue {self._box} at row {self._row}")
        if not self._files:
            self._begin()
        for name, file, rows in zip(self._names, self._files, array, strict=True):
            with translated(self._folder.where(name)):
                file.append(rows)
        self._row = box.y.stop

    def publish(self) -> None:
        """Complete the files and give them their names."""
        if self._row != self._box.y.stop or not self._files:
            raise ValueError(f"{self._box} ended at row {self._row}")
        for_each(self._publish, zip(self._drafts, self._files, strict=True), self._at_once)
        self._folder.sync()

    def _publish(self, plane: tuple[Draft, GrowingPng | GrowingTiff]) -> None:
        draft, file = plane
        with translated(draft.final):
            file.finish()
        draft.complete()
        with_retry(self._retry, draft.publish)

    def discard(self) -> None:
        """Remove what was not published."""
        for draft in self._drafts:
            draft.discard()

    def _begin(self) -> None:
        header = Header(self._box.size.x, self._box.size.y, self._volume.dtype)
        for z, name in zip(range(*self._box.z), self._names, strict=True):
            draft = self._folder.draft(name, self._volume.stamp)
            self._drafts.append(draft)
            with translated(draft.final):
                self._files.append(self._file(draft, header, z))

    def _file(self, draft: Draft, header: Header, z: int) -> GrowingPng | GrowingTiff:
        if self._compression is None:
            return GrowingPng(draft.file, header, self._volume.stamp)
        note = {"stamp": self._volume.stamp, "x": self._box.x.start, "y": self._box.y.start, "z": z}
        return GrowingTiff(draft.file, header, self._compression, note)
