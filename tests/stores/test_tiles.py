"""What is read from trees of tiles, wherever they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import s3_server
from planes import noise
from tile_trees import PATTERN, TILE, Web, encoded, job_of, reading, serving, upload_tree, write_tree

from ndex.errors import AccessError, DamagedData, JobError, Missing, PermanentError, TransientError, Unreachable
from ndex.geometry import Box, Vec
from ndex.job import Extent
from ndex.stores import open_source

VOLUME = noise(3, 130, 170)
BOX = Box.of((0, 170), (0, 130), (7, 10))
BOXES = [
    BOX,
    Box.of((49, 51), (39, 41), (8, 9)),
    Box.of((169, 170), (129, 130), (9, 10)),
    Box.of((50, 100), (0, 3), (7, 9)),
]
KNOWN: dict[str, Any] = {"size": (170, 130), "z": (7, 10)}
"""For where tiles cannot be listed."""


def expect_volume(store: Any, volume: np.ndarray = VOLUME, box: Box = BOX) -> None:
    facts = store.facts()
    assert (facts.box, facts.dtype) == (box, volume.dtype)
    for part in BOXES:
        piece = store.read(part, 0)
        assert piece.filled == ()
        np.testing.assert_array_equal(piece.array, volume[BOX.slices(part)])


class TestFolders:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("pad", [False, True])
    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_every_part(self, tmp_path: Path, dtype: Any, pad: bool, suffix: str) -> None:
        pattern = f"{{z:04d}}/{{y}}_{{x}}.{suffix}"
        volume = noise(3, 130, 170, dtype=dtype)
        write_tree(tmp_path, volume, 7, pattern, pad)
        expect_volume(reading(tmp_path, pattern, **(KNOWN if pad else {})), volume)

    def test_padding_is_a_part_of_planes_whose_size_is_not_given(self, tmp_path: Path) -> None:
        write_tree(tmp_path, VOLUME, 7, pad=True)
        assert reading(tmp_path).facts().box == Box.of((0, 200), (0, 160), (7, 10))

    @pytest.mark.parametrize("pattern", ["{x:03d}/{y}/{z}.png", "p{z}_c{x}_r{y}.png", "{z}/{z}-{y:02d}-{x}.png"])
    def test_names_of_all_sorts(self, tmp_path: Path, pattern: str) -> None:
        write_tree(tmp_path, VOLUME, 7, pattern)
        (tmp_path / "thumbs.db").touch()
        (tmp_path / ".hidden").mkdir()
        expect_volume(reading(tmp_path, pattern))

    def test_rows_and_columns_may_count_from_one(self, tmp_path: Path) -> None:
        write_tree(tmp_path, VOLUME, 7, base=1)
        expect_volume(reading(tmp_path, first=1))

    def test_jpeg_tiles_in_colour(self, tmp_path: Path) -> None:
        ramp = np.add.outer(np.arange(130), np.arange(170)).astype(np.uint8) // 2
        write_tree(tmp_path, np.stack([ramp] * 3, -1)[None], 7, "{z}/{y}_{x}_0.jpg")
        with pytest.raises(JobError, match=r"3 bands.*source\.band"):
            reading(tmp_path, "{z}/{y}_{x}_0.jpg").facts()
        found = reading(tmp_path, "{z}/{y}_{x}_0.jpg", band=1).read(Box.of((0, 170), (0, 130), (7, 8)), 0).array[0]
        assert np.abs(found.astype(int) - ramp).max() < 9

    def test_an_origin_and_a_grid_there(self, tmp_path: Path) -> None:
        write_tree(tmp_path, VOLUME, 7)
        facts = reading(tmp_path, origin=(-100, 20, 0)).facts()
        assert (facts.box, facts.corner) == (Box.of((-100, 70), (20, 150), (0, 3)), Vec(-100, 20, -7))
        assert facts.grid == facts.grain == Vec(*TILE, 1)
        part = Box.of((-60, -40), (55, 65), (1, 2))
        found = reading(tmp_path, origin=(-100, 20, 0)).read(part, 0).array
        np.testing.assert_array_equal(found[0], VOLUME[1, 35:45, 40:60])

    def test_a_tile_is_opened_once_for_a_piece(self, tmp_path: Path) -> None:
        write_tree(tmp_path, VOLUME, 7)
        with serving(tmp_path) as web:
            store = reading(web.url, **KNOWN)
            store.facts()
            web.asked.clear()
            store.read(BOX, 0)
        assert sorted(web.asked) == sorted(set(web.asked))
        assert len(web.asked) == 3 * 4 * 4

    def test_channel_in_path_and_pattern(self, tmp_path: Path) -> None:
        with pytest.raises(JobError, match="names no channel"):
            reading(tmp_path / "{channel}")

    def test_a_worker_reads_without_asking_for_facts(self, tmp_path: Path) -> None:
        write_tree(tmp_path, VOLUME, 7)
        np.testing.assert_array_equal(reading(tmp_path).read(BOX, 0).array, VOLUME)


class TestBuckets:
    def test_listed_and_not(self, tmp_path: Path) -> None:
        write_tree(tmp_path, VOLUME, 7)
        upload_tree(tmp_path, s3_server.new_bucket("tile-trees"), "em/level0")
        keys = {"endpoint_url": s3_server.endpoint()}
        expect_volume(reading("s3://tile-trees/em/level0/", **keys))
        expect_volume(reading("s3://tile-trees/em/level0", **keys, **KNOWN))
        with pytest.raises(
            Missing, match=r"no file in s3://tile-trees/em has such a name; it has level0/0007/0_0\.png"
        ):
            reading("s3://tile-trees/em", **keys).facts()


class TestWeb:
    @pytest.fixture
    def web(self, tmp_path: Path) -> Any:
        write_tree(tmp_path / "em", VOLUME, 7)
        with serving(tmp_path) as web:
            yield web

    def test_size_and_planes_from_the_source_or_the_extent(self, web: Web) -> None:
        expect_volume(reading(f"{web.url}/em/", **KNOWN))
        expect_volume(reading(f"{web.url}/em", extent=Extent(x=(0, 170), y=(0, 130), z=(7, 10))))

    def test_nothing_is_guessed_where_nothing_can_be_listed(self, web: Web) -> None:
        for keys in ({}, {"size": (170, 130)}, {"extent": Extent(x=(0, 170), z=(7, 10))}):
            with pytest.raises(JobError, match=r"cannot be listed\. Give source\.size=.* or all of extent"):
                reading(f"{web.url}/em", **keys).facts()
        assert web.asked == []

    def test_the_type_comes_from_the_first_tile_that_is_there(self, web: Web, tmp_path: Path) -> None:
        (tmp_path / "em/0007/0_0.png").unlink()
        assert reading(f"{web.url}/em", missing="fill", **KNOWN).facts().dtype == np.uint8
        with pytest.raises(Missing, match=r"none of the tiles that were tried can be read.*/0009/0_3\.png.*404"):
            reading(f"{web.url}/wrong", missing="fill", size=(170, 40), z=(7, 10)).facts()

    def test_what_may_pass_is_tried_again(self, web: Web) -> None:
        store = reading(f"{web.url}/em", **KNOWN)
        store.facts()
        tile = "/em/0008/1_1.png"
        part = Box.of((50, 100), (40, 80), (8, 9))
        cut_short = (200, {"Content-Length": "5000"}, b"\x89PNG")
        for answer in ((503, {"Retry-After": "0"}, b""), (429, {}, b""), (500, {}, b"x"), cut_short):
            web.answers[tile] = [answer]
            np.testing.assert_array_equal(store.read(part, 0).array, VOLUME[BOX.slices(part)])
            web.answers[tile] = [answer] * 2
            with pytest.raises(TransientError, match=r"0008/1_1\.png"):
                store.read(part, 0)

    @pytest.mark.parametrize("missing", ["fail", "fill"])
    def test_what_is_no_absence_is_never_filled(self, web: Web, missing: str) -> None:
        store = reading(f"{web.url}/em", missing=missing, **KNOWN)
        store.facts()
        page = b"<html>Please log in</html>"
        for answer, error, words in (
            ((403, {}, b""), AccessError, "answers 403.*netrc"),
            ((401, {}, b""), AccessError, "answers 401"),
            ((400, {}, b""), JobError, "answers 400"),
            ((200, {}, page), PermanentError, "not a TIFF, PNG or JPEG file"),
            ((302, {"Location": "/em/0008/1_1.png"}, b""), JobError, "TooManyRedirects"),
        ):
            web.answers["/em/0008/1_1.png"] = [answer] * 20
            with pytest.raises(error, match=rf"(?s)0008/1_1\.png.*{words}"):
                store.read(BOX, 0)

    def test_absent_tiles_follow_the_policy(self, web: Web) -> None:
        web.answers["/em/0008/1_1.png"] = [(204, {}, b""), (404, {}, b""), (410, {}, b"")]
        store = reading(f"{web.url}/em", **KNOWN)
        with pytest.raises(PermanentError, match=r"http://.*0008/1_1\.png: there is no such file"):
            store.read(BOX, 0)
        expected = VOLUME.copy()
        expected[1, 40:80, 50:100] = 0
        for _ in range(2):
            piece = reading(f"{web.url}/em", missing="fill", **KNOWN).read(BOX, 0)
            assert piece.filled == (8,)
            np.testing.assert_array_equal(piece.array, expected)

    def test_a_body_without_end_is_not_read(self, web: Web) -> None:
        store = reading(f"{web.url}/em", **KNOWN)
        store.facts()
        web.answers["/em/0008/1_1.png"] = [(200, {}, bytes(2 << 20))]
        with pytest.raises(DamagedData, match="more than 1,112,576 bytes"):
            store.read(BOX, 0)

    def test_nobody_there(self) -> None:
        with pytest.raises(Unreachable, match=r"nobody answers at 127\.0\.0\.1:9"):
            reading("http://127.0.0.1:9/em", **KNOWN).facts()

    @pytest.mark.parametrize(
        "url", ["http://me:secret@host/em", "http://host/em?token=1", "https:///em", "ftp://host/em"]
    )
    def test_addresses_that_are_refused(self, url: str) -> None:
        with pytest.raises(JobError, match=r"source\.path") as caught:
            reading(url, **KNOWN)
        assert "secret" not in str(caught.value)


class TestFaults:
    def test_missing_tiles(self, tmp_path: Path) -> None:
        write_tree(tmp_path, VOLUME, 7)
        for name in ("0008/1_1.png", "0008/2_0.png"):
            (tmp_path / name).unlink()
        with pytest.raises(JobError, match=r"2 tiles are missing, the first of them .*0008.1_1\.png.*missing=fill"):
            reading(tmp_path).facts()
        part = {"extent": Extent(x=(0, 50), z=(8, 10))}
        with pytest.raises(JobError, match=r"1 tile is missing: .*0008.2_0\.png"):
            reading(tmp_path, **part).facts()
        for extent in (Extent(z=(9, 10)), Extent(y=(0, 40)), Extent(x=(100, 170))):
            assert reading(tmp_path, extent=extent).facts().box == BOX
        with pytest.raises(PermanentError, match=r"0008.1_1\.png"):
            reading(tmp_path, **KNOWN).read(BOX, 0)
        piece = reading(tmp_path, missing="fill").read(BOX, 0)
        assert piece.filled == (8,)
        assert not piece.array[1, 80:120, 0:50].any()
        np.testing.assert_array_equal(piece.array[::2], VOLUME[::2])

    @pytest.mark.parametrize("missing", ["fail", "fill"])
    @pytest.mark.parametrize(
        ("pixels", "at"),
        [
            (noise(40, 49), "0008/1_1"),
            (noise(41, 50), "0008/1_1"),
            (noise(40, 50, dtype=np.uint16), "0008/1_1"),
            (noise(9, 20), "0009/3_3"),
            (noise(10, 21), "0009/3_3"),
        ],
        ids=["narrow", "high", "type", "low edge", "wide edge"],
    )
    def test_a_tile_of_another_size_or_type_is_named(self, tmp_path: Path, missing: str, pixels: Any, at: str) -> None:
        write_tree(tmp_path, VOLUME, 7)
        (tmp_path / f"{at}.png").write_bytes(encoded(pixels, ".png"))
        with pytest.raises(PermanentError, match=rf"{at.replace('/', '.')}\.png is .* and should be 50 x 40 uint8"):
            reading(tmp_path, missing=missing).read(BOX, 0)

    def test_a_damaged_tile(self, tmp_path: Path) -> None:
        write_tree(tmp_path, VOLUME, 7)
        path = tmp_path / "0008/1_1.png"
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(DamagedData, match=r"1_1\.png is damaged"):
            reading(tmp_path).read(BOX, 0)
        assert reading(tmp_path, missing="fill").read(BOX, 0).filled == (8,)

    def test_a_folder_that_may_not_be_what_was_meant(self, tmp_path: Path) -> None:
        with pytest.raises(Missing, match="no such folder"):
            reading(tmp_path / "absent").facts()
        with pytest.raises(Missing, match="there are none at all"):
            reading(tmp_path).facts()
        write_tree(tmp_path, VOLUME, 7)
        with pytest.raises(Missing, match=r"it has 0007/0_0\.png, for one"):
            reading(tmp_path, "{z}/{y}_{x}.jpg").facts()
        (tmp_path / "9999999999").mkdir()
        (tmp_path / "9999999999" / "0_0.png").touch()
        with pytest.raises(JobError, match="the numbers in the names span"):
            reading(tmp_path).facts()

    @pytest.mark.parametrize(
        "pattern", ["{z}/{y}.png", "{z}/*_{y}_{x}.png", "{z}/{y}_{x}_{w}.png", "../{z}/{y}_{x}.png", "/{z}/{y}_{x}.png"]
    )
    def test_patterns_that_are_refused(self, pattern: str) -> None:
        with pytest.raises(JobError, match=r"source\.pattern="):
            reading("nowhere", pattern)

    def test_the_identity_is_of_what_is_read(self, tmp_path: Path) -> None:
        write_tree(tmp_path, VOLUME, 7)
        stores = [open_source(job_of(tmp_path, PATTERN, **keys)) for keys in ({}, {"band": 0}, {"origin": (0, 0, 0)})]
        assert len({store.facts().identity for store in stores}) == 3
