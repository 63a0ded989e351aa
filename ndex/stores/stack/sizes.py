"""What TIFF files say of their voxels' size: ImageJ in its tags, OME in XML."""

from __future__ import annotations

from fractions import Fraction
from xml.etree import ElementTree

import tifffile

from .contents import UNITS, known_size

Size = tuple[tuple[float, float, float] | None, str | None]
OME_UNIT = "µm"
"""Where the XML names none."""
FINEST = 10_000
"""Part of a unit to which lengths are rounded, so that their fractions fit into 32 bits."""


def voxel_size(tiff: tifffile.TiffFile, series: int) -> Size:
    """Along x, y and z, with the unit; None twice where the file does not say it."""
    if tiff.is_ome and tiff.ome_metadata:
        return _of_ome(tiff.ome_metadata, series)
    if tiff.is_imagej:
        return _of_imagej(tiff)
    return None, None


def for_imagej(
    size: tuple[float, float, float] | None, unit: str | None
) -> tuple[list[str], tuple[Fraction, Fraction]]:
    """The same for a file to be written: lines of its description, and pixels per unit along x and y."""
    word = next((word for word, known in UNITS.items() if known == unit), None)
    x, y, z = (Fraction(length).limit_denominator(FINEST) for length in size or (0, 0, 0))
    if word is None or not min(x, y):
        return [], (Fraction(1), Fraction(1))
    return [f"unit={word}", f"spacing={float(z):g}"], (1 / x, 1 / y)


def _of_ome(xml: str, series: int) -> Size:
    """Raises ParseError for what is no XML."""
    pixels = [element for element in ElementTree.fromstring(xml).iter() if element.tag.endswith("}Pixels")]
    given = pixels[series].attrib if series < len(pixels) else {}
    sizes = [float(given.get(f"PhysicalSize{axis}", 0)) for axis in "XYZ"]
    units = {given.get(f"PhysicalSize{axis}Unit", OME_UNIT) for axis in "XYZ"}
    return known_size((sizes[0], sizes[1], sizes[2]), units.pop()) if len(units) == 1 else (None, None)


def _of_imagej(tiff: tifffile.TiffFile) -> Size:
    meta, tags = tiff.imagej_metadata or {}, tiff.pages.first.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None, None
    (across, per_x), (down, per_y) = tags["XResolution"].value, tags["YResolution"].value
    if not across or not down:
        return None, None
    return known_size((per_x / across, per_y / down, float(meta.get("spacing", 0))), str(meta.get("unit", "")))
