"""Image files as microscopes and viewers leave them: every compression, JPEG, colours, folders of channels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from planes import job_of, noise, reading, smooth, write_stack

from ndex.errors import DamagedData, JobError
from ndex.geometry import Box, Vec
from ndex.stores.images import Source, open_source
from ndex.volume import WHOLE

LOSSLESS: dict[str, dict[str, Any]] = {
    "lzma": {},
    "lerc": {},
    "png": {},
    "adobe_deflate": {},
    "jpeg2000": {"level": 0},
    "jpegxl": {"lossless": True},
    "jpegxr": {"level": 1.0},
}
BOX = Box.of((0, 101), (0, 70), (0, 2))


@pytest.mark.parametrize("tile", [None, (32, 48)], ids=["strips", "tiles"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", LOSSLESS)
def test_every_compression_that_is_lossless(tmp_path: Path, compression: str, dtype: Any, tile: Any) -> None:
    stack = noise(2, 70, 101, dtype=dtype)
    cut = {"tile": tile} if tile else {"rowsperstrip": 9}
    write_stack(tmp_path, stack, compression=compression, compressionargs=LOSSLESS[compression], **cut)
    store = reading(tmp_path)
    for box in (BOX, Box.of((30, 50), (46, 49), (1, 2))):
        np.testing.assert_array_equal(store.read(box, 0).array, stack[BOX.slices(box)])


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd", "tile": (32, 48)},
        {"compression": "lzw", "predictor": 2, "rowsperstrip": 9},
        {"tile": (16, 16)},
    ],
    ids=str,
)
def test_big_endian_bigtiff(tmp_path: Path, options: dict[str, Any]) -> None:
    stack = noise(2, 70, 101, dtype=np.uint16)
    write_stack(tmp_path, stack, bigtiff=True, byteorder=">", **options)
    np.testing.assert_array_equal(reading(tmp_path).read(BOX, 0).array, stack)


@pytest.mark.parametrize(
    ("bands", "dtype", "options"),
    [
        (3, np.uint8, {"compression": "webp", "compressionargs": {"lossless": True}, "tile": (16, 16)}),
        (4, np.uint8, {"extrasamples": ["unassalpha"], "compression": "lzw"}),
        (3, np.uint16, {"byteorder": ">", "compression": "deflate", "predictor": 2}),
    ],
    ids=["webp", "alpha", "16 bits"],
)
def test_a_band_of_colours(tmp_path: Path, bands: int, dtype: Any, options: dict[str, Any]) -> None:
    image = noise(70, 101, bands, dtype=dtype)
    tifffile.imwrite(tmp_path / "s_0000.tif", image, photometric="rgb", **options)
    for band in range(bands):
        found = reading(tmp_path, band=band).read(Box.of((5, 99), (3, 70), (0, 1)), 0).array[0]
        np.testing.assert_array_equal(found, image[3:70, 5:99, band])


def test_names_without_a_number_pattern_count_in_natural_order(tmp_path: Path) -> None:
    stack = noise(12, 4, 5)
    for z, plane in enumerate(stack):
        tifffile.imwrite(tmp_path / f"Section {z + 1} of 12.TIF", plane)
    np.testing.assert_array_equal(reading(tmp_path, None).read(Box.of((0, 5), (0, 4), (0, 12)), 0).array, stack)
    np.testing.assert_array_equal(reading(tmp_path, "*.TIF").read(Box.of((0, 5), (0, 4), (0, 12)), 0).array, stack)


@pytest.mark.parametrize(
    ("path", "pattern"), [("{channel}", "s_%04d.tif"), ("", "<ch>/s_%04d.tif"), ("", "{channel}/*.tif")]
)
def test_a_folder_for_each_channel(tmp_path: Path, path: str, pattern: str) -> None:
    for seed, channel in enumerate(("Ch1", "Ch2")):
        (tmp_path / channel).mkdir()
        write_stack(tmp_path / channel, noise(2, 4, 5, seed=seed))
    for seed, channel in enumerate(("Ch1", "Ch2")):
        store = open_source(job_of(Source(path=str(tmp_path / path), pattern=pattern), channel=channel))
        np.testing.assert_array_equal(store.read(Box.of((0, 5), (0, 4), (0, 2)), 0).array, noise(2, 4, 5, seed=seed))


class TestJpeg:
    """Pixels that only resemble what was written."""

    def write(self, folder: Path, pixels: np.ndarray, mode: str | None = None, **options: Any) -> None:
        image = Image.fromarray(pixels)
        (image.convert(mode) if mode else image).save(folder / "s_0000.jpg", quality=95, **options)

    @pytest.mark.parametrize("progressive", [False, True])
    def test_grey(self, tmp_path: Path, progressive: bool) -> None:
        self.write(tmp_path, smooth(70, 101), progressive=progressive)
        store = reading(tmp_path, "s_%04d.jpg")
        assert store.facts().box.size == Vec(101, 70, 1)
        assert store.facts().grain == Vec(WHOLE, WHOLE, 1)
        found = store.read(Box.of((2, 99), (8, 70), (0, 1)), 0).array[0]
        assert np.abs(found.astype(int) - smooth(70, 101)[8:, 2:99]).max() < 8

    def test_a_band(self, tmp_path: Path) -> None:
        colours = np.stack([smooth(70, 101), smooth(70, 101)[::-1], smooth(70, 101)], -1)
        self.write(tmp_path, colours, subsampling=0)
        with pytest.raises(JobError, match=r"3 bands.*source\.band"):
            reading(tmp_path, "*.jpg").facts()
        found = reading(tmp_path, "*.jpg", band=1).read(Box.of((0, 101), (0, 70), (0, 1)), 0).array[0]
        assert np.abs(found.astype(int) - colours[..., 1]).mean() < 4

    @pytest.mark.parametrize("keep", [0.99, 0.5])
    def test_a_file_that_was_cut_is_not_grey_below(self, tmp_path: Path, keep: float) -> None:
        self.write(tmp_path, noise(70, 101))
        path = tmp_path / "s_0000.jpg"
        store, filling = reading(tmp_path, "*.jpg"), reading(tmp_path, "*.jpg", missing="fill")
        store.facts(), filling.facts()
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
        box = Box.of((0, 101), (0, 70), (0, 1))
        with pytest.raises(DamagedData, match=r"s_0000\.jpg is damaged"):
            store.read(box, 0)
        assert filling.read(box, 0).filled == (0,)

    def test_a_header_that_is_cut(self, tmp_path: Path) -> None:
        (tmp_path / "s_0000.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
        with pytest.raises(JobError, match=r"s_0000\.jpg is damaged"):
            reading(tmp_path, "*.jpg").facts()

    def test_printers_colours(self, tmp_path: Path) -> None:
        self.write(tmp_path, noise(8, 9, 3), "CMYK")
        with pytest.raises(JobError, match="CMYK colours"):
            reading(tmp_path, "*.jpg").facts()

    def test_nothing_is_decoded_for_a_header(self, tmp_path: Path) -> None:
        buffer = io.BytesIO()
        Image.new("L", (16, 16)).save(buffer, "JPEG")
        data = bytearray(buffer.getvalue())
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
        (tmp_path / "s_0000.jpg").write_bytes(data)
        assert reading(tmp_path, "*.jpg").facts().box.size == Vec(65535, 65535, 1)
