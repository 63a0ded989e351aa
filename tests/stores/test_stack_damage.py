"""Stacks that are damaged, or are not what they should be: told with file and plane, never taken for black."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from planes import Pixels, noise
from stacks import imagej_over_4_gib, offsets_of, reading

from ndex.errors import DamagedData, JobError, Missing, NdexError
from ndex.geometry import Box

PAGES: dict[str, Any] = {"metadata": None, "contiguous": False, "photometric": "minisblack"}


def write_pages(path: Path, *planes: Pixels, **options: Any) -> None:
    with tifffile.TiffWriter(path) as file:
        for plane in planes:
            file.write(plane, **{**PAGES, **options})


def refused(path: Path, pattern: str, kind: type[JobError] = JobError, **keys: Any) -> None:
    with pytest.raises(kind, match=pattern) as caught:
        reading(path, **keys).facts()
    assert str(caught.value).startswith("source.")


def plane(z: int) -> Box:
    return Box.of((0, 30), (0, 20), (z, z + 1))


@pytest.mark.parametrize("options", [{"compression": "zlib"}, {"compression": "lzw", "tile": (16, 16)}], ids=str)
def test_a_damaged_page_fails_alone(tmp_path: Path, options: dict[str, Any]) -> None:
    volume, path = noise(6, 20, 30), tmp_path / "s.tif"
    write_pages(path, *volume, **options)
    data = bytearray(path.read_bytes())
    at = offsets_of(path)[4]
    data[at : at + 60] = bytes(60)
    path.write_bytes(data)
    store = reading(path)
    assert store.facts().box.shape == volume.shape
    with pytest.raises(DamagedData, match=r"plane 4 of s\.tif is damaged"):
        store.read(plane(4), 0)
    np.testing.assert_array_equal(store.read(plane(5), 0).array, volume[5:])
    piece = reading(path, missing="fill").read(store.facts().box, 0)
    assert piece.filled == (4,)
    np.testing.assert_array_equal(np.delete(piece.array, 4, 0), np.delete(volume, 4, 0))
    assert not piece.array[4].any()


def test_strips_beyond_the_end_of_the_file(tmp_path: Path) -> None:
    """The directories come first in a BigTIFF of ndex and of others: a cut takes away pixels only."""
    volume, path = noise(6, 20, 30), tmp_path / "s.ome.tif"
    tifffile.imwrite(path, volume, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[4]
        where = page.tags["StripOffsets"].valueoffset
    data = bytearray(path.read_bytes())
    data[where : where + 4] = (10**8).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(DamagedData, match=r"plane 4 of s\.ome\.tif is damaged: strip .* ends at byte 100,000,600"):
        reading(path).read(plane(4), 0)


@pytest.mark.parametrize("options", [PAGES, {"metadata": {"axes": "ZYX"}}, {"ome": True}, {"imagej": True}], ids=str)
def test_a_file_that_is_cut_short_is_not_taken_for_a_smaller_one(tmp_path: Path, options: dict[str, Any]) -> None:
    volume, path = noise(6, 20, 30), tmp_path / "s.tif"
    if options is PAGES:
        write_pages(path, *volume)
    else:
        tifffile.imwrite(path, volume, **{"metadata": {"axes": "ZYX"}, **options})
    whole = path.read_bytes()
    for kept in (3, 9, 200, len(whole) // 2, len(whole) - 700, len(whole) - 5):
        path.write_bytes(whole[:kept])
        outcome = read_all(path)
        if isinstance(outcome, str):
            assert re.search(r"s\.tif.* (damaged|neither TIFF nor NIfTI|speaks of 6 planes)", outcome), kept
        else:
            assert np.array_equal(outcome, volume), kept


def read_all(path: Path) -> Pixels | str:
    """All voxels, or why not."""
    store = reading(path)
    try:
        return np.asarray(store.read(store.facts().box, 0).array)
    except NdexError as error:
        return str(error)


def test_a_cut_imagej_stack_behind_one_page_lacks_its_last_planes(tmp_path: Path) -> None:
    volume, path = noise(6, 20, 30, dtype=np.uint16), tmp_path / "s.tif"
    imagej_over_4_gib(path, 6, 20, 30, "ImageJ=1.53t\nimages=6\nslices=6\n")
    with open(path, "r+b") as file:
        file.seek(1000)
        file.write(volume.astype(">u2").tobytes())
        file.truncate(1000 + 4 * 1200 + 600)
    store = reading(path)
    assert store.facts().box.shape == volume.shape
    np.testing.assert_array_equal(store.read(plane(3), 0).array, volume[3:4])
    with pytest.raises(DamagedData, match=r"plane 4 of s\.tif is damaged: the file ends before row 20"):
        store.read(plane(4), 0)
    assert reading(path, missing="fill").read(store.facts().box, 0).filled == (4, 5)


def test_a_chain_of_pages_that_leads_back(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    write_pages(path, *noise(3, 20, 30))
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        pages = [page.offset for page in tiff.pages]
    tags = int.from_bytes(data[pages[2] : pages[2] + 2], "little")
    link = pages[2] + 2 + 12 * tags
    data[link : link + 4] = pages[0].to_bytes(4, "little")
    path.write_bytes(data)
    refused(path, "page 2 leads back to an earlier one")


def test_pages_that_do_not_agree(tmp_path: Path) -> None:
    volume, path = noise(5, 20, 30), tmp_path / "s.tif"
    write_pages(path, *volume, noise(20, 31))
    refused(path, r"holds several images\. Choose one with source\.series: 0 \(5 x 20 x 30 uint8, .*\), 1 \(20 x 31")
    assert reading(path, series=0).facts().box.shape == (5, 20, 30)
    write_pages(path, *volume, noise(20, 30, dtype=np.uint16))
    refused(path, r"source\.series: .*uint8.*uint16")
    refused(path, r"source\.series=2: s\.tif has 0 \(5 x", series=2)


def test_a_page_that_only_its_own_header_tells_apart(tmp_path: Path) -> None:
    """OME speaks of six pages of one size; the fourth is turned."""
    path = tmp_path / "s.ome.tif"
    tifffile.imwrite(path, noise(6, 20, 30), metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as tiff:
        tags = (
            tiff.pages.get(3, cache=False).aspage().tags if hasattr(tiff.pages, "get") else tiff.pages[3].aspage().tags
        )
        width, height = (tags[name].offset + 8 for name in ("ImageWidth", "ImageLength"))
    data = bytearray(path.read_bytes())
    size = 4 if data[width - 6] == 4 else 2
    data[width : width + size], data[height : height + size] = data[height : height + size], data[width : width + size]
    path.write_bytes(data)
    refused(path, r"plane 3 of s\.ome\.tif is 20 x 30 uint8, while others are 30 x 20 uint8")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 20, 30), np.float32), "32-bit float pixels"),
        (np.zeros((4, 20, 30), np.int16), "16-bit signed pixels"),
        (np.zeros((4, 20, 30), bool), "1-bit unsigned pixels"),
    ],
)
def test_what_is_no_unsigned_integer(tmp_path: Path, array: Pixels, words: str) -> None:
    tifffile.imwrite(tmp_path / "s.tif", array, photometric="minisblack")
    refused(tmp_path / "s.tif", rf"s\.tif has {words}\. Convert the files to unsigned integers")


def test_choices_that_must_be_made(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", noise(4, 20, 30, 3), photometric="rgb")
    refused(tmp_path / "c.tif", r"has 3 bands \(colours\)\. Choose one with source\.band")
    refused(tmp_path / "c.tif", r"source\.band=3: c\.tif has bands 0 to 2 only", band=3)
    tifffile.imwrite(tmp_path / "h.tif", noise(4, 2, 20, 30), imagej=True, metadata={"axes": "ZCYX"})
    refused(tmp_path / "h.tif", r"has 2 channels\. Choose one with source\.band")
    refused(tmp_path / "h.tif", r"source\.band=2: h\.tif has bands 0 to 1 only", band=2)
    tifffile.imwrite(tmp_path / "c.ome.tif", noise(4, 2, 20, 30, 3), photometric="rgb", metadata={"axes": "ZCYXS"})
    refused(tmp_path / "c.ome.tif", "2 channels of 3 colours each", band=1)
    tifffile.imwrite(tmp_path / "q.tif", noise(2, 4, 5, 20, 30), photometric="minisblack")
    refused(tmp_path / "q.tif", r"axes .* not z, time and channels.*source\.flatten")
    refused(tmp_path / "h.tif", r"source\.level=1: h\.tif has levels 0 to 0", level=1)


def test_volumes_in_one_page(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "v.tif", noise(32, 32, 32), volumetric=True, tile=(16, 16, 16))
    refused(tmp_path / "v.tif", "pages with several planes each")


def test_planes_in_other_files(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", noise(2, 20, 30), metadata={"axes": "ZYX"})
    xml = tifffile.tiffcomment(tmp_path / "a.ome.tif")
    tifffile.imwrite(tmp_path / "b.ome.tif", noise(20, 30), metadata={"axes": "YX"})
    other = re.search(r'UUID="(urn:uuid:[^"]+)"', tifffile.tiffcomment(tmp_path / "b.ome.tif"))
    assert other is not None
    own = re.search(r'UUID="(urn:uuid:[^"]+)"', xml)
    assert own is not None
    data = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="{name}">{uuid}</UUID></TiffData>'
        for z, (name, uuid) in enumerate([("a.ome.tif", own[1]), ("b.ome.tif", other[1])])
    )
    tifffile.tiffcomment(
        tmp_path / "a.ome.tif", re.sub(r"<TiffData.*?</TiffData>|<TiffData[^>]*/>", data, xml, count=1)
    )
    refused(tmp_path / "a.ome.tif", "refers to other files")


def test_no_stack_at_all(tmp_path: Path) -> None:
    refused(tmp_path / "none.tif", "there is no such file", Missing)
    refused(tmp_path, "is a folder. .*source=images")
    for name, data in (("empty.tif", b""), ("text.tif", b"hello, world"), ("p.tif", b"\x89PNG\r\n\x1a\n")):
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, "is empty|neither TIFF nor NIfTI")
    for name in ("magic", "little"):
        (tmp_path / name).write_bytes(b"II*\0\x08\0\0\0"[: 4 if name == "magic" else 8])
        refused(tmp_path / name, rf"{name} is damaged")
    with pytest.raises(JobError, match="must be a local file"):
        reading("s3://bucket/s.tif")
