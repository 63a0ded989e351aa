"""Half a file is an error, never black rows."""

from __future__ import annotations

import errno
import os
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from planes import noise, png, reading, smooth, write_stack

from ndex.errors import DamagedData, JobError, PermanentError, TransientError
from ndex.files import Folder
from ndex.geometry import Box, Vec


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

    def test_an_unreadable_header_fails_its_own_planes_only(self, folder: Path) -> None:
        cut(folder / "s_0000.tif", 0)
        store, filling = reading(folder), reading(folder, missing="fill")
        assert store.facts().box == filling.facts().box == BOX
        with pytest.raises(DamagedData, match=r"s_0000\.tif is empty"):
            store.read(BOX, 0)
        assert filling.read(BOX, 0).filled == (0,)

    def test_not_one_file_can_be_read(self, folder: Path) -> None:
        for path in folder.iterdir():
            cut(path, 0)
        with pytest.raises(JobError, match=r"none of the 3 files can be read\. .*s_0000\.tif is empty"):
            reading(folder).facts()

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

    def test_flipped_bits_in_apng(self, tmp_path: Path) -> None:
        data = bytearray(imagecodecs.png_encode(noise(50, 60)))
        data[1000] ^= 255
        (tmp_path / "0.png").write_bytes(data)
        with pytest.raises(DamagedData, match=r"0\.png is damaged"):
            reading(tmp_path, None).read(Box.of((0, 60), (0, 50), (0, 1)), 0)

    @pytest.mark.parametrize("name", ["s_0000.tif", "s_0000.png"])
    def test_a_header_that_claims_the_impossible(self, tmp_path: Path, name: str) -> None:
        if name.endswith("png"):
            (tmp_path / name).write_bytes(png(1 << 20, 1 << 20, depth=8, colour=0))
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
        (tmp_path / "0.png").write_bytes(png(40_000, 40_000, depth=16, colour=0))
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

    def test_of_very_many_files_a_sample_is_checked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
