"""Jobs and files for the tests of `stack`."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from planes import Pixels, job_of

from ndex.geometry import Box, Vec
from ndex.stores import open_destination
from ndex.stores.stack import Destination, Source, open_source
from ndex.stores.stack.destination import StackDestination
from ndex.volume import Volume


def reading(path: Path, missing: str = "fail", **keys: Any) -> Any:
    return open_source(job_of(Source(path=str(path), **keys), missing=missing))


def check_reads(path: Path, expected: Pixels, **keys: Any) -> None:
    """A file holds these voxels, (z, y, x) or (t, z, y, x): all of them, and an odd part read by itself."""
    store = reading(path, **keys)
    facts = store.facts()
    frames = expected if expected.ndim == 4 else expected[np.newaxis]
    assert (facts.box.shape, facts.times) == (frames.shape[1:], (0, len(frames)))
    assert facts.dtype == expected.dtype.newbyteorder("=")
    for t, volume in enumerate(frames):
        for box in (facts.box, odd(facts.box)):
            piece = store.read(box, t)
            assert piece.filled == ()
            assert piece.array.dtype == facts.dtype
            np.testing.assert_array_equal(piece.array, volume[facts.box.slices(box)])
    store.close()


def odd(box: Box) -> Box:
    """The inner part of a box, without a voxel on each side where there are enough."""
    start = [a + 1 if b - a > 2 else a for a, b in zip(box.start, box.stop, strict=True)]
    stop = [b - 1 if b - a > 2 else b for a, b in zip(box.start, box.stop, strict=True)]
    return Box(Vec(*start), Vec(*stop))


def imagej_over_4_gib(path: Path, planes: int, height: int, width: int, description: str) -> None:
    """A file as ImageJ writes large stacks: one page, big-endian, the pixels of all behind it. Sparse: pixels are
    zeros unless they are written afterwards."""
    text = description.encode() + b"\0"
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 16 << 16),
        (259, 3, 1, 1 << 16),
        (262, 3, 1, 1 << 16),
        (270, 2, len(text), 200),
        (273, 4, 1, 1000),
        (277, 3, 1, 1 << 16),
        (278, 4, 1, height),
        (279, 4, 1, height * width * 2),
    ]
    directory = struct.pack(">H", len(entries)) + b"".join(struct.pack(">HHII", *entry) for entry in entries)
    with open(path, "wb") as file:
        file.write(struct.pack(">2sHI", b"MM", 42, 8) + directory + struct.pack(">I", 0))
        file.seek(200)
        file.write(text)
        file.truncate(1000 + planes * height * width * 2)


def ready(settings: Destination, volume: Volume, **changes: Any) -> StackDestination:
    store = open_destination(job_of(destination=settings, **changes))
    assert isinstance(store, StackDestination)
    store.check(volume)
    store.prepare(volume)
    return store


def finish(store: StackDestination, volume: Volume) -> None:
    store.finish(volume, print, lambda seconds: False)


def offsets_of(path: Path) -> list[int]:
    """Where each page of a file has its first pixels."""
    with tifffile.TiffFile(path) as tiff:
        return [page.dataoffsets[0] for page in tiff.pages]
