"""Whether a channel is there, for a stack that does not say which channels it has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from ...errors import JobError
from ...job import Retry
from ...retry import with_retry
from .picture import is_transparent
from .service import Service
from .stack import Bounds, Catalogue, number
from .view import View

PIXELS = 64
"""Of an image that is looked at, along each side."""
LIMIT = 1 << 16
"""Bytes of such an image."""


def check_shown(view: View, catalogue: Catalogue, sections: Sequence[float], service: Service, retry: Retry) -> None:
    """Raises JobError when the channel is transparent all over the first, the middle and the last section.

    An unknown name brings empty images instead of an error, while every tile of a known one has opaque pixels
    (render-api 6.1, 6.3).
    """
    for z in dict.fromkeys((sections[0], sections[len(sections) // 2], sections[-1])):
        path = f"{view.settings.path}/z/{number(z)}/box/{_overview(catalogue.bounds_of([z]))}/png-image"
        body = with_retry(retry, partial(service.image, path, view.query, LIMIT))
        if not is_transparent(body, f"GET {path}"):
            return
    raise JobError(
        f"source.channel={view.channel}: {view.settings} does not say which channels it has, and shows nothing of this "
        "one. Correct the name, or leave source.channel out."
    )


def _overview(bounds: Bounds) -> str:
    """A square around a section, and a scale at which it is small."""
    (x, y), (right, bottom) = map(math.floor, bounds.low), map(math.ceil, bounds.high)
    side = max(right - x, bottom - y, 1)
    return f"{x},{y},{side},{side},{1 / math.ceil(side / PIXELS)!r}"
