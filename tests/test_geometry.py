"""Boxes and tilings, against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndex.geometry import Box, Tiling, Vec

small = st.integers(-9, 9)
sizes = st.integers(0, 7)
boxes = st.builds(lambda x, y, z, a, b, c: Box.at(Vec(x, y, z), Vec(a, b, c)), small, small, small, sizes, sizes, sizes)
steps = st.builds(Vec, st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
origins = st.builds(Vec, small, small, small)


def voxels_of(box: Box) -> set[tuple[int, int, int]]:
    return {(x, y, z) for x in range(*box.x) for y in range(*box.y) for z in range(*box.z)}


@given(boxes, boxes)
def test_intersection_holds_the_common_voxels(a: Box, b: Box) -> None:
    assert voxels_of(a & b) == voxels_of(a) & voxels_of(b)
    assert (a & b).empty == (not voxels_of(a) & voxels_of(b))


@given(boxes, steps, origins)
def test_pieces_cover_a_box_once_and_stay_in_their_cells(box: Box, step: Vec, origin: Vec) -> None:
    tiling = Tiling(box, step, origin)
    pieces = list(tiling)
    assert len(pieces) == len(tiling) == len(tiling[:])
    assert sum(piece.voxels for piece in pieces) == box.voxels
    assert set().union(*map(voxels_of, pieces)) == voxels_of(box)
    for piece in pieces:
        cells = {tuple((p - o) // s for p, o, s in zip(v, origin, step, strict=True)) for v in voxels_of(piece)}
        assert len(cells) == 1


@given(boxes, steps, origins)
def test_pieces_come_x_first_then_y_then_z(box: Box, step: Vec, origin: Vec) -> None:
    corners = [piece.start for piece in Tiling(box, step, origin)]
    assert corners == sorted(corners, key=lambda corner: (corner.z, corner.y, corner.x))


def test_a_tiling_is_a_sequence() -> None:
    tiling = Tiling(Box.of((0, 10), (0, 1), (0, 1)), Vec(4, 1, 1))
    assert tiling[-1] == Box.of((8, 10), (0, 1), (0, 1))
    with pytest.raises(IndexError):
        tiling[3]
    with pytest.raises(ValueError, match="positive"):
        Tiling(tiling.box, Vec(0, 1, 1))


@given(boxes.filter(lambda box: not box.empty), st.data())
def test_slices_address_the_inner_box(outer: Box, data: st.DataObject) -> None:
    inner = Tiling(outer, data.draw(steps))[0]
    array = np.zeros(outer.shape, bool)
    array[outer.slices(inner)] = True
    marked = {(x + outer.start.x, y + outer.start.y, z + outer.start.z) for z, y, x in np.argwhere(array).tolist()}
    assert marked == voxels_of(inner)
