"""The axes of a hyperstack: which of them is z, which is time, and which one is chosen from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..images.plane import Unfit, check_band

Places = npt.NDArray[np.int64]


def ordered(places: Places, axes: str, samples: int, band: int | None, name: str) -> tuple[Places, int | None]:
    """The places of one channel as (t, z), and the band to take of each page.

    `places` has one axis for each letter of `axes`, as tifffile names them. Raises Unfit when they cannot be told
    apart, or when a channel has to be chosen and is not.
    """
    kept = [(letter, size) for letter, size in zip(axes, places.shape, strict=True) if size > 1]
    named = _named([letter for letter, _ in kept])
    if named is None:
        shape = ", ".join(f"{letter}: {size}" for letter, size in kept)
        raise Unfit(
            f"{name} has the axes {shape}, which are not z, time and channels. Split it into several files, or set "
            "source.flatten=true."
        )
    full = places.reshape([size for _, size in kept])
    for letter in "TZC":
        if letter not in named:
            full, named = full[np.newaxis], [letter, *named]
    full = np.moveaxis(full, [named.index(letter) for letter in "TZC"], [0, 1, 2])
    channels = full.shape[2]
    if channels > 1 and samples > 1:
        raise Unfit(f"{name} has {channels} channels of {samples} colours each. Split it into one file a channel.")
    if channels > 1 and band is None:
        raise Unfit(
            f"{name} has {channels} channels. Choose one with source.band, counted from 0, or say with "
            "source.flatten=true that they are planes."
        )
    chosen = check_band(name, channels, band)
    return np.ascontiguousarray(full[:, :, chosen]), band if channels == 1 else None


def _named(letters: Sequence[str]) -> list[str] | None:
    """The same axes as T, Z and C: one that means something else is z, where there is no other."""
    others = [letter for letter in letters if letter not in "TZC"]
    if len(others) > 1 or (others and "Z" in letters):
        return None
    return ["Z" if letter in others else letter for letter in letters]
