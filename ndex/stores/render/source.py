"""A stack of a render web service to read from."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import numpy as np

from ...boss.concurrent import for_each
from ...errors import JobError, PermanentError
from ...geometry import Box, Span, Vec
from ...job import Job, Retry
from ...retry import with_retry
from ...volume import Array, Facts, Piece, UInt
from .grid import Grid
from .picture import FORMATS, pixels
from .service import Service, Unrenderable
from .settings import Source
from .stack import Bounds, Catalogue, Sections, Stack, number

TILES = 999_999
"""Above its limit of tiles in a box, a service draws their outlines instead (render-api 8.1)."""
_OVERHEAD = 1 << 16
"""Bytes by which an answer may be longer than its pixels."""
IMPATIENT = 3
"""Tries of a question before a transfer."""


@dataclass(frozen=True)
class Known:
    """What was asked about the stack."""

    stack: Stack
    sections: Sections
    channel: str | None


class RenderSource:
    """One channel of a stack at one scale."""

    def __init__(self, job: Job, settings: Source) -> None:
        self._job = job
        self._settings = settings
        self._grid = Grid.at(settings.scale)
        self._dtype: UInt = np.dtype(settings.dtype)
        self._service = Service(settings.base)
        self._lock = threading.Lock()
        self._told: Known | None = None

    def facts(self) -> Facts:
        retry = self._job.retry
        few = replace(retry, attempts=min(IMPATIENT, retry.attempts), wait=min(1.0, retry.wait), max_wait=5.0)
        known = self._known(few)
        bounds = known.stack.bounds or self._catalogue(few).bounds_of(itertools.chain(*known.sections.values()))
        box = self._box(bounds, known)
        self._check_sections(known.sections, (self._job.extent.within(box) & box).z)
        grain = self._grid.voxels
        return Facts(
            label=self._label(known.stack),
            identity=self._identity(known),
            box=box,
            dtype=self._dtype,
            grain=Vec(grain, grain, 1),
            voxel_size=self._voxel_size(known.stack),
            voxel_unit="nanometers" if known.stack.voxel_size else None,
        )

    def read(self, box: Box, t: int) -> Piece:
        """Besides what every store raises: PermanentError for an answer that is no picture of the data. With
        `missing: fill`, sections that do not exist, and boxes with a tile that cannot be read, are zero instead."""
        known = self._known(self._job.retry)
        array: Array = np.zeros(box.shape, self._dtype)
        filled: set[int] = set()

        def fetch(part: Box) -> None:
            out = array[box.slices(part)][0]
            if not self._fetch(known, part, out):
                filled.add(part.start.z)

        for_each(fetch, self._grid.requests(box), self._job.parallel.requests)
        return Piece(array, tuple(sorted(filled)))

    def close(self) -> None:
        self._service.close()

    def _fetch(self, known: Known, part: Box, out: Array) -> bool:
        """Whether `out` holds what the service sent for a part of one plane; if not, it is zero."""
        fill = self._job.missing == "fill"
        there = known.sections.get(part.start.z, ())
        if not there:
            if not fill:
                raise PermanentError(f"{self._settings} has no section z={part.start.z}.")
            return False
        try:
            out[...] = with_retry(self._job.retry, lambda: self._image(known, there[0], part))
        except Unrenderable:
            if not fill:
                raise
            return False
        return True

    def _image(self, known: Known, z: float, part: Box) -> Array:
        """The voxels of a part of one plane."""
        x, y = self._grid.side(part.x), self._grid.side(part.y)
        form = FORMATS[self._settings.dtype]
        box = f"{x.start},{y.start},{x.size},{y.size},{self._settings.scale!r}"
        path = f"{self._catalogue(self._job.retry).path}/z/{number(z)}/box/{box}/{form.kind}"
        limit = x.pixels * y.pixels * form.pixel * 11 // 10 + _OVERHEAD
        body = self._service.image(path, self._query(known), limit)
        return pixels(body, self._dtype, x.pixels, y.pixels, f"GET {path}")[y.wanted, x.wanted]

    def _query(self, known: Known) -> dict[str, str]:
        """`v` is nothing to the service; it keeps caches from answering with what the stack was before (9)."""
        query = {"maxTileSpecsToRender": str(TILES)}
        if known.channel is not None:
            query["channels"] = known.channel
        if self._settings.window is not None:
            low, high = map(float, self._settings.window)
            query |= {"minIntensity": number(low), "maxIntensity": number(high)}
        return query | ({"v": known.stack.modified} if known.stack.modified else {})

    def _known(self, retry: Retry) -> Known:
        """What there is; asked for once, with the patience of `retry`."""
        with self._lock:
            if self._told is None:
                catalogue = self._catalogue(retry)
                stack = catalogue.stack()
                self._told = Known(stack, catalogue.sections(), _channel(stack, self._settings))
            return self._told

    def _catalogue(self, retry: Retry) -> Catalogue:
        return Catalogue(self._service, self._settings, retry)

    def _box(self, bounds: Bounds, known: Known) -> Box:
        x, y = map(self._grid.covering, bounds.low, bounds.high)
        return Box.of(x, y, known.sections.span)

    def _check_sections(self, sections: Sections, needed: Span) -> None:
        """Raises JobError for a plane that is asked for and is not there, or is there twice."""
        absent = None if self._job.missing == "fill" else sections.first_missing(needed)
        if absent is not None:
            raise JobError(
                f"source.stack={self._settings.stack}: {self._settings} has no section z={absent}. Give missing=fill "
                "to have zeros in place of missing sections, or narrow extent.z."
            )
        for plane in sections.within(needed):
            if len(sections[plane]) > 1:
                raise JobError(
                    f"source.stack={self._settings.stack}: the sections {', '.join(map(repr, sections[plane]))} of "
                    f"{self._settings} would all become plane {plane}. Merge them in a copy of the stack, or narrow "
                    "extent.z."
                )

    def _voxel_size(self, stack: Stack) -> tuple[float, float, float] | None:
        if stack.voxel_size is None:
            return None
        x, y, z = stack.voxel_size
        return x / self._settings.scale, y / self._settings.scale, z

    def _label(self, stack: Stack) -> str:
        state = "" if stack.state in ("COMPLETE", "READ_ONLY") else f" ({stack.state})"
        return f"{self._settings}{state} at scale {self._settings.scale:g} on {self._settings.host}"

    def _identity(self, known: Known) -> str:
        """With the time of the last change: a stack that was changed is another one."""
        settings = self._settings
        view = {"scale": repr(settings.scale), "dtype": settings.dtype, **self._query(known)}
        del view["maxTileSpecsToRender"]
        return f"render+{settings.base}/{settings}?{urlencode(sorted(view.items()))}"


def _channel(stack: Stack, settings: Source) -> str | None:
    """The channel to ask for, None to leave it to the service. An unknown name would bring empty images (6.3)."""
    names, asked = stack.channels, settings.channel or stack.default_channel
    if not names:
        if settings.channel is not None:
            reason = "has no named channels" if names is not None else "does not say which channels it has"
            raise JobError(f"source.channel={settings.channel}: {settings} {reason}. Leave source.channel out.")
        return None
    if asked is None and len(names) > 1:
        raise JobError(f"source.channel is not set, and {settings} has {', '.join(names)}. Choose one.")
    if asked is not None and asked not in names:
        raise JobError(f"source.channel={asked}: {settings} has no such channel; there is {', '.join(names)}.")
    return asked or names[0]
