"""Stacks as programs write them: every voxel where it belongs, whatever the format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from planes import noise, smooth
from stacks import check_reads, imagej_over_4_gib, reading

from ndex.geometry import Box
from ndex.volume import WHOLE

ZYX: dict[str, Any] = {"metadata": {"axes": "ZYX"}}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_pages(tmp_path: Path, dtype: str, byteorder: str, bigtiff: bool) -> None:
    volume = noise(7, 23, 31, dtype=dtype)
    tifffile.imwrite(tmp_path / "s.tif", volume, byteorder=byteorder, bigtiff=bigtiff)
    check_reads(tmp_path / "s.tif", volume)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw"},
        {"compression": "zstd", "rowsperstrip": 5},
        {"compression": "packbits"},
        {"tile": (16, 16)},
        {"tile": (16, 32), "compression": "zlib"},
        {"rowsperstrip": 4},
        {"metadata": None, "contiguous": False},
        {"ome": True, **ZYX},
        {"ome": True, "compression": "zlib", "tile": (16, 16), **ZYX},
        {"imagej": True, **ZYX},
        {"imagej": True, "compression": "zlib", **ZYX},
        {"metadata": {"axes": "ZYX"}, "truncate": True},
    ],
    ids=str,
)
def test_ways_to_write_pages(tmp_path: Path, options: dict[str, Any]) -> None:
    volume = noise(5, 37, 41, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "s.tif", volume, **options)
    check_reads(tmp_path / "s.tif", volume)


def test_one_page_is_a_stack_of_one(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", noise(23, 31))
    check_reads(tmp_path / "s.tif", noise(1, 23, 31))


@pytest.mark.parametrize("format", [{"ome": True}, {"imagej": True}, {"imagej": True, "compression": "zlib"}], ids=str)
@pytest.mark.parametrize("channel", [0, 2])
def test_hyperstacks(tmp_path: Path, format: dict[str, Any], channel: int) -> None:
    volume = noise(2, 4, 3, 20, 30)
    tifffile.imwrite(tmp_path / "h.tif", volume, metadata={"axes": "TZCYX"}, **format)
    check_reads(tmp_path / "h.tif", volume[:, :, channel], band=channel)


@pytest.mark.parametrize("axes", ["CZTYX", "TCZYX", "ZCTYX"])
def test_axes_of_ome_in_any_order(tmp_path: Path, axes: str) -> None:
    volume = noise(2, 3, 4, 20, 30)
    tifffile.imwrite(tmp_path / "h.ome.tif", volume, metadata={"axes": axes})
    expected = np.moveaxis(volume, [axes.index(letter) for letter in "TZC"], [0, 1, 2])
    check_reads(tmp_path / "h.ome.tif", expected[:, :, 1], band=1)


@pytest.mark.parametrize("format", [{}, {"ome": True}, {"imagej": True}], ids=str)
@pytest.mark.parametrize("band", [0, 2])
def test_colours(tmp_path: Path, format: dict[str, Any], band: int) -> None:
    volume = noise(4, 20, 30, 3)
    tifffile.imwrite(tmp_path / "c.tif", volume, photometric="rgb", metadata={"axes": "ZYXS"}, **format)
    check_reads(tmp_path / "c.tif", volume[..., band], band=band)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"truncate": True}], ids=str)
def test_colours_one_after_the_other(tmp_path: Path, options: dict[str, Any]) -> None:
    volume = noise(4, 3, 20, 30)
    tifffile.imwrite(tmp_path / "c.tif", volume, photometric="rgb", planarconfig="separate", **options)
    check_reads(tmp_path / "c.tif", volume[:, 1], band=1)


def test_an_imagej_stack_over_4_gib(tmp_path: Path) -> None:
    """One page header; planes that lie beyond what its offsets could name."""
    path, (planes, height, width) = tmp_path / "huge.tif", (80, 6000, 6000)
    imagej_over_4_gib(path, planes, height, width, f"ImageJ=1.53t\nimages={planes}\nslices={planes}\nunit=nm\n")
    assert path.stat().st_size > 5 << 30
    corner = smooth(3, 4, dtype=np.uint16) + 7
    with open(path, "r+b") as file:
        for y, row in enumerate(corner):
            file.seek(1000 + 2 * ((67 * height + 5990 + y) * width + 5991))
            file.write(row.astype(">u2").tobytes())
    store = reading(path)
    facts = store.facts()
    assert (facts.box, facts.dtype) == (Box.of((0, width), (0, height), (0, planes)), np.uint16)
    piece = store.read(Box.of((5990, 5996), (5989, 5994), (66, 69)), 0).array
    expected = np.zeros((3, 5, 6), np.uint16)
    expected[1, 1:4, 1:5] = corner
    np.testing.assert_array_equal(piece, expected)


def test_an_imagej_hyperstack_behind_one_page(tmp_path: Path) -> None:
    volume = noise(2, 3, 2, 9, 11, dtype=np.uint16)
    path = tmp_path / "h.tif"
    imagej_over_4_gib(path, 12, 9, 11, "ImageJ=1.53t\nimages=12\nchannels=2\nslices=3\nframes=2\nhyperstack=true\n")
    with open(path, "r+b") as file:
        file.seek(1000)
        file.write(volume.astype(">u2").tobytes())
    check_reads(path, volume[:, :, 1], band=1)


def test_a_thumbnail_is_no_plane(tmp_path: Path) -> None:
    volume = noise(4, 40, 50)
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        for plane in volume:
            file.write(plane, metadata=None, contiguous=False)
        file.write(noise(8, 10), subfiletype=1, metadata=None)
    check_reads(tmp_path / "s.tif", volume)


def test_levels_of_a_pyramid(tmp_path: Path) -> None:
    volume = noise(3, 64, 96)
    with tifffile.TiffWriter(tmp_path / "p.ome.tif") as file:
        file.write(volume, subifds=1, tile=(32, 32), metadata={"axes": "ZYX", "PhysicalSizeX": 1.0})
        file.write(volume[:, ::2, ::2], subfiletype=1, tile=(32, 32))
    check_reads(tmp_path / "p.ome.tif", volume)
    check_reads(tmp_path / "p.ome.tif", volume[:, ::2, ::2], level=1)
    assert reading(tmp_path / "p.ome.tif", level=1).facts().voxel_size is None


def test_one_of_several_images(tmp_path: Path) -> None:
    one, two = noise(6, 20, 30), noise(5, 12, 14, dtype=np.uint16)
    with tifffile.TiffWriter(tmp_path / "s.ome.tif") as file:
        file.write(one, metadata={"axes": "ZYX"})
        file.write(two, metadata={"axes": "ZYX"})
    check_reads(tmp_path / "s.ome.tif", one, series=0)
    check_reads(tmp_path / "s.ome.tif", two, series=1)


@pytest.mark.parametrize("format", [{"imagej": True}, {"ome": True}, {"imagej": True, "compression": "zlib"}], ids=str)
def test_pages_that_the_file_takes_for_something_else(tmp_path: Path, format: dict[str, Any]) -> None:
    volume = noise(6, 20, 30)
    for axes in ("TYX", "CYX"):
        tifffile.imwrite(tmp_path / "s.tif", volume, metadata={"axes": axes}, **format)
        check_reads(tmp_path / "s.tif", volume, flatten=True)


def test_origin(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", noise(6, 20, 30))
    assert reading(tmp_path / "s.tif", origin=(5, -6, 70)).facts().box == Box.of((5, 35), (-6, 14), (70, 76))


def test_whatever_changes_the_voxels_changes_the_identity(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", noise(6, 20, 30))
    choices: list[dict[str, Any]] = [{}, {"origin": (0, 0, 1)}, {"band": 1}, {"series": 0}, {"flatten": True}]
    assert len({reading(tmp_path / "s.tif", **keys).facts().identity for keys in choices}) == len(choices)
    assert reading(tmp_path / "s.tif", level=0).facts().identity == reading(tmp_path / "s.tif").facts().identity


def test_voxel_sizes(tmp_path: Path) -> None:
    volume = noise(6, 20, 30)
    ome = {"axes": "ZYX", "PhysicalSizeX": 4.0, "PhysicalSizeY": 5.0, "PhysicalSizeZ": 40.0}
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in "XYZ"}
    tifffile.imwrite(tmp_path / "nm.ome.tif", volume, metadata={**ome, **units})
    tifffile.imwrite(tmp_path / "um.ome.tif", volume, metadata=ome)
    tifffile.imwrite(tmp_path / "no.ome.tif", volume, metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "flat.ome.tif", volume, metadata={"axes": "ZYX", "PhysicalSizeX": 4.0})
    keys = {"imagej": True, "resolution": (2, 4)}
    tifffile.imwrite(tmp_path / "ij.tif", volume, metadata={"axes": "ZYX", "unit": "um", "spacing": 3.0}, **keys)
    tifffile.imwrite(tmp_path / "inch.tif", volume, metadata={"axes": "ZYX", "unit": "inch", "spacing": 3.0}, **keys)
    sizes = {path.name: (path_facts.voxel_size, path_facts.voxel_unit) for path, path_facts in _facts(tmp_path)}
    assert sizes == {
        "nm.ome.tif": ((4, 5, 40), "nanometers"),
        "um.ome.tif": ((4, 5, 40), "micrometers"),
        "no.ome.tif": (None, None),
        "flat.ome.tif": (None, None),
        "ij.tif": ((0.5, 0.25, 3.0), "micrometers"),
        "inch.tif": (None, None),
    }


def _facts(folder: Path) -> list[tuple[Path, Any]]:
    return [(path, reading(path).facts()) for path in folder.iterdir()]


def test_what_must_be_decoded_together(tmp_path: Path) -> None:
    volume = noise(6, 200, 30)
    for name, options, rows in (
        ("raw", {}, 1),
        ("strips", {"compression": "zlib", "rowsperstrip": 7}, 7),
        ("whole", {"compression": "zlib", "rowsperstrip": 200}, WHOLE),
        ("tiles", {"tile": (32, 32), "compression": "zlib"}, 32),
    ):
        tifffile.imwrite(tmp_path / f"{name}.tif", volume, **options)
        assert reading(tmp_path / f"{name}.tif").facts().grain == (WHOLE, rows, 1)


def test_metadata(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.ome.tif", noise(2, 3, 20, 30), metadata={"axes": "TZYX", "PhysicalSizeX": 4.0})
    told = json.loads(reading(tmp_path / "s.ome.tif").metadata())
    assert (told["file"], told["format"], told["axes"], told["shape"]) == ("s.ome.tif", "ome", "TZ", [2, 3])
    assert 'PhysicalSizeX="4.0"' in told["description"]
    luts = [np.tile(np.arange(256, dtype=np.uint8), (3, 1))]
    tifffile.imwrite(
        tmp_path / "ij.tif", noise(6, 20, 30), imagej=True, metadata={"axes": "ZYX", "LUTs": luts, "Info": "lab 7"}
    )
    told = json.loads(reading(tmp_path / "ij.tif").metadata())
    assert told["imagej"]["Info"] == "lab 7"
    assert np.array(told["imagej"]["LUTs"]).max() == 255
