"""The images in a TIFF file: one of them is chosen, and its pages are found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile

from ..images.plane import Unfit
from .axes import Places
from .contents import ABSENT

PIXELS = "YXS"
"""Axes inside a page."""


@dataclass(frozen=True)
class Image:
    """One image of a file, page by page."""

    kind: str
    """As tifffile says: ome, imagej, shaped and so on."""
    index: int
    axes: str
    """Of the pages, the slowest first."""
    places: Places
    """Where each page begins, an axis for each letter of `axes`: its directory or, of a raw one, its pixels."""
    raw: bool
    """There is one directory, and the pixels of all pages follow each other."""
    page: tifffile.TiffPage
    """One that the others are like."""


def image_in(tiff: tifffile.TiffFile, pages: int, series: int | None, level: int, name: str) -> Image:
    """The image that is meant. Raises Unfit when there are several and none is chosen, or when it cannot be
    read page by page."""
    hidden = _behind_one_page(tiff, pages)
    if hidden is not None and not series and not level:
        return hidden
    index, chosen = _chosen(tiff, series, level, name)
    if any(page is not None and page.parent is not tiff for page in chosen.pages):
        raise Unfit(f"{name} refers to other files for some of its planes. Save all of them in one file.")
    axes = "".join(letter for letter in chosen.axes if letter not in PIXELS)
    shape = [size for letter, size in zip(chosen.axes, chosen.shape, strict=True) if letter not in PIXELS]
    keyframe = chosen.keyframe
    if keyframe.imagedepth > 1:
        raise Unfit(f"{name} has pages with several planes each. Save it with one page for each plane.")
    raw = math.prod(shape) > len(chosen.pages) or len(chosen.pages) > pages
    if raw and chosen.dataoffset is None:
        raise Unfit(f"{name} speaks of {math.prod(shape)} planes and has {pages} pages. Save it again.")
    places = _consecutive(chosen.dataoffset, keyframe.nbytes, shape) if raw else _directories(chosen, shape)
    return Image(chosen.kind, index, axes, places, raw, keyframe)


def _chosen(tiff: tifffile.TiffFile, series: int | None, level: int, name: str) -> tuple[int, Any]:
    """Number of a series of tifffile, and the series at one level of its pyramid."""
    found = tiff.series
    if series is None:
        whole = [index for index, one in enumerate(found) if not one.keyframe.is_reduced]  # without thumbnails
        if len(whole) != 1:
            raise Unfit(f"{name} holds several images. Choose one with source.series: {_listed(found)}.")
        series = whole[0]
    elif series >= len(found):
        raise Unfit(f"source.series={series}: {name} has {_listed(found)}.")
    levels = found[series].levels
    if level >= len(levels):
        raise Unfit(f"source.level={level}: {name} has levels 0 to {len(levels) - 1}.")
    return series, levels[level]


def _listed(found: list[Any]) -> str:
    described = (f"{' x '.join(map(str, one.shape))} {one.dtype}, axes {one.axes}" for one in found)
    return ", ".join(f"{index} ({text})" for index, text in enumerate(described))


def _directories(series: Any, shape: list[int]) -> Places:
    offsets = [ABSENT if page is None else int(page.offset) for page in series.pages]
    return np.array(offsets, np.int64).reshape(shape)


def _consecutive(start: int, nbytes: int, shape: list[int]) -> Places:
    return (start + nbytes * np.arange(math.prod(shape), dtype=np.int64)).reshape(shape)


def _behind_one_page(tiff: tifffile.TiffFile, pages: int) -> Image | None:
    """The stack that ImageJ writes when it is larger than 4 GB: a page, and the pixels of the others behind its own.
    tifffile sees one, too, but not when the file is cut short."""
    meta, page = tiff.imagej_metadata or {}, tiff.pages.first
    sizes = {"t": meta.get("frames", 1), "z": meta.get("slices", 1), "c": meta.get("channels", 1)}
    images = meta.get("images", math.prod(sizes.values()))
    if pages > 1 or images == 1 or page.compression != 1 or page.is_tiled:
        return None
    if page.samplesperpixel > 1 and images * page.samplesperpixel == math.prod(sizes.values()):
        sizes["c"] = 1  # colours, which lie inside the page
    if math.prod(sizes.values()) != images:
        sizes = {"t": 1, "z": images, "c": 1}
    axes = str(meta.get("order", "czt"))[::-1].lower()
    if sorted(axes) != ["c", "t", "z"]:
        axes = "tzc"
    places = _consecutive(page.dataoffsets[0], page.nbytes, [sizes[axis] for axis in axes])
    return Image("imagej", 0, axes.upper(), places, raw=True, page=page)
