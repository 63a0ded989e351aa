"""Ids of annotations: reserved, listed, found (boss-api 8)."""

from __future__ import annotations

import math

import numpy as np

from ..errors import DamagedData
from ..geometry import Box, Tiling
from . import catalog
from .downsample import layer
from .faults import BossFault, Code, no_permission
from .hierarchy import CUBOID
from .messages import Request, Response, json_response
from .records import Channel
from .regions import check_computed, check_level, region_of
from .site import Site, channel_of, channel_row, may_read

MAX_COUNT = 1 << 62
SEARCH = 6 * math.prod(CUBOID) * 8
"""Bytes that looking through a cuboid of labels takes: itself, and where in it something is, along three axes."""


def reserve(site: Site, request: Request, c: str, e: str, ch: str, n: str) -> Response:
    """The start is a number, the count the text of the URL."""
    with site.catalog.transaction() as db:
        row = channel_row(db, c, e, ch)
        if not request.trusted:
            raise no_permission("reserve ids of", ch)
        need_annotation(row["type"] == "annotation", ch)
        start, count = row["next_id"], parse_count(n)
        if start + count > MAX_COUNT:
            raise BossFault(Code.TYPE_ERROR, f"{n} ids are more than are left.")
        catalog.update(db, "channel", row["id"], {"next_id": start + count})
    return json_response(200, {"start_id": start, "count": n})


def parse_count(text: str) -> int:
    if len(text) > len(str(MAX_COUNT)):
        raise BossFault(Code.TYPE_ERROR, "The number of ids has too many digits.")
    return int(text)


def ids(site: Site, request: Request, c: str, e: str, ch: str, R: str, **ranges: str) -> Response:
    """Ascending, as texts, without 0. The time range is checked and then ignored, as on a BOSS."""
    channel = channel_of(site, c, e, ch)
    if not request.trusted:
        raise no_permission("read the ids of", ch)
    need_annotation(channel.annotation, ch)
    region = region_of(request, channel, R, **ranges)
    check_computed(channel, region.level)
    found: set[int] = set()
    try:
        for cell in Tiling(region.box, CUBOID):
            with site.gate.hold(SEARCH):
                piece = site.volume.read(layer(channel, region.level, region.iso), cell)
                found.update(np.unique(piece).tolist())
    except (OSError, DamagedData) as error:
        raise unreadable() from error
    return json_response(200, {"ids": [str(label) for label in sorted(found - {0})]})


def bounding_box(site: Site, request: Request, c: str, e: str, ch: str, R: str, id: str) -> Response:
    channel = channel_of(site, c, e, ch)
    may_read(request, ch, channel.public)
    need_annotation(channel.annotation, ch)
    label = parse_id(id)
    level = check_level(channel, R)
    kind = request.query.get("type", "loose").lower()
    if kind not in ("loose", "tight"):
        raise BossFault(Code.INVALID_OPTION, "type must be loose or tight.")
    check_computed(channel, level)
    try:
        box = box_of(site, channel, level, label, tight=kind == "tight")
    except (OSError, DamagedData) as error:
        raise unreadable() from error
    if box is None:
        raise BossFault(Code.ID_NOT_FOUND, f"Id {label} is not in channel {ch}.")
    ranges = {"x_range": list(box.x), "y_range": list(box.y), "z_range": list(box.z)}
    return json_response(200, ranges | {"t_range": [0, 1]})


def box_of(site: Site, channel: Channel, level: int, label: int, *, tight: bool) -> Box | None:
    """The box around an id: its own, or that of the cuboids that it touches."""
    if not 0 < label <= np.iinfo(channel.dtype).max:
        return None
    where = layer(channel, level, iso=False)
    boxes = []
    for cuboid in site.volume.cuboids(where):
        with site.gate.hold(SEARCH):
            positions = np.nonzero(site.volume.read(where, cuboid) == label)
            if len(positions[0]):
                inner = Box.of(*((int(axis.min()), int(axis.max()) + 1) for axis in reversed(positions)))
                boxes.append(inner.shift(cuboid.start) if tight else cuboid)
    return around(boxes) if boxes else None


def around(boxes: list[Box]) -> Box:
    x, y, z = ((min(b.start[axis] for b in boxes), max(b.stop[axis] for b in boxes)) for axis in range(3))
    return Box.of(x, y, z)


def parse_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise BossFault(Code.TYPE_ERROR, f"{text!r} is not the id of an object.")
    return int(text)


def need_annotation(annotation: bool, name: str) -> None:
    if not annotation:
        raise BossFault(Code.DATATYPE_UNSUPPORTED, f"Channel {name} holds an image: it has no ids.")


def unreadable() -> BossFault:
    return BossFault(Code.UNREADABLE, "The stored voxels cannot be read.")
