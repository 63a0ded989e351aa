"""What lies in a folder before a job begins: own files, foreign files, drafts of killed runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from planes import STAMP, WRITTEN, job_of, noise, reading, ready, volume_of, write

from ndex.errors import JobError, Missing, PermanentError
from ndex.files import Folder
from ndex.geometry import ORIGIN, Box, Vec
from ndex.stores.images import Destination, Source, open_destination


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
        with pytest.raises(JobError, match=r"at least 1\.1 PB are needed, and .* [GT]B are free"):
            ready(Destination(path=str(tmp_path)), volume_of(box))
        with pytest.raises(JobError, match=r"at least 4\.5 PB are needed"):
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
        code = """
import os, pathlib, sys
from ndex.files import Folder
draft = Folder(pathlib.Path(sys.argv[1]), "key").draft(sys.argv[2], sys.argv[3])
draft.file.flush()
os._exit(9)
"""
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
            assert not store.held([(WRITTEN, 0)]).all()
            with pytest.raises(Missing, match="has no files"):
                reading(tmp_path, None).facts()
            writer.write(Box.of(WRITTEN.x, (60, 63), WRITTEN.z), noise(4, 3, 70))
        assert store.held([(WRITTEN, 0)]).all()
