"""Folders of image files, in both directions; the files are written by other programs' libraries where it matters."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from ndex.errors import DamagedData, JobError, Missing, PermanentError, TransientError
from ndex.files import Folder
from ndex.geometry import ORIGIN, Box, Span, Vec
from ndex.job import Boss, Extent, Job, Resource, Retry
from ndex.stores import WHOLE, Volume
from ndex.stores.images import Destination, Source, open_destination, open_source
from ndex.stores.images.destination import ImageDestination

MEDULLA = Path(__file__).parents[1] / "data" / "medulla"
STAMP = "0123456789abcdef"
Pixels = npt.NDArray[Any]


def job_of(
    source: Source | None = None, destination: Destination | None = None, channel: str | None = "em", **changes: Any
) -> Job:
    return Job(
        name="lab/job",
        boss=Boss(host="nowhere"),
        resource=Resource(collection="col", experiment="exp", channel=channel) if channel else None,
        source=source or Source(path="nowhere"),
        destination=destination or Destination(path="nowhere"),
        retry=Retry(attempts=2, wait=0, max_wait=0),
        **changes,
    )


def reading(path: Path, pattern: str | None = "s_%04d.tif", **keys: Any) -> Any:
    of_job = {key: keys.pop(key) for key in ("missing", "extent", "channel") if key in keys}
    return open_source(job_of(Source(path=str(path), pattern=pattern, **keys), **of_job))


def noise(*shape: int, dtype: Any = np.uint8, seed: int = 1) -> Pixels:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def smooth(*shape: int, dtype: Any = np.uint8) -> Pixels:
    """Pixels that compress."""
    return np.add.outer(np.arange(shape[0]), np.arange(shape[1])).astype(dtype)


def write_stack(folder: Path, stack: Pixels, name: str = "s_{:04d}.tif", first: int = 0, **options: Any) -> None:
    for z, plane in enumerate(stack, first):
        tifffile.imwrite(folder / name.format(z), plane, **options)


def volume_of(box: Box, dtype: Any = np.uint8, stamp: str = STAMP, times: Span = Span(0, 1)) -> Volume:
    return Volume(
        box=box,
        dtype=np.dtype(dtype),
        times=times,
        timed=times.size > 1,
        offset=ORIGIN,
        stamp=stamp,
        block=Vec(64, 64, 16),
    )


def ready(settings: Destination, volume: Volume, **changes: Any) -> ImageDestination:
    store = open_destination(job_of(destination=settings, **changes))
    store.accepts(volume.dtype)
    store.check(volume)
    store.prepare(volume)
    return store


def write(store: ImageDestination, box: Box, array: Pixels, rows: int = 64, t: int = 0) -> None:
    with store.writer(box, t) as writer:
        for y in range(box.y.start, box.y.stop, rows):
            band = Box.of(box.x, (y, min(y + rows, box.y.stop)), box.z)
            writer.write(band, array[box.slices(band)])


class TestReading:
    @pytest.mark.parametrize(
        ("dtype", "options"),
        [
            (np.uint8, {}),
            (np.uint8, {"rowsperstrip": 7}),
            (np.uint16, {"byteorder": ">"}),
            (np.uint16, {"byteorder": ">", "compression": "deflate", "predictor": 2}),
            (np.uint64, {"byteorder": ">", "rowsperstrip": 5}),
            (np.uint32, {"bigtiff": True}),
            (np.uint8, {"tile": (32, 48)}),
            (np.uint16, {"tile": (16, 32), "compression": "lzw"}),
            (np.uint8, {"compression": "deflate", "predictor": 2, "rowsperstrip": 9}),
            (np.uint8, {"compression": "lzw", "rowsperstrip": 10}),
            (np.uint16, {"compression": "zstd", "predictor": 2}),
            (np.uint8, {"compression": "packbits"}),
            (np.uint64, {"compression": "deflate"}),
            (np.uint16, {"imagej": True}),
            (np.uint8, {"ome": True}),
        ],
        ids=str,
    )
    def test_every_part_of_a_tiff_file(self, tmp_path: Path, dtype: Any, options: dict[str, Any]) -> None:
        stack = noise(3, 70, 101, dtype=dtype)
        write_stack(tmp_path, stack, **options)
        store = reading(tmp_path)
        facts = store.facts()
        assert (facts.box, facts.dtype) == (Box.of((0, 101), (0, 70), (0, 3)), np.dtype(dtype))
        for box in (facts.box, Box.of((3, 50), (8, 9), (1, 3)), Box.of((100, 101), (69, 70), (2, 3))):
            piece = store.read(box, 0)
            assert piece.array.dtype == np.dtype(dtype)
            assert piece.array.dtype.isnative
            np.testing.assert_array_equal(piece.array, stack[facts.box.slices(box)])

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_png(self, tmp_path: Path, dtype: Any) -> None:
        stack = noise(3, 30, 41, dtype=dtype)
        for z, plane in enumerate(stack):
            (tmp_path / f"{z}.png").write_bytes(imagecodecs.png_encode(plane))
        store = reading(tmp_path, None)
        box = Box.of((5, 40), (29, 30), (1, 3))
        np.testing.assert_array_equal(store.read(box, 0).array, stack[Box.at(ORIGIN, Vec(41, 30, 3)).slices(box)])
        assert store.facts().grain == Vec(WHOLE, WHOLE, 1)

    def test_jpeg_in_tiff(self, tmp_path: Path) -> None:
        write_stack(tmp_path, smooth(64, 64)[None], compression="jpeg", rowsperstrip=16)
        box = Box.of((0, 64), (16, 64), (0, 1))
        found = reading(tmp_path).read(box, 0).array[0]
        assert np.abs(found.astype(int) - smooth(64, 64)[16:]).max() < 8

    def test_formats_may_be_mixed_and_names_may_lie(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "s_0000.tif", smooth(8, 9))
        (tmp_path / "s_0001.tif").write_bytes(imagecodecs.png_encode(smooth(8, 9)))
        found = reading(tmp_path).read(Box.of((0, 9), (0, 8), (0, 2)), 0).array
        np.testing.assert_array_equal(found, [smooth(8, 9)] * 2)

    @pytest.mark.parametrize(("options", "rows"), [({}, 1), ({"compression": "lzw", "rowsperstrip": 9}, 9)])
    def test_the_grain_is_what_is_decoded_together(self, tmp_path: Path, options: dict[str, Any], rows: int) -> None:
        write_stack(tmp_path, noise(2, 40, 30), **options)
        assert reading(tmp_path).facts().grain == Vec(WHOLE, rows, 1)

    def test_real_sections(self) -> None:
        em = reading(MEDULLA / "em", "iso.%04d.png")
        bodies = reading(MEDULLA / "bodies", "iso.<p:4>.tif")
        box = Box.of((0, 250), (0, 250), (2600, 2608))
        assert (em.facts().box, bodies.facts().box) == (box, box)
        assert (em.facts().dtype, bodies.facts().dtype) == (np.uint8, np.uint32)
        labels = bodies.read(box, 0).array
        np.testing.assert_array_equal(labels[5], tifffile.imread(MEDULLA / "bodies" / "iso.2605.tif"))
        assert em.read(box, 0).array.std() > 10

    @pytest.mark.parametrize("planar", ["contig", "separate"])
    @pytest.mark.parametrize(
        "options", [{}, {"tile": (16, 16)}, {"compression": "deflate", "rowsperstrip": 6}], ids=str
    )
    def test_a_band_of_a_colour_tiff(self, tmp_path: Path, planar: str, options: dict[str, Any]) -> None:
        image = noise(20, 30, 3)
        pixels = image if planar == "contig" else np.moveaxis(image, 2, 0)
        tifffile.imwrite(tmp_path / "s_0000.tif", pixels, photometric="rgb", planarconfig=planar, **options)
        found = reading(tmp_path, band=1).read(Box.of((2, 29), (5, 19), (0, 1)), 0).array[0]
        np.testing.assert_array_equal(found, image[5:19, 2:29, 1])

    def test_a_band_of_a_colour_png(self, tmp_path: Path) -> None:
        image = noise(20, 30, 4)
        (tmp_path / "0.png").write_bytes(imagecodecs.png_encode(image))
        found = reading(tmp_path, None, band=3).read(Box.of((0, 30), (0, 20), (0, 1)), 0).array[0]
        np.testing.assert_array_equal(found, image[..., 3])

    def test_two_threads_read_the_same(self, tmp_path: Path) -> None:
        write_stack(tmp_path, noise(4, 50, 50), compression="deflate")
        store, box = reading(tmp_path), Box.of((0, 50), (0, 50), (0, 4))
        found: list[Pixels] = []
        threads = [threading.Thread(target=lambda: found.append(store.read(box, 0).array)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_array_equal(found[0], noise(4, 50, 50))

    def test_memory_is_the_result_and_a_strip(self, tmp_path: Path) -> None:
        for options in ({}, {"compression": "deflate", "rowsperstrip": 16}):
            write_stack(tmp_path, smooth(2000, 2000)[None], **options)
            store = reading(tmp_path)
            store.facts()
            tracemalloc.start()
            store.read(Box.of((0, 2000), (1000, 1010), (0, 1)), 0)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 500_000  # of 4,000,000


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
        (tmp_path / "0.png").write_bytes(_png(4, 4, depth=8, colour=3))
        for pattern in ("s_%04d.tif", "{z}.png"):
            with pytest.raises(JobError, match="colour table"):
                reading(tmp_path, pattern).facts()

    def test_one_bit_png(self, tmp_path: Path) -> None:
        (tmp_path / "0.png").write_bytes(_png(8, 8, depth=1, colour=0))
        with pytest.raises(JobError, match="1-bit"):
            reading(tmp_path, None).facts()

    def test_a_band_that_is_not_there(self, tmp_path: Path) -> None:
        write_stack(tmp_path, noise(1, 4, 5, 3), photometric="rgb")
        with pytest.raises(JobError, match=r"source\.band=3: .* bands 0 to 2"):
            reading(tmp_path, band=3).facts()

    def test_other_files(self, tmp_path: Path) -> None:
        (tmp_path / "s_0000.tif").write_text("not an image at all")
        with pytest.raises(JobError, match="not a TIFF or PNG file"):
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
        with pytest.raises(Missing, match=r"s_\{z:04d\}\.tif: .*it has a\.tif, b2\.tif, b10\.tif and 1 more"):
            reading(tmp_path).facts()
        with pytest.raises(JobError, match="is a file, not a folder"):
            reading(tmp_path / "a.tif").facts()
        with pytest.raises(JobError, match="only local folders"):
            open_source(job_of(Source(path="s3://bucket/key")))


def _png(width: int, height: int, depth: int, colour: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((1 + (width * depth + 7) // 8) * min(height, 64)))
    palette = chunk(b"PLTE", bytes(3 << min(depth, 8))) if colour == 3 else b""
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return start + palette + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def cut(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def set_tag(path: Path, code: int, values: list[int]) -> None:
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags[code].overwrite(values)


BOX = Box.of((0, 60), (0, 50), (0, 3))


class TestDamage:
    """Half a file is an error, never black rows."""

    @pytest.fixture(params=["raw", "strips", "deflate", "lzw", "packbits", "zstd", "tiles", "jpeg", "png"])
    def folder(self, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
        options: dict[str, dict[str, Any]] = {
            "raw": {},
            "strips": {"rowsperstrip": 8},
            "tiles": {"tile": (16, 16), "compression": "deflate"},
        }
        for z, plane in enumerate(noise(3, 50, 60)):
            path = tmp_path / f"s_{z:04d}.tif"
            if request.param == "png":
                path.write_bytes(imagecodecs.png_encode(plane))
            else:
                how = options.get(request.param, {"compression": request.param, "rowsperstrip": 8})
                tifffile.imwrite(path, plane, **how)
        return tmp_path

    @pytest.mark.parametrize("keep", [0.95, 0.5, 0.0])
    def test_a_file_that_was_cut(self, folder: Path, keep: float) -> None:
        store, filling = reading(folder), reading(folder, missing="fill")
        sound = store.facts() and store.read(BOX, 0).array
        cut(folder / "s_0001.tif", keep)
        with pytest.raises(DamagedData, match=r"s_0001\.tif"):
            store.read(BOX, 0)
        piece = filling.read(BOX, 0)
        assert piece.filled == (1,)
        assert not piece.array[1].any()
        np.testing.assert_array_equal(piece.array[::2], sound[::2])
        assert filling.facts().box == BOX

    def test_an_unreadable_header_is_seen_before_the_plan(self, folder: Path) -> None:
        cut(folder / "s_0000.tif", 0)
        with pytest.raises(JobError, match=r"s_0000\.tif is empty.*missing=fill"):
            reading(folder).facts()
        filling = reading(folder, missing="fill")
        assert filling.read(BOX, 0).filled == (0,)
        assert filling.facts().box == BOX

    def test_a_file_that_vanished(self, folder: Path) -> None:
        store, filling = reading(folder), reading(folder, missing="fill")
        store.facts(), filling.facts()
        (folder / "s_0002.tif").unlink()
        with pytest.raises(PermanentError, match=r"s_0002\.tif"):
            store.read(BOX, 0)
        assert filling.read(BOX, 0).filled == (2,)

    @pytest.mark.parametrize("missing", ["fail", "fill"])
    def test_a_file_that_changed_its_size(self, folder: Path, missing: str) -> None:
        store = reading(folder, missing=missing)
        store.facts()
        tifffile.imwrite(folder / "s_0001.tif", noise(51, 60))
        with pytest.raises(PermanentError, match=r"s_0001\.tif is 60 x 51 uint8, while the other planes are 60 x 50"):
            store.read(BOX, 0)

    @pytest.mark.parametrize("compression", [None, "deflate"])
    @pytest.mark.parametrize("code", [273, 279])
    def test_a_strip_that_was_never_written(self, tmp_path: Path, code: int, compression: str | None) -> None:
        write_stack(tmp_path, noise(3, 50, 60), rowsperstrip=10, compression=compression)
        path = tmp_path / "s_0001.tif"
        with tifffile.TiffFile(path) as tiff:
            values = list(tiff.pages.first.tags[code].value)
        set_tag(path, code, [*values[:3], 0, *values[4:]])
        assert not tifffile.imread(path)[30:40].any()  # what others make of it
        with pytest.raises(DamagedData, match="strip or tile 3 was never written"):
            reading(tmp_path).read(BOX, 0)
        reading(tmp_path).read(Box.of((0, 60), (0, 30), (0, 3)), 0)

    def test_strips_that_hold_too_few_bytes(self, tmp_path: Path) -> None:
        write_stack(tmp_path, noise(3, 50, 60), rowsperstrip=10, compression="deflate")
        path = tmp_path / "s_0001.tif"
        with tifffile.TiffFile(path) as tiff:
            start = tiff.pages.first.dataoffsets[2]
            counts = list(tiff.pages.first.databytecounts)
        short = zlib.compress(bytes(100))
        data = bytearray(path.read_bytes())
        data[start : start + len(short)] = short
        path.write_bytes(data)
        set_tag(path, 279, [*counts[:2], len(short), *counts[3:]])
        with pytest.raises(DamagedData, match=r"s_0001\.tif is damaged"):
            reading(tmp_path).read(BOX, 0)

    def test_flipped_bits_in_a_png(self, tmp_path: Path) -> None:
        data = bytearray(imagecodecs.png_encode(noise(50, 60)))
        data[1000] ^= 255
        (tmp_path / "0.png").write_bytes(data)
        with pytest.raises(DamagedData, match=r"0\.png is damaged"):
            reading(tmp_path, None).read(Box.of((0, 60), (0, 50), (0, 1)), 0)

    @pytest.mark.parametrize("name", ["s_0000.tif", "s_0000.png"])
    def test_a_header_that_claims_the_impossible(self, tmp_path: Path, name: str) -> None:
        if name.endswith("png"):
            (tmp_path / name).write_bytes(_png(1 << 20, 1 << 20, depth=8, colour=0))
        else:
            tifffile.imwrite(tmp_path / name, noise(4, 5))
            set_tag(tmp_path / name, 256, [1 << 20])
            set_tag(tmp_path / name, 257, [1 << 20])
        with pytest.raises(JobError, match="cannot be"):
            reading(tmp_path, None).facts()

    def test_a_strip_beyond_all_bounds_allocates_nothing(self, tmp_path: Path) -> None:
        write_stack(tmp_path, smooth(50, 60)[None], compression="deflate")
        set_tag(tmp_path / "s_0000.tif", 279, [1 << 31])
        tracemalloc.start()
        with pytest.raises(DamagedData, match="ends at byte"):
            reading(tmp_path).read(Box.of((0, 60), (0, 50), (0, 1)), 0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 24

    def test_a_plane_of_40_000_squared_is_believed(self, tmp_path: Path) -> None:
        (tmp_path / "0.png").write_bytes(_png(40_000, 40_000, depth=16, colour=0))
        assert reading(tmp_path, None).facts().box.size == Vec(40_000, 40_000, 1)

    def test_what_may_pass_is_tried_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_stack(tmp_path, noise(1, 50, 60))
        store, box = reading(tmp_path, missing="fill"), Box.of((0, 60), (0, 50), (0, 1))
        store.facts()
        failures = [errno.ESTALE]
        opened = Folder.open

        @contextmanager
        def flaky(self: Folder, name: str) -> Iterator[IO[bytes]]:
            with opened(self, name) as file:
                if failures:
                    raise TransientError(os.strerror(failures.pop()))
                yield file

        monkeypatch.setattr(Folder, "open", flaky)
        np.testing.assert_array_equal(store.read(box, 0).array, noise(1, 50, 60))
        failures += [errno.ESTALE] * 3
        with pytest.raises(TransientError):  # black planes because a server was away would be a lie
            store.read(box, 0)
        assert len(failures) == 1

    def test_of_very_many_files_a_sample_is_checked_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ndex.stores.images.source.CHECKED", 3)
        write_stack(tmp_path, noise(7, 50, 60))
        tifffile.imwrite(tmp_path / "s_0002.tif", noise(9, 9))
        store = reading(tmp_path)
        store.facts()
        with pytest.raises(PermanentError, match=r"s_0002\.tif is 9 x 9"):
            store.read(BOX, 0)
        tifffile.imwrite(tmp_path / "s_0006.tif", noise(9, 9))
        with pytest.raises(JobError, match=r"s_0006\.tif is 9 x 9"):
            reading(tmp_path).facts()


WRITTEN = Box.of((100, 170), (20, 63), (9, 13))


class TestWriting:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
    @pytest.mark.parametrize("compression", ["deflate", "zstd", "none"])
    @pytest.mark.parametrize("rows", [64, 7, 1])
    def test_tiff_that_others_read(
        self, tmp_path: Path, dtype: Any, compression: Any, rows: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ndex.stores.images.tiff_file.STRIP", 10 * 70 * np.dtype(dtype).itemsize)
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
        monkeypatch.setattr("ndex.stores.images.tiff_file.CLASSIC_LIMIT", 1000)
        monkeypatch.setattr("ndex.stores.images.tiff_file.STRIP", 700)
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
            assert store.holds(WRITTEN, 1)
            assert not store.holds(WRITTEN, 0)
        with pytest.raises(JobError, match=r"time samples.*\{t\}"):
            ready(Destination(path=str(tmp_path), pattern="%03d.tif"), volume)

    def test_an_error_leaves_nothing(self, tmp_path: Path) -> None:
        store = ready(Destination(path=str(tmp_path)), volume_of(WRITTEN))
        with pytest.raises(TransientError), store.writer(WRITTEN, 0) as writer:
            writer.write(Box.of(WRITTEN.x, (20, 30), WRITTEN.z), noise(4, 10, 70))
            assert len(list(tmp_path.iterdir())) == 4
            assert all(path.name.startswith(".") for path in tmp_path.iterdir())
            raise TransientError("the source is away")
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


class TestWhatIsThereAlready:
    def test_own_files_are_kept_and_written_again(self, tmp_path: Path) -> None:
        for pattern in ("{z}.tif", "{z}.png"):
            settings = Destination(path=str(tmp_path), pattern=pattern)
            store = ready(settings, volume_of(WRITTEN))
            write(store, WRITTEN, noise(4, 43, 70))
            assert store.check(volume_of(WRITTEN)) == []
            (tmp_path / pattern.format(z=10)).unlink()
            assert [line.split(",")[0] for line in store.check(volume_of(WRITTEN))] == ["1 planes"]
            write(ready(settings, volume_of(WRITTEN)), WRITTEN, noise(4, 43, 70, seed=2))
            np.testing.assert_array_equal(store.read(WRITTEN, 0).array, noise(4, 43, 70, seed=2))

    @pytest.mark.parametrize("content", [b"text", b"", "tiff", "other job"])
    def test_foreign_files_are_not_touched(self, tmp_path: Path, content: bytes | str) -> None:
        path = tmp_path / "11.tif"
        settings = Destination(path=str(tmp_path), pattern="{z}.tif")
        if content == "tiff":
            tifffile.imwrite(path, noise(3, 3))
        elif content == "other job":
            write(ready(settings, volume_of(WRITTEN, stamp="f" * 16)), WRITTEN, noise(4, 43, 70))
        else:
            path.write_bytes(content)  # type: ignore[arg-type]
        before = path.read_bytes()
        store = open_destination(job_of(destination=settings))
        with pytest.raises(JobError, match=r"\.tif is there already.*destination\.overwrite=true"):
            store.check(volume_of(WRITTEN))
        with pytest.raises(PermanentError, match="is there already"):  # where it has come since
            write(store, WRITTEN, noise(4, 43, 70))
        assert path.read_bytes() == before
        replacing = ready(Destination(path=str(tmp_path), pattern="{z}.tif", overwrite=True), volume_of(WRITTEN))
        write(replacing, WRITTEN, noise(4, 43, 70))
        assert store.check(volume_of(WRITTEN)) == []

    def test_the_folder_of_the_source_is_not_overwritten(self, tmp_path: Path) -> None:
        source = Source(path=str(tmp_path), pattern="*.tif")
        store = open_destination(job_of(source, Destination(path=str(tmp_path / "."), overwrite=True)))
        with pytest.raises(JobError, match="the folder of the source"):
            store.check(volume_of(WRITTEN))

    def test_check_touches_nothing(self, tmp_path: Path) -> None:
        store = open_destination(job_of(destination=Destination(path=str(tmp_path / "a" / "b"))))
        assert store.check(volume_of(WRITTEN)) == [
            f"folder {tmp_path / 'a' / 'b'}",
            "4 planes, 70 x 43 uint8, TIFF (compression: deflate), from col_exp_em_x100-170_y20-63_z0009.tif on",
        ]
        assert not list(tmp_path.iterdir())

    def test_places_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for path in ("file", "file/below"):
            with pytest.raises(JobError, match=r"destination\.path=.*is a file, not a folder"):
                ready(Destination(path=str(tmp_path / path)), volume_of(WRITTEN))
        locked = tmp_path / "locked"
        locked.mkdir()
        locked.chmod(0o500)
        if os.access(locked, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(JobError, match="nothing can be written in"):
            ready(Destination(path=str(locked / "new")), volume_of(WRITTEN))

    def test_too_little_room(self, tmp_path: Path) -> None:
        box = Box.at(ORIGIN, Vec(1 << 20, 1 << 20, 1 << 12))
        with pytest.raises(JobError, match="1,048,576.0 GiB are needed"):
            ready(Destination(path=str(tmp_path)), volume_of(box))
        with pytest.raises(JobError, match="4,194,304.0 GiB are needed"):
            ready(Destination(path=str(tmp_path), compression="none"), volume_of(box))

    @pytest.mark.parametrize(
        ("pattern", "reason"),
        [
            ("em.tif", "plane number"),
            ("*_{z}.tif", "wildcards"),
            ("em_{z}.jpg", "must end in"),
            ("../em_{z}.tif", "inside the folder"),
        ],
    )
    def test_patterns_that_name_no_planes(self, pattern: str, reason: str) -> None:
        with pytest.raises(JobError, match=rf"destination\.pattern=.*{reason}"):
            open_destination(job_of(destination=Destination(path="p", pattern=pattern)))

    def test_what_cannot_be_in_a_png_or_a_name(self, tmp_path: Path) -> None:
        store = open_destination(job_of(destination=Destination(path=str(tmp_path), pattern="{z}.png")))
        with pytest.raises(JobError, match="PNG cannot hold uint32"):
            store.accepts(np.dtype(np.uint32))
        with pytest.raises(JobError, match="offset=auto"):
            store.check(volume_of(Box.of((0, 4), (0, 4), (-3, 4))))


class TestKilledRuns:
    def test_drafts_of_processes_that_are_gone_are_removed(self, tmp_path: Path) -> None:
        code = (
            "import os, pathlib, sys\nfrom ndex.files import Folder\n"
            "draft = Folder(pathlib.Path(sys.argv[1]), 'k').draft(sys.argv[2], sys.argv[3])\ndraft.file.flush()\nos._exit(9)"
        )
        for name, stamp in (("1.tif", STAMP), ("2.tif", "f" * 16)):
            assert subprocess.run([sys.executable, "-c", code, str(tmp_path), name, stamp]).returncode == 9
        folder = Folder(tmp_path, "destination.path")
        living = folder.draft("3.tif", STAMP)
        (tmp_path / ".hidden.part").touch()
        old = folder.draft("4.tif", STAMP)
        old.file.close()
        hidden = next(path for path in tmp_path.iterdir() if path.name.startswith(".4.tif"))
        os.utime(hidden, (0, 0))
        ready(Destination(path=str(tmp_path)), volume_of(WRITTEN))
        left = sorted(path.name.split("~")[0] for path in tmp_path.iterdir())
        gone = [] if os.name == "posix" else [".1.tif"]
        assert left == sorted([*gone, ".2.tif", ".3.tif", ".hidden.part"])
        living.discard()

    def test_a_killed_writer_never_leaves_half_a_plane(self, tmp_path: Path) -> None:
        store = ready(Destination(path=str(tmp_path)), volume_of(WRITTEN))
        with store.writer(WRITTEN, 0) as writer:
            writer.write(Box.of(WRITTEN.x, (20, 60), WRITTEN.z), noise(4, 40, 70))
            assert not store.holds(WRITTEN, 0)
            assert reading_fails(lambda: reading(tmp_path, None).facts())
            writer.write(Box.of(WRITTEN.x, (60, 63), WRITTEN.z), noise(4, 3, 70))
        assert store.holds(WRITTEN, 0)


def reading_fails(action: Callable[[], object]) -> bool:
    try:
        action()
    except Missing:
        return True
    return False
