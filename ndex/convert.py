"""What happens to voxel values on the way: window, dtype. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .errors import JobError
from .job import Convert

UInt = np.dtype[np.unsignedinteger]
Voxels = npt.NDArray[np.unsignedinteger]


def check(source: UInt, target: UInt, convert: Convert) -> None:
    """Raises JobError when casting `source` to `target` could lose values and the job does not allow it."""
    if convert.window is not None:
        low, high = convert.window
        if not low < high:
            raise JobError(f"convert.window=[{low:g}, {high:g}]: the first value must be below the second.")
        if target.itemsize > 4:
            raise JobError(f"convert.window=[{low:g}, {high:g}] rescales intensities and cannot make {target} labels.")
    elif not np.can_cast(source, target, "safe") and not convert.lossy:
        raise JobError(
            f"convert.dtype={target}: voxels of {source} may not fit into {target}. "
            "Give convert.window=[low, high] to rescale, or convert.lossy=true to clip."
        )


def convert_voxels(array: Voxels, target: UInt, convert: Convert) -> Voxels:
    """The voxels as `target`: rescaled by the window if there is one, else cast, with values beyond it clipped."""
    if convert.window is not None:
        return _rescale(array, target, convert.window)
    if np.can_cast(array.dtype, target, "safe"):
        return array.astype(target, copy=False)
    return np.minimum(array, np.iinfo(target).max).astype(target)


def _rescale(array: Voxels, target: UInt, window: tuple[float, float]) -> Voxels:
    """Small dtypes go through a table of all their values: exact, and as fast as memory."""
    if array.dtype.itemsize > 2:
        return np.stack([_scaled(plane, target, window) for plane in array])
    values = np.arange(np.iinfo(array.dtype).max + 1, dtype=array.dtype)
    return _scaled(values, target, window)[array]


def _scaled(values: Voxels, target: UInt, window: tuple[float, float]) -> Voxels:
    low, high = window
    top = np.iinfo(target).max
    scaled = (values.astype(np.float64) - low) * top / (high - low)
    result: Voxels = np.rint(np.clip(scaled, 0, top)).astype(target)
    return result
