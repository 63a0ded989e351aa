"""A stack of a render web service to read from."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, replace

import numpy as np

from ...boss.concurrent import for_each
from ...errors import PermanentError
from ...geometry import Box, Vec
from ...job import Job, Retry
from ...retry import with_retry
from ...volume import Array, Facts, Piece, UInt
from .grid import Grid
from .picture import FORMATS, pixels
from .probe import check_shown
from .sections import Sections
from .service import Service, Unrenderable
from .settings import Source
from .stack import Bounds, Catalogue, number
from .view import View

OVERHEAD = 1 << 16
"""Bytes by which an answer may be longer than its pixels."""
IMPATIENT = 3
"""Tries of a question before a transfer."""


@dataclass(frozen=True)
class Known:
    """What the service was asked about the stack."""

    view: View
    sections: Sections


class RenderSource:
    """One channel of a stack at one scale."""

    def __init__(self, job: Job, settings: Source) -> None:
        self._job = job
        self._settings = settings
        self._fill = job.missing == "fill"
        self._grid = Grid.at(settings.scale)
        self._dtype: UInt = np.dtype(settings.dtype)
        self._service = Service(settings.base)
        self._lock = threading.Lock()
        self._told: Known | None = None

    def facts(self) -> Facts:
        retry = self._job.retry
        few = replace(retry, attempts=min(IMPATIENT, retry.attempts), wait=min(1.0, retry.wait), max_wait=5.0)
        known, catalogue = self._known(few), self._catalogue(few)
        view, sections = known.view, known.sections
        box = self._box(view.stack.bounds or catalogue.bounds_of(itertools.chain(*sections.values())), sections)
        needed = (self._job.extent.within(box) & box).z
        sections.check(needed, self._settings, self._fill)
        if view.unchecked:
            planes = sections.within(needed) or sorted(sections)
            check_shown(view, catalogue, [sections[plane][0] for plane in planes], self._service, few)
        return Facts(
            label=view.label,
            identity=view.identity,
            box=box,
            dtype=self._dtype,
            grain=Vec(self._grid.voxels, self._grid.voxels, 1),
            voxel_size=view.voxel_size,
            voxel_unit="nanometers" if view.voxel_size else None,
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
        there = known.sections.get(part.start.z, ())
        if not there:
            if not self._fill:
                raise PermanentError(f"{self._settings} has no section z={part.start.z}.")
            return False
        try:
            out[...] = with_retry(self._job.retry, lambda: self._image(known.view, there[0], part))
        except Unrenderable:
            if not self._fill:
                raise
            return False
        return True

    def _image(self, view: View, z: float, part: Box) -> Array:
        """The voxels of a part of one plane."""
        x, y = self._grid.side(part.x), self._grid.side(part.y)
        form = FORMATS[self._settings.dtype]
        box = f"{x.start},{y.start},{x.size},{y.size},{self._grid.scale!r}"
        path = f"{self._settings.path}/z/{number(z)}/box/{box}/{form.kind}"
        limit = x.pixels * y.pixels * form.pixel * 11 // 10 + OVERHEAD
        body = self._service.image(path, view.query, limit)
        return pixels(body, self._dtype, x.pixels, y.pixels, f"GET {path}")[y.wanted, x.wanted]

    def _known(self, retry: Retry) -> Known:
        """What there is; asked for once, with the patience of `retry`."""
        with self._lock:
            if self._told is None:
                catalogue = self._catalogue(retry)
                self._told = Known(View.of(catalogue.stack(), self._settings), catalogue.sections())
            return self._told

    def _catalogue(self, retry: Retry) -> Catalogue:
        return Catalogue(self._service, self._settings, retry)

    def _box(self, bounds: Bounds, sections: Sections) -> Box:
        x, y = map(self._grid.covering, bounds.low, bounds.high)
        return Box.of(x, y, sections.span)
