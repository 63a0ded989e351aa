"""Cutouts: read, write, erase (boss-api 7)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import DamagedData
from . import formats
from .faults import BossFault, Code
from .messages import Request, Response
from .regions import Region, check_computed, check_size, check_writable, region_to_read, region_to_write
from .site import Site

Array: TypeAlias = npt.NDArray[Any]

MAX_BODY = 550 << 20
"""Bytes of a request as sent (boss-api 1.5)."""

MAX_ID_DIGITS = 20


def get(site: Site, request: Request, **where: str) -> Response:
    media_type = formats.media_type_wanted(request)
    check_options(request)
    region = region_to_read(site, request, **where)
    ids = filter_ids(request)
    check_size(region)
    check_computed(region.channel, region.level)
    with ExitStack() as room:
        room.enter_context(site.gate.hold(2 * nbytes(region)))
        array = read(site, region)
        if ids is not None:
            keep(array, ids)
        body = formats.encode(media_type, array, region)
        return Response(200, body, media_type, sent=room.pop_all().close)


def post(site: Site, request: Request, **where: str) -> Response:
    """The status of the downsampling goes back to NOT_DOWNSAMPLED: the levels are stale now."""
    media_type = formats.check_uploadable(request)
    region = region_to_write(site, request, **where)
    check_size(region)
    with site.gate.hold(2 * nbytes(region)):
        array = formats.decode(media_type, request.body.read(MAX_BODY), region)
        check_writable(region)
        write(site, region, array)
    forget_downsampling(site, region)
    return Response(201)


def to_black(site: Site, request: Request, **where: str) -> Response:
    region = region_to_write(site, request, **where)
    check_size(region)
    check_writable(region)
    try:
        for layer in region.layers():
            site.volume.erase(layer, region.box)
    except (OSError, DamagedData) as error:
        raise storage_fault("erasing", error) from error
    return Response(200)


def read(site: Site, region: Region) -> Array:
    """The voxels in the shape of the region. Raises BossFault (5000)."""
    array: Array = np.empty((region.times.size, *region.box.shape), region.channel.dtype)
    try:
        for sample, layer in zip(array, region.layers(), strict=True):
            site.volume.read_into(sample, layer, region.box)
    except (OSError, DamagedData) as error:
        raise BossFault(Code.UNREADABLE, f"The stored voxels cannot be read: {describe(error)}") from error
    return array.reshape(region.shape)


def keep(array: Array, ids: list[np.uint64]) -> None:
    """Make all other labels zero; plane by plane, since this takes several times the memory of what it looks at."""
    for plane in array.reshape(-1, *array.shape[-2:]):
        plane[~np.isin(plane, ids)] = 0


def write(site: Site, region: Region, array: Array) -> None:
    """Store samples (t, z, y, x), as many as there are. Raises BossFault (9001), a BOSS's word for any failure here."""
    try:
        for sample, layer in zip(array, region.layers(), strict=False):
            site.volume.write(layer, region.box, sample)
    except (OSError, DamagedData) as error:
        raise storage_fault("writing", error) from error


def storage_fault(doing: str, error: Exception) -> BossFault:
    return BossFault(Code.SYSTEM, f"The storage failed while {doing}: {describe(error)}")


def describe(error: Exception) -> str:
    """What happened, without the folders of this machine."""
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)


def forget_downsampling(site: Site, region: Region) -> None:
    """Asked after the write: the levels may have been finished in the meantime."""
    where = "WHERE id = ? AND downsample_status = 'DOWNSAMPLED'"
    with site.catalog.connection() as db:
        stale = db.execute(f"SELECT 1 FROM channel {where}", (region.channel.id,)).fetchone()
    if stale:
        with site.catalog.transaction() as db:
            db.execute(f"UPDATE channel SET downsample_status = 'NOT_DOWNSAMPLED' {where}", (region.channel.id,))


def nbytes(region: Region) -> int:
    return region.times.size * region.box.voxels * region.channel.dtype.itemsize


def check_options(request: Request) -> None:
    """How to use the cache is checked, though there is none. Raises BossFault (1001)."""
    mode, old = (request.query.get(name, "").lower() for name in ("access-mode", "no-cache"))
    if (mode and old) or mode not in ("", "cache", "no-cache", "raw") or old not in ("", "true", "false"):
        raise BossFault(Code.INVALID_CUTOUT, "Give either access-mode=cache|no-cache|raw or no-cache=true|false.")


def filter_ids(request: Request) -> list[np.uint64] | None:
    """Ids of the query's `filter`. Raises BossFault (1001)."""
    if "filter" not in request.query:
        return None
    texts = [text.strip() for text in request.query["filter"].split(",")]
    if not all(text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS for text in texts):
        raise BossFault(Code.INVALID_CUTOUT, "filter must be a list of ids, separated by commas.")
    return [np.uint64(int(text)) for text in texts if int(text) < 1 << 64]
