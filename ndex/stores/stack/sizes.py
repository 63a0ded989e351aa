"""What TIFF files say of their voxels' size: ImageJ in its tags, OME in XML."""

from __future__ import annotations

from xml.etree import ElementTree

import tifffile

from .contents import known_size

Size = tuple[tuple[float, float, float] | None, str | None]
OME_UNIT = "µm"
"""Where the XML names none."""


def voxel_size(tiff: tifffile.TiffFile, series: int) -> Size:
    """Along x, y and z, with the unit; None twice where the file does not say it."""
    if tiff.is_ome and tiff.ome_metadata:
        return _of_ome(tiff.ome_metadata, series)
    if tiff.is_imagej:
        return _of_imagej(tiff)
    return None, None


def _of_ome(xml: str, series: int) -> Size:
    """Raises ParseError for what is no XML."""
    pixels = [element for element in ElementTree.fromstring(xml).iter() if element.tag.endswith("}Pixels")]
    given = pixels[series].attrib if series < len(pixels) else {}
    units = {given.get(f"PhysicalSize{axis}Unit", OME_UNIT) for axis in "XYZ" if f"PhysicalSize{axis}" in given}
    if len(units) != 1 or "PhysicalSizeX" not in given:
        return None, None
    x, y = float(given["PhysicalSizeX"]), float(given.get("PhysicalSizeY", given["PhysicalSizeX"]))
    return known_size((x, y, float(given.get("PhysicalSizeZ", x))), units.pop())


def _of_imagej(tiff: tifffile.TiffFile) -> Size:
    meta, tags = tiff.imagej_metadata or {}, tiff.pages.first.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None, None
    (across, per_x), (down, per_y) = tags["XResolution"].value, tags["YResolution"].value
    if not across or not down:
        return None, None
    x = per_x / across
    return known_size((x, per_y / down, float(meta.get("spacing", x))), str(meta.get("unit", "")))
