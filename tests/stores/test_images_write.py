"""Files that are written: what others read in them, and what an error leaves."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from planes import WRITTEN, job_of, noise, ready, volume_of, write

from ndex.errors import JobError, TransientError
from ndex.geometry import Box, Span
from ndex.stores.images import Destination, open_destination


class TestWriting:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
    @pytest.mark.parametrize("compression", ["deflate", "zstd", "none"])
    @pytest.mark.parametrize("rows", [64, 7, 1])
    def test_tiff_that_others_read(
        self, tmp_path: Path, dtype: Any, compression: Any, rows: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ndex.stores.images.strips.STRIP", 10 * 70 * np.dtype(dtype).itemsize)
        array = noise(4, 43, 70, dtype=dtype)
        store = ready(Destination(path=str(tmp_path), compression=compression), volume_of(WRITTEN, dtype))
        write(store, WRITTEN, array, rows)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == [f"col_exp_em_x100-170_y20-63_z{z:04d}.tif" for z in range(9, 13)]
        for name, plane in zip(names, array, strict=True):
            with tifffile.TiffFile(tmp_path / name) as tiff:
                page = tiff.pages.first
                assert (len(tiff.pages), page.rowsperstrip, len(page.dataoffsets)) == (1, 10, 5)
                np.testing.assert_array_equal(page.asarray(), plane)
        for box in (WRITTEN, Box.of((101, 103), (35, 62), (10, 12))):
            np.testing.assert_array_equal(store.read(box, 0).array, array[WRITTEN.slices(box)])

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("rows", [64, 7])
    def test_png_that_others_read(self, tmp_path: Path, dtype: Any, rows: int) -> None:
        array = noise(4, 43, 70, dtype=dtype)
        store = ready(Destination(path=str(tmp_path), pattern="<ch>/{z}.png"), volume_of(WRITTEN, dtype))
        write(store, WRITTEN, array, rows)
        for z, plane in enumerate(array, 9):
            np.testing.assert_array_equal(imagecodecs.png_decode((tmp_path / "em" / f"{z}.png").read_bytes()), plane)
        box = Box.of((101, 103), (35, 62), (10, 12))
        np.testing.assert_array_equal(store.read(box, 0).array, array[WRITTEN.slices(box)])

    def test_pillow_reads_both(self, tmp_path: Path) -> None:
        image = pytest.importorskip("PIL.Image")
        array = noise(4, 43, 70, dtype=np.uint16)
        for pattern in ("{z}.tif", "{z}.png"):
            write(
                ready(Destination(path=str(tmp_path), pattern=pattern), volume_of(WRITTEN, np.uint16)), WRITTEN, array
            )
            with image.open(tmp_path / pattern.format(z=9)) as picture:
                np.testing.assert_array_equal(np.asarray(picture), array[0])

    def test_differences_are_stored_of_images_only(self, tmp_path: Path) -> None:
        for dtype, predictor in ((np.uint8, 2), (np.uint16, 2), (np.uint32, 1), (np.uint64, 1)):
            store = ready(Destination(path=str(tmp_path / str(predictor)), overwrite=True), volume_of(WRITTEN, dtype))
            write(store, WRITTEN, noise(4, 43, 70, dtype=dtype))
            with tifffile.TiffFile(next((tmp_path / str(predictor)).iterdir())) as tiff:
                assert (tiff.pages.first.predictor, tiff.pages.first.compression) == (predictor, 8)

    def test_a_large_plane_is_a_bigtiff(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ndex.stores.images.growing_tiff.CLASSIC_LIMIT", 1000)
        monkeypatch.setattr("ndex.stores.images.strips.STRIP", 700)
        store = ready(Destination(path=str(tmp_path)), volume_of(WRITTEN))
        write(store, WRITTEN, noise(4, 43, 70))
        with tifffile.TiffFile(next(tmp_path.iterdir())) as tiff:
            assert tiff.is_bigtiff
        np.testing.assert_array_equal(store.read(WRITTEN, 0).array, noise(4, 43, 70))

    def test_memory_is_a_band(self, tmp_path: Path) -> None:
        box = Box.of((0, 2000), (0, 4000), (0, 1))
        for pattern in ("{z}.tif", "{z}.png"):
            store = ready(Destination(path=str(tmp_path), pattern=pattern), volume_of(box))
            band = noise(1, 100, 2000)
            tracemalloc.start()
            with store.writer(box, 0) as writer:
                for y in range(0, 4000, 100):
                    writer.write(Box.of(box.x, (y, y + 100), box.z), band)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 2_000_000  # of 8,000,000

    def test_the_digits_of_the_last_plane(self, tmp_path: Path) -> None:
        box = Box.of((0, 4), (0, 4), (99_998, 100_001))
        store = open_destination(job_of(destination=Destination(path=str(tmp_path)), channel=None))
        assert store.check(volume_of(box))[-1].endswith("lab_job_x0-4_y0-4_z099998.tif on")

    def test_steps_and_time_samples(self, tmp_path: Path) -> None:
        volume = volume_of(WRITTEN, times=Span(0, 2))
        for pattern, name in (("t{t}_%03d.tif", "t1_018.tif"), (None, "col_exp_em_x100-170_y20-63_t1_z0018.tif")):
            store = ready(Destination(path=str(tmp_path), pattern=pattern, z_step=2), volume)
            write(store, WRITTEN, noise(4, 43, 70), t=1)
            assert (tmp_path / name).exists()
            assert store.held([(WRITTEN, 1)]).all()
            assert not store.held([(WRITTEN, 0)]).all()
        with pytest.raises(JobError, match=r"time samples.*\{t\}"):
            ready(Destination(path=str(tmp_path), pattern="%03d.tif"), volume)

    def test_an_error_leaves_nothing(self, tmp_path: Path) -> None:
        store = ready(Destination(path=str(tmp_path)), volume_of(WRITTEN))
        drafts: list[str] = []

        def fail_half_way() -> None:
            with store.writer(WRITTEN, 0) as writer:
                writer.write(Box.of(WRITTEN.x, (20, 30), WRITTEN.z), noise(4, 10, 70))
                drafts.extend(path.name for path in tmp_path.iterdir())
                raise TransientError("the source is away")

        with pytest.raises(TransientError):
            fail_half_way()
        assert len(drafts) == 4
        assert all(name.startswith(".") for name in drafts)
        assert not list(tmp_path.iterdir())

    def test_what_is_not_a_whole_plane_is_refused(self, tmp_path: Path) -> None:
        store = ready(Destination(path=str(tmp_path)), volume_of(WRITTEN))
        with pytest.raises(ValueError, match="ended at row 30"), store.writer(WRITTEN, 0) as writer:
            writer.write(Box.of(WRITTEN.x, (20, 30), WRITTEN.z), noise(4, 10, 70))
        with pytest.raises(ValueError, match="does not continue"), store.writer(WRITTEN, 0) as writer:
            writer.write(Box.of(WRITTEN.x, (30, 40), WRITTEN.z), noise(4, 10, 70))
        assert not list(tmp_path.iterdir())

    def test_a_full_disk_ends_the_job(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = ready(Destination(path=str(tmp_path)), volume_of(WRITTEN))

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(JobError, match="Make room"):
            write(store, WRITTEN, noise(4, 43, 70))
        assert not list(tmp_path.iterdir())

    def test_a_worker_only_needs_to_be_told_of_the_volume(self, tmp_path: Path) -> None:
        volume = volume_of(WRITTEN)
        settings = Destination(path=str(tmp_path))
        ready(settings, volume)
        worker = open_destination(job_of(destination=settings))
        with pytest.raises(RuntimeError, match="must be told"):
            worker.read(WRITTEN, 0)
        worker.expect(volume)
        write(worker, WRITTEN, noise(4, 43, 70))
        np.testing.assert_array_equal(worker.read(WRITTEN, 0).array, noise(4, 43, 70))
