"""A folder of image files to read from."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...boss.concurrent import for_each
from ...errors import JobError, PermanentError
from ...files import place_at
from ...geometry import Box, Span, Vec
from ...job import Job
from ...retry import with_retry
from ...volume import WHOLE, Array, Facts, Piece
from .formats import open_plane, read_plane
from .listing import CHECKED, THREADS, Listing, check_complete, identity_of, list_planes, spread
from .pattern import Pattern, parse, split, with_channel
from .plane import Header, Unfit, at_once
from .settings import Source


@dataclass(frozen=True)
class Planes:
    """The files of the source and where they lie."""

    listing: Listing
    origin: Vec
    """Of the first pixel of file number 0."""
    needed: Span
    """Planes that the job asks for, numbered as the files."""

    @property
    def z(self) -> Span:
        return Span(self.listing.z.start + self.origin.z, self.listing.z.stop + self.origin.z)

    @property
    def names(self) -> list[str]:
        """The files that the job needs."""
        return [name for (_, z), name in self.listing.names.items() if self.needed.start <= z < self.needed.stop]


class ImageSource:
    """Planes in the files of one folder."""

    def __init__(self, job: Job, settings: Source) -> None:
        self._settings, self._retry, self._fill = settings, job.retry, job.missing == "fill"
        self._extent, self._requests = job.extent, job.parallel.requests
        channel = job.resource.channel if job.resource else None
        below, self._pattern = _parsed(settings.pattern, channel)
        if settings.z_step > 1 and not isinstance(self._pattern, Pattern):
            raise JobError(
                f"source.z_step={settings.z_step} needs a plane number in source.pattern, as in em_%04d.tif."
            )
        path = with_channel(settings.path, channel, "source.path")
        self.folder = place_at(path, "source.path", settings.access).below(below)
        self._lock = threading.Lock()
        self._known: Planes | None = None
        self._common: Header | None = None
        self.label = self.folder.where((settings.pattern or "").rpartition("/")[2])

    def facts(self) -> Facts:
        planes = self._planes()
        if not self._fill:
            typed = self._settings.pattern
            key = f"source.pattern={typed}" if typed else f"{self.folder.key}={self.folder}"
            check_complete(planes.listing, planes.needed, self._settings.z_step, key)
        headers = self._headers(planes.names)
        self._common = common = _agreed(headers)
        start = Vec(planes.origin.x, planes.origin.y, planes.z.start)
        return Facts(
            label=self.label,
            identity=self._identity(),
            box=Box.at(start, Vec(common.width, common.height, planes.z.size)),
            dtype=common.dtype,
            times=planes.listing.times,
            grain=Vec(WHOLE, max(header.rows for header in headers.values()), 1),
        )

    def read(self, box: Box, t: int) -> Piece:
        """Besides what every store raises: DamagedData and PermanentError name the file; with `missing: fill` its
        plane is zero instead."""
        planes, common = self._planes(), self._header()
        out = np.empty(box.shape, common.dtype)
        inside = box.shift(Vec(0, 0, 0).minus(planes.origin))
        filled: set[int] = set()

        def fill(plane: tuple[int, Array]) -> None:
            z, pixels = plane
            if not self._read_plane(planes.listing.names.get((t, z)), z, inside, pixels):
                filled.add(z + planes.origin.z)

        for_each(fill, zip(range(*inside.z), out, strict=True), at_once(self.folder, common, self._requests))
        return Piece(out, tuple(sorted(filled)))

    def close(self) -> None:
        self.folder.close()

    def _identity(self) -> str:
        settings = self._settings
        names = str(self._pattern or "*")
        step = settings.z_step if settings.z_step > 1 else None
        band = None if settings.band is None else str(settings.band)
        return identity_of(self.folder, names, z_step=step, origin=settings.origin, band=band)

    def _planes(self) -> Planes:
        """Lists the folder, once for all threads."""
        with self._lock:
            if self._known is None:
                self._known = self._list()
            return self._known

    def _list(self) -> Planes:
        settings = self._settings
        key = f"source.pattern={settings.pattern or 'null'}"
        listing = list_planes(self.folder, self._pattern, settings.z_step, key, self._retry)
        x, y, z = settings.origin or (0, 0, listing.z.start)
        origin = Vec(x, y, z - listing.z.start)
        first, last = self._extent.z or (z, z + listing.z.size)
        needed = Span(max(first - origin.z, listing.z.start), min(last - origin.z, listing.z.stop))
        return Planes(listing, origin, needed if needed.size else listing.z)

    def _header(self) -> Header:
        """What all planes must be like: of the first one that is sound, where no facts were asked for."""
        if self._common is None:
            self._common = self._first_sound()
        return self._common

    def _first_sound(self) -> Header:
        for name in self._planes().names:
            with suppress(PermanentError):  # said when this file is read, if it is
                return self._open_header(name)
        raise PermanentError(f"{self.label}: none of the files can be read.")

    def _headers(self, names: Sequence[str]) -> dict[str, Header]:
        """Headers by name, without those of damaged files: these fail when it is their turn, and no others with them.

        Raises JobError for a file that is no plane, or when not one can be read.
        """
        chosen = spread(names, CHECKED)
        with ThreadPoolExecutor(THREADS) as pool:
            headers = dict(zip(chosen, pool.map(self._read_header, chosen), strict=True))
        sound = {name: header for name, header in headers.items() if isinstance(header, Header)}
        if not sound:
            raise JobError(
                f"source.path={self.folder}: none of the {len(chosen):,} files can be read. {headers[chosen[0]]}"
            )
        return sound

    def _open_header(self, name: str) -> Header:
        def work() -> Header:
            with open_plane(self.folder, name, self._settings.band) as plane:
                return plane.header

        return with_retry(self._retry, work)

    def _read_header(self, name: str) -> Header | PermanentError:
        try:
            return self._open_header(name)
        except Unfit as error:
            raise JobError(f"source.path={self.folder}: {error}") from error
        except PermanentError as error:
            return error

    def _missing(self, z: int) -> str:
        """The file that should be there."""
        if isinstance(self._pattern, Pattern) and not self._pattern.wild:
            return self.folder.where(self._pattern.name(z * self._settings.z_step))
        return f"{self.label}: a file for plane {z}"

    def _read_plane(self, name: str | None, z: int, box: Box, out: Array) -> bool:
        """Whether `out` holds what is in the file; if not, it is zero."""
        try:
            if name is None:
                raise PermanentError(f"{self._missing(z)} does not exist.")
            part = partial(read_plane, self.folder, name, self._header(), box.y, box.x, out, self._settings.band)
            with_retry(self._retry, part)
        except Unfit:
            raise
        except PermanentError:
            if not self._fill:
                raise
            out[...] = 0
            return False
        return True


def _parsed(text: str | None, channel: str | None) -> tuple[str, Pattern | str | None]:
    """Folder below the path, and the pattern with its numbers; a text if it is a glob."""
    if text is None:
        return "", None
    below, name = split(with_channel(text, channel, "source.pattern"), "source.pattern")
    pattern = parse(name, "source.pattern")
    return below, pattern if pattern.has("z") else name


def _agreed(headers: dict[str, Header]) -> Header:
    """What all files agree on. Raises JobError naming one that differs from most."""
    (most, count), *_ = Counter(headers.values()).most_common()
    for name, header in headers.items():
        if header != most:
            raise JobError(
                f"source.pattern: {name} is {header}, while {count:,} of {len(headers):,} files are {most}. "
                "All planes must agree: move it away, or narrow source.pattern or extent.z."
            )
    return most
