"""The floor: bare loops with threads over the C libraries that ndex uses, without any of its features.

python tests/benchmarks/floor.py up|down HOST FOLDER SIDE DEPTH DTYPE [none]
"""

from __future__ import annotations

import http.client
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import blosc
import imagecodecs
import numpy as np
import tifffile
from isal import isal_zlib

BLOCK, SLAB, THREADS = 1024, 16, 8
local = threading.local()
blosc.set_releasegil(True)
blosc.set_nthreads(1)


def main(
    direction: str, host: str, folder: str, side: str, depth: str, dtype: str, compression: str = "deflate"
) -> None:
    files = sorted(path for path in Path(folder).iterdir() if path.suffix in (".tif", ".png"))
    with ThreadPoolExecutor(THREADS) as pool, ThreadPoolExecutor(2) as slabs:

        def work(z: int) -> None:
            if direction == "up":
                upload(pool, host, files[z : z + SLAB], z, int(side), np.dtype(dtype))
            else:
                download(pool, host, Path(folder), z, int(side), np.dtype(dtype), compression)

        list(slabs.map(work, range(0, int(depth), SLAB)))


def upload(pool: ThreadPoolExecutor, host: str, files: list[Path], z: int, side: int, dtype: np.dtype) -> None:
    slab = np.stack(list(pool.map(read, files))).astype(dtype, copy=False)

    def send(corner: tuple[int, int]) -> None:
        y, x = corner
        block = np.ascontiguousarray(slab[:, y : y + BLOCK, x : x + BLOCK])
        shuffle = blosc.SHUFFLE if dtype.itemsize > 1 else blosc.NOSHUFFLE
        frame = blosc.compress_ptr(
            block.ctypes.data, block.size, typesize=dtype.itemsize, clevel=1, shuffle=shuffle, cname="lz4"
        )
        request(host, "POST", url(block.shape, z, y, x), frame)

    list(pool.map(send, corners(side)))


def download(
    pool: ThreadPoolExecutor, host: str, folder: Path, z: int, side: int, dtype: np.dtype, compression: str
) -> None:
    slab = np.empty((SLAB, side, side), dtype)

    def fetch(corner: tuple[int, int]) -> None:
        y, x = corner
        out = slab[:, y : y + BLOCK, x : x + BLOCK]
        out[...] = np.frombuffer(blosc.decompress(request(host, "GET", url(out.shape, z, y, x))), dtype).reshape(
            out.shape
        )

    list(pool.map(fetch, corners(side)))
    list(pool.map(lambda i: write(folder / f"p_{z + i:04d}.tif", slab[i], compression), range(SLAB)))


def corners(side: int) -> list[tuple[int, int]]:
    return [(y, x) for y in range(0, side, BLOCK) for x in range(0, side, BLOCK)]


def url(shape: tuple[int, ...], z: int, y: int, x: int) -> str:
    depth, height, width = shape
    return f"/v1/cutout/c/bench/e/0/{x}:{x + width}/{y}:{y + height}/{z}:{z + depth}/"


def request(host: str, verb: str, path: str, body: bytes | None = None) -> bytes:
    if not hasattr(local, "connection"):
        local.connection = http.client.HTTPConnection(host)
    headers = {"Authorization": "Token bench", "Content-Type": "application/blosc", "Accept": "application/blosc"}
    local.connection.request(verb, path, body, headers)
    return local.connection.getresponse().read()


def read(path: Path) -> np.ndarray:
    return imagecodecs.png_decode(path.read_bytes()) if path.suffix == ".png" else tifffile.imread(path)


def write(path: Path, plane: np.ndarray, compression: str) -> None:
    if compression == "none":
        tifffile.imwrite(path, plane)
        return
    rows = 64
    strips = (plane[y : y + rows] for y in range(0, len(plane), rows))
    packed = (isal_zlib.compress(imagecodecs.delta_encode(strip, axis=-1).tobytes(), 1) for strip in strips)
    tifffile.imwrite(
        path, packed, shape=plane.shape, dtype=plane.dtype, rowsperstrip=rows, compression="zlib", predictor=True
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
