"""Voxel values on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndex.convert import check, convert_voxels
from ndex.errors import JobError
from ndex.job import Convert
from ndex.volume import is_empty

u8, u16, u32, u64 = map(np.dtype, ("uint8", "uint16", "uint32", "uint64"))


def test_widening_keeps_every_value() -> None:
    labels = np.array([[[0, 1, 2**32 - 1]]], u32)
    assert convert_voxels(labels, u64, Convert()).tolist() == labels.tolist()
    same = np.ones((1, 1, 1), u8)
    assert convert_voxels(same, u8, Convert()) is same


@given(st.lists(st.integers(0, 65535), min_size=1), st.integers(0, 60000), st.integers(1, 60000))
def test_a_window_is_linear_and_clipped(values: list[int], low: int, width: int) -> None:
    array = np.array(values, u16).reshape(1, 1, -1)
    window = Convert(dtype="uint8", window=(low, low + width))
    got = convert_voxels(array, u8, window)
    expected = np.rint(np.clip((array.astype(float) - low) / width * 255, 0, 255))
    assert np.abs(got.astype(int) - expected).max() <= 1
    assert got.dtype == u8
    by_value = convert_voxels(array.astype(u32), u8, window)
    assert np.array_equal(got, by_value)


def test_a_window_keeps_its_ends() -> None:
    array = np.array([[[99, 100, 500, 501]]], u16)
    assert convert_voxels(array, u8, Convert(window=(100, 500))).tolist() == [[[0, 0, 255, 255]]]


def test_lossy_casts_clip() -> None:
    array = np.array([[[7, 255, 256, 65535]]], u16)
    assert convert_voxels(array, u8, Convert(lossy=True)).tolist() == [[[7, 255, 255, 255]]]


@pytest.mark.parametrize(
    ("source", "target", "convert", "sentence"),
    [
        (u16, u8, Convert(dtype="uint8"), r"convert\.dtype=uint8: voxels of uint16 may not fit.*convert\.lossy=true"),
        (u16, u64, Convert(window=(0, 9)), r"convert\.window=\[0, 9\] rescales intensities and cannot make uint64"),
    ],
)
def test_what_would_lose_values_is_refused(source: np.dtype, target: np.dtype, convert: Convert, sentence: str) -> None:
    with pytest.raises(JobError, match=sentence):
        check(source, target, convert)


def test_what_loses_nothing_or_is_asked_for_is_not() -> None:
    check(u8, u16, Convert())
    check(u16, u8, Convert(lossy=True))
    check(u16, u8, Convert(window=(0, 4000)))


def test_two_labels_that_sum_to_zero_are_not_empty() -> None:
    assert not is_empty(np.array([[[2**63, 2**63]]], u64))
    assert is_empty(np.zeros((1, 2, 3), u64))
