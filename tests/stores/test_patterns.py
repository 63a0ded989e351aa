"""File names and plane numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndex.errors import JobError
from ndex.stores.images.pattern import Number, natural, parse, split, with_channel

KEY = "source.pattern"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("em_%04d.tif", "em_{z:04d}.tif"),
        ("em_{z:04d}.tif", "em_{z:04d}.tif"),
        ("em_{z:04}.tif", "em_{z:04d}.tif"),
        ("em_<p:4>.tif", "em_{z:04d}.tif"),
        ("em_%d.tif", "em_{z}.tif"),
        ("em_{z}.tif", "em_{z}.tif"),
        ("em_{z:d}.tif", "em_{z}.tif"),
        ("em_<p>.tif", "em_{z}.tif"),
        ("em_<>.tif", "em_{z}.tif"),
        ("50%_t{t}_z%03d.png", "50%_t{t}_z{z:03d}.png"),
    ],
)
def test_notations_mean_the_same(text: str, canonical: str) -> None:
    assert str(parse(text, KEY)) == canonical
    assert parse(text, KEY) == parse(canonical, KEY)


@pytest.mark.parametrize("text", ["em_{y}.tif", "em_{z:4d}.tif", "em_{z:04x}.tif", "em_{}.tif", "em_{z:-1}.tif"])
def test_unknown_fields_are_refused(text: str) -> None:
    with pytest.raises(JobError, match=r"source\.pattern=em_.*is not known"):
        parse(text, KEY)


@given(
    z=st.integers(0, 10**7),
    t=st.integers(0, 999),
    text=st.sampled_from(
        ["em_{z:04d}_t{t}.tif", "t{t}.z{z}.(raw)[1]+.tif", "{t:03d}/{z:06d}", "^{z}${t}.", "{z}_{t}_{z:03d}.tif"]
    ),
)
def test_what_is_formatted_is_matched(z: int, t: int, text: str) -> None:
    pattern = parse(text, KEY)
    assert pattern.match(pattern.name(z, t)) == (t, z)


@pytest.mark.parametrize(
    ("text", "name", "numbers"),
    [
        ("em_%04d.tif", "em_0012.tif", (0, 12)),
        ("em_%04d.tif", "em_12345.tif", (0, 12345)),
        ("em_%04d.tif", "em_012345.tif", None),
        ("em_%04d.tif", "em_12.tif", None),
        ("em_%04d.tif", "em_0012.tiff", None),
        ("em_%04d.tif", "em_0012_tif", None),
        ("em_%04d.tif", "Em_0012.tif", None),
        ("em_{z}.tif", "em_0012.tif", (0, 12)),
        ("em_{z}.tif", "em_-12.tif", None),
        ("em_{z}.tif", "em_1²2.tif", None),
        ("*_{z}.tif", "a_b_7.tif", (0, 7)),
        ("?_{z}.tif", "ab_7.tif", None),
        ("t{t}_z{z}.tif", "t3_z4.tif", (3, 4)),
        ("{z}_{z:03d}.tif", "7_007.tif", (0, 7)),
        ("{z}_{z:03d}.tif", "7_008.tif", None),
    ],
)
def test_which_names_match(text: str, name: str, numbers: tuple[int, int] | None) -> None:
    assert parse(text, KEY).match(name) == numbers


def test_a_number_longer_than_its_padding_is_written_whole() -> None:
    assert parse("em_%03d.tif", KEY).name(12345) == "em_12345.tif"


def test_axes_and_wildcards_are_known() -> None:
    pattern = parse("*_{t}.tif", KEY)
    assert pattern.has("t")
    assert not pattern.has("z")
    assert pattern.wild
    assert parse("em_%d.tif", KEY).parts == ("em_", Number("z", 0), ".tif")


def test_natural_order_counts() -> None:
    names = ["s10.tif", "s9.tif", "S1.tif", "s01.tif", "a.tif", "10.tif", "9.tif"]
    assert sorted(names, key=natural) == ["9.tif", "10.tif", "a.tif", "S1.tif", "s01.tif", "s9.tif", "s10.tif"]


def test_the_channel_is_put_in() -> None:
    assert with_channel("{channel}/<ch>_{z}.tif", "em", KEY) == "em/em_{z}.tif"
    assert with_channel("plain", None, KEY) == "plain"
    with pytest.raises(JobError, match=r"resource\.channel"):
        with_channel("<ch>_{z}.tif", None, KEY)


def test_a_pattern_may_name_a_folder_below() -> None:
    assert split("raw/8bit/em_%d.tif", KEY) == ("raw/8bit", "em_%d.tif")
    assert split("em_%d.tif", KEY) == ("", "em_%d.tif")


@pytest.mark.parametrize(
    "text", ["../em_%d.tif", "a/../../em_%d.tif", "/em_%d.tif", r"..\em_%d.tif", r"\em_%d.tif", "C:/em_%d.tif", ""]
)
def test_no_pattern_leads_out_of_the_folder(text: str) -> None:
    with pytest.raises(JobError, match="inside the folder"):
        split(text, KEY)


@pytest.mark.parametrize("text", ["{z}/em.tif", "%04d/em_%04d.tif", "*/em_%04d.tif"])
def test_folders_hold_no_numbers(text: str) -> None:
    with pytest.raises(JobError, match="file name only"):
        split(text, KEY)
