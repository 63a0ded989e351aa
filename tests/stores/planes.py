"""Jobs, pixels and files for the tests of `images`."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from ndex.geometry import ORIGIN, Box, Span, Vec
from ndex.job import Boss, Job, Resource, Retry
from ndex.stores.images import Destination, Source, open_destination, open_source
from ndex.stores.images.destination import ImageDestination
from ndex.volume import Volume

MEDULLA = Path(__file__).parents[1] / "data" / "medulla"
"""Real sections; see ATTRIBUTION.md there."""
STAMP = "0123456789abcdef"
ONE = Span(0, 1)
Pixels = npt.NDArray[Any]


def job_of(
    source: Source | None = None, destination: Destination | None = None, channel: str | None = "em", **changes: Any
) -> Job:
    return Job(
        name="lab/job",
        boss=Boss(host="nowhere"),
        resource=Resource(collection="col", experiment="exp", channel=channel) if channel else None,
        source=source or Source(path="nowhere"),
        destination=destination or Destination(path="nowhere"),
        retry=Retry(attempts=2, wait=0, max_wait=0),
        **changes,
    )


def reading(path: Path, pattern: str | None = "s_%04d.tif", **keys: Any) -> Any:
    of_job = {key: keys.pop(key) for key in ("missing", "extent", "channel") if key in keys}
    return open_source(job_of(Source(path=str(path), pattern=pattern, **keys), **of_job))


def noise(*shape: int, dtype: Any = np.uint8, seed: int = 1) -> Pixels:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def smooth(*shape: int, dtype: Any = np.uint8) -> Pixels:
    """Pixels that compress."""
    return np.add.outer(np.arange(shape[0]), np.arange(shape[1])).astype(dtype)


def write_stack(folder: Path, stack: Pixels, name: str = "s_{:04d}.tif", first: int = 0, **options: Any) -> None:
    for z, plane in enumerate(stack, first):
        tifffile.imwrite(folder / name.format(z), plane, **options)


def volume_of(box: Box, dtype: Any = np.uint8, stamp: str = STAMP, times: Span = ONE) -> Volume:
    block = Vec(64, 64, 16)
    return Volume(box, np.dtype(dtype), times, timed=times.size > 1, offset=ORIGIN, stamp=stamp, block=block)


def ready(settings: Destination, volume: Volume, **changes: Any) -> ImageDestination:
    store = open_destination(job_of(destination=settings, **changes))
    store.accepts(volume.dtype)
    store.check(volume)
    store.prepare(volume)
    return store


def write(store: ImageDestination, box: Box, array: Pixels, rows: int = 64, t: int = 0) -> None:
    with store.writer(box, t) as writer:
        for y in range(box.y.start, box.y.stop, rows):
            band = Box.of(box.x, (y, min(y + rows, box.y.stop)), box.z)
            writer.write(band, array[box.slices(band)])


WRITTEN = Box.of((100, 170), (20, 63), (9, 13))


def png(width: int, height: int, depth: int, colour: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((1 + (width * depth + 7) // 8) * min(height, 64)))
    palette = chunk(b"PLTE", bytes(3 << min(depth, 8))) if colour == 3 else b""
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return start + palette + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
