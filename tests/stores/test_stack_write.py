"""One BigTIFF, written by tasks in any order: others read it, it is never there half-done, and it resumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from planes import STAMP, noise, smooth, volume_of, write
from stacks import check_reads, finish, reading, ready

from ndex.errors import DamagedData, JobError, PermanentError, TransferError
from ndex.geometry import Box, Span
from ndex.stores.stack import Destination, Source
from ndex.stores.stack.destination import StackDestination
from ndex.stores.stack.draft import SharedDraft

BOX = Box.of((100, 170), (20, 63), (9, 20))
COMPRESSIONS = ("none", "deflate", "zstd")


def settings(folder: Path, **keys: Any) -> Destination:
    return Destination(path=str(folder / "deep" / "s.tif"), **keys)


def tasks(depth: int = 4) -> list[Box]:
    return [Box.of(BOX.x, BOX.y, (z, min(z + depth, BOX.z.stop))) for z in range(*BOX.z, depth)]


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "deep").iterdir() if path.name.startswith("."))


def part(array: Any, box: Box) -> Any:
    return array[BOX.slices(box)]


def write_all(store: StackDestination, array: Any, rows: int = 16) -> None:
    for task in reversed(tasks()):
        write(store, task, part(array, task), rows)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_a_file_that_others_read(tmp_path: Path, compression: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ndex.stores.images.strips.STRIP", 10 * 70 * np.dtype(dtype).itemsize)
    volume, array = volume_of(BOX, dtype), noise(*BOX.shape, dtype=dtype)
    store, path = ready(settings(tmp_path, compression=compression), volume), tmp_path / "deep" / "s.tif"
    write_all(store, array)
    assert not path.exists()
    finish(store, volume)
    assert [path.name for path in path.parent.iterdir()] == ["s.tif"]
    with tifffile.TiffFile(path) as tiff:
        assert (tiff.is_bigtiff, len(tiff.pages), tiff.series[0].axes) == (True, 11, "ZYX")
        assert tiff.imagej_metadata is not None
        assert tiff.imagej_metadata["slices"] == 11
        assert tiff.pages.first.compression == {"none": 1, "deflate": 8, "zstd": 50000}[compression]
        np.testing.assert_array_equal(tiff.asarray(), array)
    check_reads(path, array)
    assert reading(path).facts().box == BOX
    assert reading(path, origin=(0, 0, 0)).facts().box.start == (0, 0, 0)


@pytest.mark.parametrize("compression", ["none", "deflate"])
def test_pillow_reads_it(tmp_path: Path, compression: str) -> None:
    from PIL import Image, ImageSequence

    volume, array = volume_of(BOX), noise(*BOX.shape)
    store = ready(settings(tmp_path, compression=compression), volume)
    write_all(store, array)
    finish(store, volume)
    with Image.open(tmp_path / "deep" / "s.tif") as image:
        np.testing.assert_array_equal(np.stack([np.asarray(page) for page in ImageSequence.Iterator(image)]), array)


def test_uncompressed_planes_lie_behind_each_other(tmp_path: Path) -> None:
    volume, array = volume_of(BOX, "uint16"), noise(*BOX.shape, dtype=np.uint16)
    store = ready(settings(tmp_path, compression="none"), volume)
    write_all(store, array)
    finish(store, volume)
    np.testing.assert_array_equal(tifffile.memmap(tmp_path / "deep" / "s.tif", mode="r"), array)


@pytest.mark.parametrize("compression", ["none", "deflate"])
def test_time_samples(tmp_path: Path, compression: str) -> None:
    volume = volume_of(BOX, times=Span(2, 5))
    arrays = noise(3, *BOX.shape)
    store = ready(settings(tmp_path, compression=compression), volume)
    for t in (4, 2, 3):
        write(store, BOX, arrays[t - 2], t=t)
        np.testing.assert_array_equal(store.read(BOX, t).array, arrays[t - 2])
    finish(store, volume)
    assert tifffile.TiffFile(tmp_path / "deep" / "s.tif").series[0].axes == "TZYX"
    check_reads(tmp_path / "deep" / "s.tif", arrays)


def test_voxel_size(tmp_path: Path) -> None:
    for size, unit in (((4.0, 5.5, 40.0), "nanometers"), ((0.25, 0.125, 2.0), "micrometers")):
        volume = replace(volume_of(BOX), voxel_size=size, voxel_unit=unit)
        store = ready(settings(tmp_path, overwrite=True), replace(volume, stamp=unit))
        write_all(store, noise(*BOX.shape))
        finish(store, replace(volume, stamp=unit))
        facts = reading(tmp_path / "deep" / "s.tif").facts()
        assert (facts.voxel_size, facts.voxel_unit) == (pytest.approx(size), unit)


@pytest.mark.parametrize("compression", ["none", "deflate"])
def test_what_was_not_written_is_not_black(tmp_path: Path, compression: str) -> None:
    volume, array = volume_of(BOX), noise(*BOX.shape)
    store = ready(settings(tmp_path, compression=compression), volume)
    first, second, last = tasks()
    write(store, second, part(array, second))
    assert store.held([(task, 0) for task in tasks()]).tolist() == [False, True, False]
    with pytest.raises(DamagedData, match=r"plane 9 of s\.tif is damaged: .* never written"):
        store.read(first, 0)
    with pytest.raises(PermanentError, match="7 of 11 planes were never written"):
        finish(store, volume)
    assert hidden(tmp_path)
    assert not (tmp_path / "deep" / "s.tif").exists()
    assert store.check(volume) == [f"7 planes, 70 x 43 uint8, BigTIFF (compression: {compression}), in s.tif"]
    for task in (first, last):
        write(store, task, part(array, task))
    finish(store, volume)
    finish(store, volume)
    assert (store.check(volume), hidden(tmp_path)) == ([], [])
    assert store.held([(task, 0) for task in tasks()]).all()


@pytest.mark.parametrize("compression", ["none", "deflate"])
def test_a_task_that_fails_over_written_planes_takes_them_out(tmp_path: Path, compression: str) -> None:
    volume, array = volume_of(BOX), noise(*BOX.shape)
    store = ready(settings(tmp_path, compression=compression), volume)
    write_all(store, array)
    first = tasks()[0]
    with pytest.raises(ValueError, match="ended at row 30"):  # noqa: SIM117 - the inner one must not see the error
        with store.writer(first, 0) as writer:
            writer.write(Box.of(first.x, (20, 30), first.z), part(array, first)[:, :10])
    assert not store.held([(first, 0)]).all()
    with pytest.raises(PermanentError, match="4 of 11 planes"):
        finish(store, volume)


@pytest.mark.parametrize("compression", ["none", "deflate"])
def test_a_complete_file_is_written_again_only_without_its_name(tmp_path: Path, compression: str) -> None:
    """As when the journal was lost."""
    volume, array = volume_of(BOX), noise(*BOX.shape)
    path = tmp_path / "deep" / "s.tif"
    for seed in (1, 2):
        store, array = ready(settings(tmp_path, compression=compression), volume), noise(*BOX.shape, seed=seed)
        assert path.exists() == (seed == 2)
        for task in tasks():
            write(store, task, part(array, task))
            assert not path.exists()
        finish(store, volume)
    np.testing.assert_array_equal(tifffile.imread(path), array)


def test_bands_need_no_order_of_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ndex.stores.images.strips.STRIP", 700)
    monkeypatch.setattr("ndex.stores.stack.output.HELD", 2000)
    volume, array = volume_of(BOX), smooth(*BOX.shape[:2])[..., np.newaxis] + noise(*BOX.shape) % 3
    for rows in (1, 7, 43):
        store = ready(settings(tmp_path, overwrite=True), replace(volume, stamp=f"stamp{rows}"))
        for task in tasks():
            write(store, task, part(array, task), rows)
        finish(store, replace(volume, stamp=f"stamp{rows}"))
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "deep" / "s.tif"), array)


class TestForeignFiles:
    @pytest.fixture
    def foreign(self, tmp_path: Path) -> Path:
        (tmp_path / "deep").mkdir()
        tifffile.imwrite(tmp_path / "deep" / "s.tif", noise(6, 20, 30))
        return tmp_path / "deep" / "s.tif"

    def test_is_refused(self, foreign: Path, tmp_path: Path) -> None:
        before = foreign.read_bytes()
        with pytest.raises(JobError, match=r"it is there already .*destination\.overwrite=true"):
            ready(settings(tmp_path), volume_of(BOX))
        assert foreign.read_bytes() == before

    def test_what_is_no_tiff_is_foreign_too(self, foreign: Path, tmp_path: Path) -> None:
        foreign.write_bytes(b"notes of the lab")
        with pytest.raises(JobError, match="it is there already"):
            ready(settings(tmp_path), volume_of(BOX))

    def test_stays_until_the_new_one_is_complete(self, foreign: Path, tmp_path: Path) -> None:
        store, array, before = ready(settings(tmp_path, overwrite=True), volume_of(BOX)), noise(*BOX.shape), None
        before = foreign.read_bytes()
        write_all(store, array)
        assert foreign.read_bytes() == before
        finish(store, volume_of(BOX))
        np.testing.assert_array_equal(tifffile.imread(foreign), array)

    def test_the_beginning_of_another_job(self, tmp_path: Path) -> None:
        other = ready(settings(tmp_path), volume_of(BOX, stamp="another"))
        write(other, tasks()[0], noise(*tasks()[0].shape))
        with pytest.raises(JobError, match=r"\.s\.tif~another\.stack, the beginning of it by another job, is there"):
            ready(settings(tmp_path), volume_of(BOX))
        ready(settings(tmp_path, overwrite=True), volume_of(BOX))
        assert [name for name in hidden(tmp_path) if "another" in name and not name.endswith(".lock")] == []

    def test_the_source_is_never_replaced(self, foreign: Path, tmp_path: Path) -> None:
        with pytest.raises(JobError, match="is the file of the source too"):
            ready(settings(tmp_path, overwrite=True), volume_of(BOX), source=Source(path=str(foreign), band=0))


def test_wrong_names(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"must end in \.tif"):
        ready(Destination(path=str(tmp_path / "s.nii")), volume_of(BOX))
    (tmp_path / "s.tif").mkdir()
    with pytest.raises(JobError, match="is a folder"):
        ready(Destination(path=str(tmp_path / "s.tif")), volume_of(BOX))
    with pytest.raises(JobError, match="must be a local file"):
        ready(Destination(path="s3://bucket/s.tif"), volume_of(BOX))


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ndex.files.local.Folder.room", lambda folder: BOX.voxels // 2)
    assert ready(settings(tmp_path / "packed"), volume_of(BOX))
    with pytest.raises(JobError, match=r"B are needed, and .*B are free"):
        ready(settings(tmp_path, compression="none"), volume_of(BOX))


def test_a_draft_that_vanishes_is_an_error_of_its_task(tmp_path: Path) -> None:
    store, draft = ready(settings(tmp_path), volume_of(BOX)), SharedDraft(tmp_path / "deep" / "s.tif", STAMP)
    draft.path.unlink()
    with pytest.raises(TransferError, match=r"s\.tif"):
        write(store, tasks()[0], noise(*tasks()[0].shape))
