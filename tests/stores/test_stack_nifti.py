"""NIfTI files, plain and packed: voxels as they are stored, and whatever is no unsigned integer refused."""

from __future__ import annotations

import gzip
import itertools
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from planes import noise
from stacks import check_reads, reading

from ndex.errors import DamagedData, JobError
from ndex.geometry import Box
from ndex.stores.stack import gzipped
from ndex.volume import WHOLE

RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def save(path: Path, volume: Any, kind: Any = nibabel.Nifti1Image, **fields: Any) -> Path:
    """`volume` is (z, y, x) or (t, z, y, x); NIfTI has its axes the other way round."""
    image = kind(np.asarray(volume).T, np.eye(4), dtype=volume.dtype)
    image.header.set_zooms((4, 5, 40, 1, 1)[: volume.ndim])
    for key, value in fields.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "uint32", "uint64"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_voxels(tmp_path: Path, suffix: str, dtype: str, kind: Any) -> None:
    volume = noise(7, 9, 11, dtype=np.dtype(dtype).newbyteorder("=")).astype(dtype)
    check_reads(save(tmp_path / f"v{suffix}", volume, kind), volume)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_time_samples(tmp_path: Path, suffix: str) -> None:
    volume = noise(3, 7, 9, 11)
    check_reads(save(tmp_path / f"v{suffix}", volume), volume)


def test_a_single_plane(tmp_path: Path) -> None:
    check_reads(save(tmp_path / "v.nii", noise(9, 11)), noise(9, 11)[np.newaxis])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_bands(tmp_path: Path, suffix: str) -> None:
    volume = noise(2, 1, 5, 9, 11)  # the last axis of a vector image
    check_reads(save(tmp_path / f"v{suffix}", volume), volume[1, 0], band=1)
    colours = noise(5, 9, 11, 3)
    path = save(tmp_path / f"c{suffix}", colours.view(RGB)[..., 0])
    check_reads(path, colours[..., 2], band=2)
    with pytest.raises(JobError, match=r"has 3 bands .* source\.band"):
        reading(path).facts()


def test_what_the_header_says(tmp_path: Path) -> None:
    path = save(tmp_path / "v.nii", noise(7, 9, 11), xyzt_units=3, descrip=b"lab 7")
    facts = reading(path).facts()
    assert (facts.voxel_size, facts.voxel_unit, facts.grain) == ((4, 5, 40), "micrometers", (WHOLE, 1, 1))
    told = json.loads(reading(path).metadata())
    assert (told["format"], told["header"]["descrip"], told["header"]["dim"][:4]) == ("NIfTI", "lab 7", [3, 11, 9, 7])
    assert reading(save(tmp_path / "v.nii.gz", noise(7, 9, 11))).facts().grain == (WHOLE, WHOLE, 1)


@pytest.mark.parametrize(
    ("dtype", "words"), [("float32", "32-bit float"), ("int16", "16-bit signed"), ("complex64", "64-bit complex")]
)
def test_what_is_no_unsigned_integer_is_refused(tmp_path: Path, dtype: str, words: str) -> None:
    path = save(tmp_path / "v.nii", np.zeros((3, 4, 5), dtype))
    with pytest.raises(JobError, match=rf"v\.nii has {words} pixels\. Convert the files to unsigned integers"):
        reading(path).facts()


def test_scaling_is_refused_unless_it_changes_nothing(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.eye(4))
    for slope, inter in ((1, 0), (None, None), (0.5, 0), (1, 7)):
        image.header.set_slope_inter(slope, inter)
        start = bytearray(352)
        start[: len(image.header.binaryblock)] = image.header.binaryblock
        start[108:112] = np.float32(352).tobytes()
        (tmp_path / "v.nii").write_bytes(bytes(start) + bytes(60))
        if slope == 0.5 or inter == 7:
            with pytest.raises(JobError, match=r"scl_slope=.* Save it as unsigned integers without scaling"):
                reading(tmp_path / "v.nii").facts()
        else:
            assert reading(tmp_path / "v.nii").facts().box == Box.of((0, 3), (0, 4), (0, 5))


def test_keys_of_tiff_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "v.nii", noise(3, 4, 5))
    for key in ("series", "level"):
        with pytest.raises(JobError, match=rf"source\.{key}=1"):
            reading(path, **{key: 1}).facts()


def test_without_nibabel_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "v.nii", noise(3, 4, 5))
    monkeypatch.setitem(sys.modules, "nibabel.nifti1", None)
    with pytest.raises(JobError, match=r"pip install 'ndex\[nifti\]'"):
        reading(path).facts()


def test_nibabel_is_imported_only_where_it_is_used() -> None:
    code = "import sys, ndex.stores.stack.source, ndex.stores.stack.nifti; sys.exit('nibabel' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_half_a_pair_and_other_packed_files(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(noise(3, 4, 5), np.eye(4)), tmp_path / "v.img")
    with pytest.raises(JobError, match=r"only the header of a pair"):
        reading(tmp_path / "v.hdr").facts()
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(b"no volume at all" * 99))
    with pytest.raises(JobError, match="not a NIfTI file inside"):
        reading(tmp_path / "v.nii.gz").facts()


def test_a_file_that_is_cut_short(tmp_path: Path) -> None:
    """Its last planes are damaged, the others are not."""
    volume = noise(20, 30, 40)
    for suffix in (".nii", ".nii.gz"):
        path = save(tmp_path / f"v{suffix}", volume)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        store = reading(path)
        box = store.facts().box
        assert box.shape == volume.shape
        first = Box.of(box.x, box.y, (0, 8))
        np.testing.assert_array_equal(store.read(first, 0).array, volume[:8])
        with pytest.raises(DamagedData, match=rf"v{suffix}"):
            store.read(Box.of(box.x, box.y, (15, 16)), 0)
        np.testing.assert_array_equal(store.read(first, 0).array, volume[:8])
        piece = reading(path, missing="fill").read(box, 0)
        assert piece.filled == tuple(range(piece.filled[0], 20))
        np.testing.assert_array_equal(piece.array[:9], volume[:9])
        assert not piece.array[piece.filled[0] :].any()


class TestPacked:
    """Bytes of a gzip file from anywhere."""

    @pytest.fixture
    def plain(self) -> bytes:
        return noise(1_600_000).tobytes() + bytes(400_000) + noise(3_000_000).tobytes()

    @pytest.fixture
    def path(self, tmp_path: Path, plain: bytes) -> Path:
        """In two members, as bgzip and pigz may write it, with padding."""
        packed = gzip.compress(plain[:1_700_000], 1) + gzip.compress(plain[1_700_000:], 1) + bytes(100)
        (tmp_path / "v.gz").write_bytes(packed)
        return tmp_path / "v.gz"

    def test_in_any_order(self, path: Path, plain: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gzipped, "SPACING", 1 << 16)
        monkeypatch.setattr(gzipped, "MARKS", 8)
        data = gzipped.GzipBytes(path, len(plain))
        rng = np.random.default_rng(2)
        starts = [0, 4_999_990, *(int(n) for n in rng.integers(0, len(plain), 40))]
        for start in starts:
            assert data.read(start, 70_000) == plain[start : start + 70_000]
        assert 2 <= len(data._marks) <= 8
        data.close()
        assert data.read(3, 5) == plain[3:8]
        data.close()

    def test_by_several_threads(self, path: Path, plain: bytes) -> None:
        data = gzipped.GzipBytes(path, len(plain))
        with ThreadPoolExecutor(4) as pool:
            parts = list(pool.map(lambda i: data.read(i * 50_000, 50_000), range(100)))
        assert b"".join(parts) == plain
        data.close()

    def test_going_back_does_not_unpack_all_again(
        self, path: Path, plain: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gzipped, "SPACING", 1 << 16)
        data = gzipped.GzipBytes(path, len(plain))
        data.read(1_500_000, 10)
        unpacked: list[int] = []
        more = data._more
        monkeypatch.setattr(data, "_more", lambda limit: unpacked.append(n := len(r := more(limit))) or r)
        data.read(1_400_000, 10)
        assert 0 < sum(unpacked) < 3 << 16
        data.close()

    def test_threads_take_turns(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each reads its planes in one go, whoever else waits; else each plane would begin another pass."""
        volume = noise(64, 100, 100)
        store = reading(save(tmp_path / "v.nii.gz", volume))
        box, order = store.facts().box, []
        read, before = gzipped.GzipBytes.read, sys.getswitchinterval()

        def noted(self: gzipped.GzipBytes, start: int, length: int) -> bytes:
            order.append((start - 352) // (4 * 100 * 100))
            return read(self, start, length)

        monkeypatch.setattr(gzipped.GzipBytes, "read", noted)
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(8) as pool:
                runs = [Box.of(box.x, box.y, (z, z + 4)) for z in range(0, 64, 4)]
                arrays = list(pool.map(lambda run: store.read(run, 0).array, runs))
        finally:
            sys.setswitchinterval(before)
        np.testing.assert_array_equal(np.concatenate(arrays), volume)
        assert [len(list(group)) for _, group in itertools.groupby(order)] == [4] * 16

    @pytest.mark.parametrize("at", [900_000, -105], ids=["inside", "checksum"])
    def test_a_wrong_byte_is_told_at_the_latest_with_the_last_plane(self, path: Path, plain: bytes, at: int) -> None:
        packed = bytearray(path.read_bytes())
        packed[at] ^= 255
        path.write_bytes(packed)
        data = gzipped.GzipBytes(path, len(plain) - 100)  # behind the last plane there may be more
        with pytest.raises(DamagedData, match=r"v\.gz is damaged"):
            data.read(len(plain) - 110, 10)
