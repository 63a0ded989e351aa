"""What is read from image files of all sorts, written by other libraries."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from planes import MEDULLA, Pixels, noise, reading, smooth, write_stack

from ndex.geometry import ORIGIN, Box, Vec
from ndex.volume import WHOLE


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
