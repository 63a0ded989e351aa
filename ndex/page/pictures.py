"""Arrays as PNG pictures that stand in the page itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..volume import Array
from .cuts import Cut

SEAM = (214, 120, 40)
Pixels = npt.NDArray[np.uint8]
Window = tuple[int, int]


def data_uri(image: Image.Image) -> str:
    """The picture as the address of an <img>."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def map_uri(states: Pixels, colors: Sequence[tuple[int, int, int]]) -> str:
    """A picture of small numbers, each with its colour."""
    image = Image.fromarray(states)
    image.putpalette([part for color in colors for part in color])
    return data_uri(image)


def window_of(cuts: Sequence[Cut]) -> Window | None:
    """What becomes black and white in all cuts; None where that is the whole range of the dtype, or for labels."""
    if not cuts or cuts[0].pixels.dtype != np.uint16:
        return None
    values = np.concatenate([cut.pixels.ravel() for cut in cuts])
    low, high = (int(value) for value in np.percentile(values, (0.5, 99.5)))
    return low, max(high, low + 1)


def cut_uri(cut: Cut, window: Window | None) -> str:
    """A cut in grey; labels (uint32 and uint64) each in a colour of its own, with 0 in black."""
    pixels = cut.pixels
    if pixels.dtype.itemsize > 2:
        shown = _colored(pixels)
    elif window is None:
        shown = pixels.astype(np.uint8)
    else:
        low, high = window
        shown = np.clip((pixels.astype(np.float32) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    if cut.seams.any():
        shown = shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=2)
        shown[cut.seams] = SEAM
    return data_uri(Image.fromarray(shown))


def _colored(labels: Array) -> Pixels:
    """Colours that differ for neighbouring numbers: the golden ratio scatters them."""
    scattered = labels.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    parts = [(scattered >> np.uint64(shift)).astype(np.uint8) // 4 * 3 + 64 for shift in (56, 48, 40)]
    colors: Pixels = np.stack(parts, axis=-1).astype(np.uint8)
    colors[labels == 0] = 0
    return colors
