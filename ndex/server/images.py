"""Single planes as pictures: the image and the tile service (boss-api 11)."""

from __future__ import annotations

import io
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..boss.wire import MAX_REQUEST_BYTES
from .cutouts import check_options, nbytes, read
from .faults import BossFault, Code, HttpFault
from .formats import JPEG, JPEG_MAX, JPEG_QUALITY, accepted
from .messages import Request, Response
from .regions import MAX_DIGITS, Region, check_computed, region_to_read
from .site import Site

Array: TypeAlias = npt.NDArray[Any]

PNG = "image/png"
PLANES = {"xy": "z", "xz": "y", "yz": "x"}
"""The axis that a plane is perpendicular to."""


def image(site: Site, request: Request, plane: str, px: str, py: str, pz: str, **where: str) -> Response:
    """Two arguments are ranges, the third an index."""
    normal = normal_of(plane)
    ranges = {"x": px, "y": py, "z": pz}
    index = number(ranges[normal])
    ranges[normal] = f"{index}:{index + 1}"
    for axis in plane:
        start, colon, stop = ranges[axis].partition(":")
        if not colon:
            raise BossFault(Code.INVALID_CUTOUT, f"{axis} must be a range, not {ranges[axis]!r}.")
        ranges[axis] = f"{number(start)}:{number(stop)}"
    return picture(site, request, normal, where | ranges)


def tile(site: Site, request: Request, plane: str, size: str, px: str, py: str, pz: str, **where: str) -> Response:
    """Two arguments count tiles, the third voxels."""
    normal = normal_of(plane)
    ranges = {}
    for axis, text in zip("xyz", (px, py, pz), strict=True):
        index, step = number(text), 1 if axis == normal else number(size)
        ranges[axis] = f"{index * step}:{(index + 1) * step}"
    return picture(site, request, normal, where | ranges)


def picture(site: Site, request: Request, normal: str, where: dict[str, str]) -> Response:
    from PIL import Image  # not before somebody asks for one

    media_type = media_type_wanted(request)
    check_options(request)
    region = region_to_read(site, request, **where)
    check_picture(region, media_type)
    check_computed(region.channel, region.level)
    with site.gate.hold(2 * nbytes(region)):
        voxels = read(site, region).reshape(-1, *region.box.shape)[0]
        flat = coloured(voxels.squeeze(axis="zyx".index(normal)), media_type)
        file = io.BytesIO()
        Image.fromarray(flat).save(file, media_type.removeprefix("image/"), quality=JPEG_QUALITY, compress_level=1)
    return Response(200, file.getvalue(), media_type)


def check_picture(region: Region, media_type: str) -> None:
    """Here 64-bit voxels count as many bytes as they have (boss-api 7.3)."""
    if nbytes(region) > MAX_REQUEST_BYTES or (media_type == JPEG and max(region.box.size) > JPEG_MAX):
        raise BossFault(Code.TOO_LARGE, "The picture is too large.")


def coloured(plane: Array, media_type: str) -> Array:
    """8-bit grey; labels get colours that tell neighbours apart, with 0 transparent."""
    if plane.itemsize == 1:
        return plane
    if plane.itemsize == 2:
        return (plane >> 8).astype(np.uint8)
    mixed = plane * np.uint64(0x9E3779B97F4A7C15)
    channels = [(mixed >> np.uint64(shift)).astype(np.uint8) for shift in (56, 48, 40)]
    opaque = np.where(plane != 0, 255, 0).astype(np.uint8)
    colours = np.stack([np.where(plane != 0, channel, 0).astype(np.uint8) for channel in channels], axis=-1)
    return colours if media_type == JPEG else np.dstack([colours, opaque])


def media_type_wanted(request: Request) -> str:
    """Raises HttpFault (406)."""
    ranges = accepted(request.headers.get("accept", ""))
    for wanted in ranges:
        if wanted in (PNG, JPEG):
            return wanted
    if not ranges or "*/*" in ranges or "image/*" in ranges:
        return PNG
    raise HttpFault(406, f"Could not satisfy the request Accept header; a picture is one of {PNG}, {JPEG}.")


def normal_of(plane: str) -> str:
    if plane not in PLANES:
        raise BossFault(Code.INVALID_CUTOUT, f"The plane must be one of {', '.join(PLANES)}.")
    return PLANES[plane]


def number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS // 2):
        raise BossFault(Code.TYPE_ERROR, f"{text!r} is not a whole number.")
    return int(text)
