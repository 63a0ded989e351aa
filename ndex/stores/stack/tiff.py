"""TIFF files of many pages as a volume, written by ImageJ, by OME's programs, by tifffile, by ndex or anybody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tifffile

from ...geometry import Vec
from ..images.plane import Header, damage
from ..images.tiff import SEPARATE, TiffPlane
from .axes import ordered
from .contents import Contents
from .pages import TiffPages, count_pages
from .raw import FileBytes, RawPlanes
from .series import Image, image_in
from .settings import Source
from .sizes import voxel_size

KEPT = ("DateTime", "Software", "Artist", "Copyright", "Make", "Model", "XResolution", "YResolution", "ResolutionUnit")
"""Tags of the first page that say something of the volume."""
NOTE = "ndex="
"""Begins the line of a description in which ndex says what it wrote."""


def contents_of(path: Path, settings: Source) -> Contents:
    """What the file says. Raises DamagedData or Unfit."""
    name = path.name
    with open(path, "rb") as file:
        with damage(name):
            tiff = tifffile.TiffFile(file)
            image = image_in(tiff, count_pages(file, tiff, name), settings.series, settings.level, name)
            size, unit = voxel_size(tiff, image.index) if settings.level == 0 else (None, None)
            metadata, note = _metadata(tiff, image, name), note_of(tiff.pages.first.description)
            origin = Vec(*(int(note.get(axis, 0)) for axis in "xyz"))
        places, band = image.places.reshape(1, -1), settings.band
        if not settings.flatten:
            places, band = ordered(image.places, image.axes, image.page.samplesperpixel, settings.band, name)
        header = TiffPlane(file, name, band, at=image.page.offset).header
        byteorder = tiff.byteorder
    return Contents(
        name=name,
        header=header,
        places=places + _into_page(image, header, band),
        planes=_raw(path, image, header, band, byteorder) if image.raw else TiffPages(path, header, band),
        origin=origin,
        voxel_size=size,
        voxel_unit=unit,
        metadata=metadata,
    )


def note_of(description: str) -> dict[str, Any]:
    """What ndex wrote into the description of a stack; empty for a file of others."""
    for line in description.splitlines():
        if line.startswith(NOTE):
            try:
                note = json.loads(line.removeprefix(NOTE))
            except ValueError:
                return {}
            return note if isinstance(note, dict) else {}
    return {}


def _into_page(image: Image, header: Header, band: int | None) -> int:
    """How far behind the beginning of a raw page the band begins, where bands lie one after the other."""
    separate = image.raw and image.page.planarconfig == SEPARATE
    return (band or 0) * header.width * header.height * header.dtype.itemsize if separate else 0


def _raw(path: Path, image: Image, header: Header, band: int | None, byteorder: str) -> RawPlanes:
    samples = 1 if image.page.planarconfig == SEPARATE else image.page.samplesperpixel
    sample = (band or 0) if samples > 1 else 0
    return RawPlanes(FileBytes(path), header, header.dtype.newbyteorder(byteorder), samples, sample)  # type: ignore[arg-type]


def _metadata(tiff: tifffile.TiffFile, image: Image, name: str) -> dict[str, object]:
    """All that is known of the file as a whole."""
    description = tiff.pages.first.description
    return {
        "file": name,
        "format": image.kind,
        "axes": image.axes,
        "shape": list(image.places.shape),
        "description": description,
        "imagej": tiff.imagej_metadata,
        "tags": {tag.name: tag.value for tag in tiff.pages.first.tags if tag.name in KEPT},
    }
