"""Which file is which plane, and which files cannot be planes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from planes import Pixels, job_of, noise, png, reading, smooth, write_stack

from ndex.errors import JobError, Missing
from ndex.geometry import Box, Span, Vec
from ndex.job import Extent
from ndex.stores.images import Destination, Source, open_destination, open_source


class TestWhichFileIsWhichPlane:
    def test_a_glob_counts_from_zero_in_natural_order(self, tmp_path: Path) -> None:
        for number in (2, 10, 1):
            tifffile.imwrite(tmp_path / f"a{number}.tif", np.full((2, 2), number, np.uint8))
        (tmp_path / "a3.txt").write_text("no image")
        (tmp_path / ".a4.tif").write_text("hidden")
        for pattern in ("a*.tif", "a[0-9]*.tif", None):
            store = reading(tmp_path, pattern)
            assert store.facts().box.z == Span(0, 3)
            assert store.read(store.facts().box, 0).array[:, 0, 0].tolist() == [1, 2, 10]

    def test_a_step(self, tmp_path: Path) -> None:
        for number in (21, 23, 25):
            tifffile.imwrite(tmp_path / f"s_{number:04d}.tif", np.full((2, 2), number, np.uint8))
        store = reading(tmp_path, z_step=2)
        assert store.facts().box.z == Span(10, 13)
        assert store.read(Box.of((0, 2), (0, 2), (11, 13)), 0).array[:, 0, 0].tolist() == [23, 25]
        with pytest.raises(JobError, match=r"did you mean z_step=2\?"):
            reading(tmp_path).facts()
        tifffile.imwrite(tmp_path / "s_0026.tif", np.zeros((2, 2), np.uint8))
        with pytest.raises(JobError, match=r"source\.z_step=2: the numbers of s_0021\.tif and s_0026\.tif"):
            reading(tmp_path, z_step=2).facts()
        with pytest.raises(JobError, match=r"source\.z_step=2 needs a plane number"):
            reading(tmp_path, "*.tif", z_step=2)

    def test_an_origin(self, tmp_path: Path) -> None:
        write_stack(tmp_path, noise(3, 4, 5), first=90)
        store = reading(tmp_path, origin=(-100, 200, 7))
        assert store.facts().box == Box.of((-100, -95), (200, 204), (7, 10))
        np.testing.assert_array_equal(
            store.read(Box.of((-98, -95), (201, 203), (8, 10)), 0).array, noise(3, 4, 5)[1:, 1:3, 2:]
        )

    def test_channel_and_folder_below(self, tmp_path: Path) -> None:
        (tmp_path / "em" / "raw").mkdir(parents=True)
        write_stack(tmp_path / "em" / "raw", noise(1, 4, 5), "em_{:d}.tif")
        store = open_source(job_of(Source(path=str(tmp_path / "<ch>"), pattern="raw/{channel}_{z}.tif")))
        assert store.facts().box.size == Vec(5, 4, 1)

    def test_time_samples(self, tmp_path: Path) -> None:
        for t in (3, 4):
            write_stack(tmp_path, noise(2, 4, 5, seed=t), f"t{t}_z{{:d}}.tif")
        store = reading(tmp_path, "t{t}_z{z}.tif")
        assert store.facts().times == Span(3, 5)
        np.testing.assert_array_equal(store.read(store.facts().box, 4).array, noise(2, 4, 5, seed=4))
        (tmp_path / "t4_z0.tif").unlink()
        with pytest.raises(JobError, match="no file for plane 0 of time sample 4"):
            reading(tmp_path, "t{t}_z{z}.tif").facts()

    def test_links_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        write_stack(tmp_path / "real", noise(1, 4, 5))
        (tmp_path / "links").mkdir()
        try:
            (tmp_path / "links" / "s_0000.tif").symlink_to(tmp_path / "real" / "s_0000.tif")
        except OSError:
            pytest.skip("this system lets nobody make links")
        assert reading(tmp_path / "links").facts().box.size == Vec(5, 4, 1)

    def test_the_identity_is_of_the_place_and_of_what_is_read(self, tmp_path: Path, monkeypatch: Any) -> None:
        write_stack(tmp_path, noise(1, 4, 5))
        monkeypatch.chdir(tmp_path.parent)
        plain = reading(tmp_path).facts().identity
        assert reading(Path(tmp_path.name) / ".", "s_<p:4>.tif").facts().identity == plain
        store = open_destination(job_of(destination=Destination(path=str(tmp_path), pattern="s_{z:04d}.tif")))
        assert store.identity == plain
        others = [reading(tmp_path, band=0), reading(tmp_path, origin=(0, 0, 0)), reading(tmp_path, z_step=2)]
        assert len({plain, *(other.facts().identity for other in others)}) == 4

    def test_many_names_are_listed_quickly(self, tmp_path: Path) -> None:
        for z in range(20_000):
            (tmp_path / f"s_{z:06d}.tif").touch()
        tifffile.imwrite(tmp_path / "s_000000.tif", np.zeros((2, 2), np.uint8))
        start = time.perf_counter()
        store = reading(tmp_path, "s_%06d.tif", extent=Extent(z=(0, 1)))
        assert store.facts().box.z == Span(0, 20_000)
        assert time.perf_counter() - start < 2


class TestRefusedSources:
    @pytest.mark.parametrize(
        ("pixels", "reason"),
        [
            (np.zeros((4, 5), np.int16), "16-bit signed pixels.*Convert"),
            (np.zeros((4, 5), np.float32), "32-bit float pixels"),
            (np.zeros((4, 5), bool), "1-bit unsigned pixels"),
            (np.zeros((4, 5, 3), np.uint8), r"3 bands.*source\.band"),
            (np.zeros((3, 4, 5), np.uint8), "several planes.*source=stack"),
        ],
        ids=["signed", "float", "bool", "colour", "stack"],
    )
    def test_tiff_files_that_are_no_planes(self, tmp_path: Path, pixels: Pixels, reason: str) -> None:
        photometric = "rgb" if pixels.shape[-1] == 3 else "minisblack"
        tifffile.imwrite(tmp_path / "s_0000.tif", pixels, photometric=photometric)
        with pytest.raises(JobError, match=rf"(?s)s_0000\.tif.*{reason}"):
            reading(tmp_path).facts()

    def test_an_imagej_stack_behind_one_directory(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "s_0000.tif", noise(3, 4, 5), imagej=True, truncate=True)
        with pytest.raises(JobError, match="several planes"):
            reading(tmp_path).facts()

    def test_a_thumbnail_is_no_second_plane(self, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "s_0000.tif") as tiff:
            tiff.write(smooth(64, 64))
            tiff.write(smooth(8, 8), subfiletype=1)
        assert reading(tmp_path).facts().box.size == Vec(64, 64, 1)

    def test_palettes(self, tmp_path: Path) -> None:
        colours = np.zeros((3, 256), np.uint16)
        tifffile.imwrite(tmp_path / "s_0000.tif", noise(4, 5), photometric="palette", colormap=colours)
        (tmp_path / "0.png").write_bytes(png(4, 4, depth=8, colour=3))
        for pattern in ("s_%04d.tif", "{z}.png"):
            with pytest.raises(JobError, match="colour table"):
                reading(tmp_path, pattern).facts()

    def test_one_bitpng(self, tmp_path: Path) -> None:
        (tmp_path / "0.png").write_bytes(png(8, 8, depth=1, colour=0))
        with pytest.raises(JobError, match="1-bit"):
            reading(tmp_path, None).facts()

    def test_a_band_that_is_not_there(self, tmp_path: Path) -> None:
        write_stack(tmp_path, noise(1, 4, 5, 3), photometric="rgb")
        with pytest.raises(JobError, match=r"source\.band=3: .* bands 0 to 2"):
            reading(tmp_path, band=3).facts()

    def test_other_files(self, tmp_path: Path) -> None:
        (tmp_path / "s_0000.tif").write_text("not an image at all")
        with pytest.raises(JobError, match="not a TIFF, PNG or JPEG file"):
            reading(tmp_path).facts()

    @pytest.mark.parametrize("odd", [0, 1, 3])
    def test_the_odd_one_out_is_named(self, tmp_path: Path, odd: int) -> None:
        write_stack(tmp_path, noise(4, 40, 50))
        tifffile.imwrite(tmp_path / f"s_{odd:04d}.tif", noise(40, 51, dtype=np.uint16))
        with pytest.raises(JobError, match=rf"s_000{odd}\.tif is 51 x 40 uint16, while 3 of 4 files are 50 x 40 uint8"):
            reading(tmp_path).facts()

    def test_only_what_the_extent_needs_has_to_agree(self, tmp_path: Path) -> None:
        write_stack(tmp_path, noise(6, 4, 5))
        (tmp_path / "s_0004.tif").unlink()
        tifffile.imwrite(tmp_path / "s_0003.tif", noise(9, 9))
        assert reading(tmp_path, extent=Extent(z=(0, 3))).facts().box.z == Span(0, 6)
        with pytest.raises(JobError, match=r"s_0003\.tif is"):
            reading(tmp_path, extent=Extent(z=(0, 4))).facts()

    def test_gaps(self, tmp_path: Path) -> None:
        write_stack(tmp_path, noise(20, 4, 5))
        for z in (3, 7, 8, 9, 12, 15):
            (tmp_path / f"s_{z:04d}.tif").unlink()
        with pytest.raises(JobError, match=r"no file for plane 3, 7 to 9, 12\. Add the files, or set missing=fill"):
            reading(tmp_path).facts()
        with pytest.raises(JobError, match=r"plane 12\."):
            reading(tmp_path, extent=Extent(z=(12, 15))).facts()

    def test_the_same_number_twice(self, tmp_path: Path) -> None:
        write_stack(tmp_path, noise(1, 4, 5), "a_{:d}.tif")
        write_stack(tmp_path, noise(1, 4, 5), "a_{:02d}.tif")
        with pytest.raises(JobError, match=r"a_0\.tif and a_00\.tif have the same number"):
            reading(tmp_path, "a_{z}.tif").facts()

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(Missing, match=r"source\.path=.*no such folder"):
            reading(tmp_path / "absent").facts()
        with pytest.raises(Missing, match="has no files"):
            reading(tmp_path).facts()
        for name in ("b2.tif", "b10.tif", "a.tif", "c.tif"):
            (tmp_path / name).touch()
        with pytest.raises(Missing, match=r"pattern=s_%04d\.tif: .*it has a\.tif, b2\.tif, b10\.tif and 1 more"):
            reading(tmp_path).facts()
        with pytest.raises(JobError, match="is a file, not a folder"):
            reading(tmp_path / "a.tif").facts()
        with pytest.raises(
            JobError, match=r"source\.path=ftp://host/key: must be a local folder or s3://bucket/prefix"
        ):
            open_source(job_of(Source(path="ftp://host/key")))
