"""The sections of a stack as the planes of a volume. Pure."""

from __future__ import annotations

import math
from typing import Any

from ...errors import JobError
from ...geometry import Span
from .settings import Source


class Sections(dict[int, tuple[float, ...]]):
    """z as the service knows it, by plane: its integral part (render-api 10). Mostly one for a plane."""

    @classmethod
    def parse(cls, told: Any) -> Sections:
        planes = cls()
        for z in sorted({float(z) for z in told}):
            plane = math.floor(z)
            planes[plane] = (*planes.get(plane, ()), z)
        return planes

    @property
    def span(self) -> Span:
        return Span(min(self), max(self) + 1)

    def within(self, span: Span) -> list[int]:
        """The planes of a range that there are, in order."""
        return sorted(plane for plane in self if span.start <= plane < span.stop)

    def first_missing(self, span: Span) -> int | None:
        """The first plane of a range that there is not. The range may be longer than what can be counted through."""
        there = self.within(span)
        return next((plane for plane, z in enumerate([*there, span.stop], span.start) if plane != z), None)

    def check(self, needed: Span, source: Source, fill: bool) -> None:
        """Raises JobError for a plane of a range that is there twice or, unless it may be filled, that is not there."""
        absent = None if fill else self.first_missing(needed)
        if absent is not None:
            raise JobError(
                f"source.stack={source.stack}: {source} has no section z={absent}. Give missing=fill to have zeros in "
                "place of missing sections, or narrow extent.z."
            )
        for plane in self.within(needed):
            if len(self[plane]) > 1:
                raise JobError(
                    f"source.stack={source.stack}: the sections {', '.join(map(repr, self[plane]))} of {source} would "
                    f"all become plane {plane}. Merge them in a copy of the stack, or narrow extent.z."
                )
