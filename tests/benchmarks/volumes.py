"""Volumes for the benchmark, made from real sections so that they compress like real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

MEDULLA = Path(__file__).parents[1] / "data" / "medulla"
SECTIONS = Path(__file__).parents[2] / "jobs" / "data" / "medulla"
Pixels = npt.NDArray[np.unsignedinteger]


def em(side: int, z: int) -> Pixels:
    """Plane z of side x side pixels: other sections, offsets and flips side by side, so that nothing repeats within
    the window of a compressor. uint8."""
    sections = [np.asarray(Image.open(path)) for path in sorted(SECTIONS.glob("*.png"))]
    return _mosaic(sections, side, z)


def labels(side: int, z: int) -> Pixels:
    """Plane z of the segmentation, laid out in the same way. uint64."""
    sections = [tifffile.imread(path).astype(np.uint64) for path in sorted((MEDULLA / "bodies").glob("*.tif"))]
    return _mosaic(sections, side, z)


def _mosaic(sections: list[Pixels], side: int, z: int) -> Pixels:
    random = np.random.default_rng(z)
    height, width = sections[0].shape
    rows, columns = -(-side // height), -(-side // width)
    out = np.empty((rows * height, columns * width), sections[0].dtype)
    for row in range(rows):
        for column in range(columns):
            piece = sections[(z + 7 * row + 13 * column) % len(sections)]
            piece = np.rot90(piece, int(random.integers(4)))
            piece = np.roll(piece, random.integers(0, height, 2), (0, 1))
            out[row * height : (row + 1) * height, column * width : (column + 1) * width] = piece
    return out[:side, :side]


def write(folder: Path, kind: str, side: int, depth: int) -> Path:
    """A folder with the planes p_0000 ... as `tif` (plain), `deflate` or `png` files, or the `labels`; made once."""
    target = folder / f"{kind}_{side}_{depth}"
    if not target.exists():
        partial = target.with_name(f".{target.name}")
        partial.mkdir(parents=True, exist_ok=True)
        for z in range(depth):
            _write_plane(partial / f"p_{z:04d}", kind, labels(side, z) if kind == "labels" else em(side, z))
        partial.rename(target)
    return target


def _write_plane(stem: Path, kind: str, plane: Pixels) -> None:
    if kind == "png":
        Image.fromarray(plane).save(stem.with_suffix(".png"), compress_level=1)
    else:
        compression = "zlib" if kind == "deflate" else None
        tifffile.imwrite(stem.with_suffix(".tif"), plane, rowsperstrip=64, compression=compression)
