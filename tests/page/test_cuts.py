"""Cuts: voxels of the volume at reduced size, with few reads however large it is."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from made_up import pieces

from ndex.errors import TransientError
from ndex.geometry import Box, Vec
from ndex.page.cuts import MOST_PIXELS, MOST_READS, PATIENCE, cuts_through
from ndex.page.pictures import cut_uri, window_of
from ndex.volume import Layout, Piece, Volume


def volume(box: Box, block: Vec, dtype: str = "uint8") -> Volume:
    return pieces(box, block, block, dtype=dtype).volume


class Held:
    """A place that holds an array."""

    layout = Layout()

    def __init__(self, box: Box, dtype: str = "uint8") -> None:
        self.box = box
        self.array = np.random.default_rng(5).integers(0, 200, box.shape).astype(dtype)
        self.reads: list[Box] = []

    def read(self, box: Box, t: int) -> Piece:
        self.reads.append(box)
        return Piece(self.array[self.box.slices(box)])


class Endless:
    """A place of any size that holds coordinates."""

    layout = Layout(grid=Vec(512, 512, 16))

    def __init__(self) -> None:
        self.reads: list[Box] = []

    def read(self, box: Box, t: int) -> Piece:
        self.reads.append(box)
        return Piece(np.full(box.shape, box.start.x // 1024 % 250, np.uint8))


def test_a_small_volume_is_shown_voxel_by_voxel() -> None:
    box = Box.of((3, 60), (5, 45), (-8, 20))
    place = Held(box)
    xy, xz, yz = cuts_through(volume(box, Vec(16, 16, 16)), place)
    assert (xy.name, xz.name, yz.name) == ("xy", "xz", "yz")
    assert np.array_equal(xy.pixels, place.array[xy.at - box.start.z])
    assert np.array_equal(xz.pixels, place.array[:, xz.at - box.start.y])
    assert np.array_equal(yz.pixels, place.array[:, :, yz.at - box.start.x])
    assert (xy.size, xy.every) == ((57, 40), (1, 1))
    assert not xy.seams.any()


def test_larger_ones_are_thinned_block_by_block() -> None:
    box = Box.of((0, 1000), (0, 1500), (0, 4))
    place = Held(box)
    xy, _, _ = cuts_through(volume(box, Vec(300, 500, 4)), place)
    x = np.concatenate([np.arange(start, min(start + 300, 1000), 2) for start in range(0, 1000, 300)])
    y = np.concatenate([np.arange(start, start + 500, 3) for start in range(0, 1500, 500)])
    assert np.array_equal(xy.pixels, place.array[2][np.ix_(y, x)])


def test_of_a_huge_one_few_blocks_are_read_each_by_itself() -> None:
    block = Vec(1024, 1024, 16)
    place = Endless()
    cuts = list(cuts_through(volume(Box.of((0, 200_000), (0, 150_000), (0, 30_000)), block), place))
    assert len(place.reads) <= 3 * MOST_READS
    for read in place.reads:
        assert read.start.x // 1024 == (read.stop.x - 1) // 1024
        assert min(read.size) == 1
        assert read.voxels <= 1024 * 1024
    for cut in cuts:
        assert max(cut.pixels.shape) <= 2 * MOST_PIXELS
        assert cut.seams.shape == cut.pixels.shape
        assert cut.seams.any()
        assert min(cut.every) > 1


def test_reading_ends_when_it_takes_too_long() -> None:
    clock = itertools.count(0, PATIENCE / 8)
    cuts = cuts_through(volume(Box.of((0, 90), (0, 40), (0, 40)), Vec(16, 16, 16)), Endless(), clock.__next__)
    with pytest.raises(TransientError, match="took longer than"):
        list(cuts)


def test_labels_are_coloured_and_16_bits_are_stretched() -> None:
    box = Box.of((0, 40), (0, 40), (0, 40))
    sixteen = list(cuts_through(volume(box, Vec(40, 40, 40), "uint16"), Held(box, "uint16")))
    window = window_of(sixteen)
    assert window is not None
    assert 0 <= window[0] < window[1] < 200
    labels = list(cuts_through(volume(box, Vec(40, 40, 40), "uint64"), Held(box, "uint64")))
    assert window_of(labels) is None
    assert cut_uri(labels[0], None).startswith("data:image/png;base64,")
    flat = replace(sixteen[0], pixels=np.full((4, 4), 7, np.uint16), seams=np.zeros((4, 4), bool))
    assert window_of([flat]) == (7, 8)


def test_planes_are_not_all_decoded_for_a_picture_of_their_columns() -> None:
    box = Box.of((0, 40_000), (0, 40_000), (0, 64))
    place = Endless()
    place.layout = Layout(planes=True)
    *_, yz = cuts_through(volume(box, Vec(1024, 1024, 16)), place)
    assert sum(read.size.y * read.size.z for read in place.reads if read.size.x == 1) <= 40_000 * 64 / 20
    assert min(yz.pixels.shape) > 1
