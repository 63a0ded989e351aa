"""A volume in one file to read from."""

from __future__ import annotations

import base64
import json
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import JobError, Missing, PermanentError
from ...files import translated
from ...geometry import Box, Span, Vec
from ...job import Job
from ...retry import with_retry
from ...volume import WHOLE, Array, Facts, Piece
from ..images.listing import CHECKED
from ..images.plane import Header, Unfit
from ..images.tiff import MAGIC
from .contents import ABSENT, Contents
from .settings import Source, file_of, identity_of


class StackSource:
    """The planes of one file. Which of them is where is found out once, in every process."""

    def __init__(self, job: Job, settings: Source) -> None:
        self._settings, self._retry, self._fill = settings, job.retry, job.missing == "fill"
        self._path = file_of(job, settings.path, "source.path")
        self._lock = threading.Lock()
        self._known: Contents | None = None
        self.label = str(self._path)

    def facts(self) -> Facts:
        contents = self._contents()
        header = contents.header
        frames, slices = contents.places.shape
        return Facts(
            label=self.label,
            identity=self._identity(),
            box=Box.at(self._origin(contents), Vec(header.width, header.height, slices)),
            dtype=header.dtype,
            times=Span(0, frames),
            grain=Vec(WHOLE, max(header.rows, self._check_pages(contents)), 1),
            voxel_size=contents.voxel_size,
            voxel_unit=contents.voxel_unit,
        )

    def metadata(self) -> str:
        """What the file says of itself, as JSON."""
        return json.dumps(dict(self._contents().metadata), indent=2, default=_plain)

    def read(self, box: Box, t: int) -> Piece:
        """Besides what every store raises: DamagedData names the file and the plane; with `missing: fill` it is zero
        instead."""
        contents = self._contents()
        out = np.empty(box.shape, contents.header.dtype)
        inside = box.shift(Vec(0, 0, 0).minus(self._origin(contents)))
        planes = zip(range(*box.z), range(*inside.z), out, strict=True)
        with contents.planes.turn():
            filled = [z for z, there, plane in planes if not self._read_plane(contents, t, there, inside, plane)]
        return Piece(out, tuple(filled))

    def close(self) -> None:
        with self._lock:
            if self._known is not None:
                self._known.planes.close()

    def _identity(self) -> str:
        keys = ("origin", "band", "series", "level", "flatten")
        chosen = {key: getattr(self._settings, key) for key in keys}
        return identity_of(self._path, **{key: value for key, value in chosen.items() if value != getattr(Source, key)})

    def _origin(self, contents: Contents) -> Vec:
        return contents.origin if self._settings.origin is None else Vec(*self._settings.origin)

    def _contents(self) -> Contents:
        """Looks into the file, once for all threads."""
        with self._lock:
            if self._known is None:
                try:
                    self._known = with_retry(self._retry, partial(contents_of, self._path, self._settings))
                except PermanentError as error:
                    raise JobError(f"source.path={self._path}: {error}") from error
            return self._known

    def _check_pages(self, contents: Contents) -> int:
        """Rows that are decoded together, at most. Damaged pages are left to fail when it is their turn.

        Raises JobError for a page that is not like the others."""
        rows = 1
        count = contents.places.size
        for i in range(0, count, -(-count // CHECKED)):
            t, z = divmod(i, contents.places.shape[1])
            if contents.places[t, z] == ABSENT:
                continue
            header = self._header_of(contents, t, z)
            if header is not None and header != contents.header:
                raise JobError(
                    f"source.path={self._path}: {contents.plane(t, z)} is {header}, while others are "
                    f"{contents.header}. All planes must agree: take it out, or save it as a file of its own."
                )
            rows = max(rows, header.rows if header else 1)
        return rows

    def _header_of(self, contents: Contents, t: int, z: int) -> Header | None:
        try:
            return contents.planes.header(int(contents.places[t, z]), contents.plane(t, z))
        except Unfit as error:
            raise JobError(f"source.path={self._path}: {error}") from error
        except PermanentError:
            return None

    def _read_plane(self, contents: Contents, t: int, z: int, box: Box, out: Array) -> bool:
        """Whether `out` holds what is in the file; if not, it is zero."""
        try:
            with_retry(self._retry, partial(contents.read, t, z, box.y, box.x, out))
        except Unfit:
            raise
        except PermanentError:
            if not self._fill:
                raise
            out[...] = 0
            return False
        return True


def contents_of(path: Path, settings: Source) -> Contents:
    """What a file holds, by its first bytes. Raises Missing, DamagedData, Unfit, JobError or TransientError."""
    if not path.exists():
        raise Missing(f"source.path={path}: there is no such file.")
    if path.is_dir():
        raise JobError(f"source.path={path} is a folder. Give a file, or use source=images for a folder of planes.")
    with translated(str(path)):
        with open(path, "rb") as file:
            start = file.read(8)
        if start[:4] in MAGIC:
            from . import tiff

            return tiff.contents_of(path, settings)
        from . import nifti

        if nifti.is_nifti(start, path.name):
            return nifti.contents_of(path, settings)
    what = "neither TIFF nor NIfTI. Convert it to one of them first." if start else "empty."
    raise Unfit(f"{path.name} is {what}")


def _plain(value: Any) -> object:
    """What JSON has no word for."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)
