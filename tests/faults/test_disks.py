"""Disks that are full or read-only, files that change while they are read, two runs of one job."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import disks
import numpy as np
import pytest
import tifffile
import wire_faults as wire
from killed import started
from proxy import Exchange, Fault, Proxy, nothing
from routes import Route, route, uploaded

from ndex import run
from ndex.errors import JobError, TransientError
from ndex.events import Event, Started
from ndex.files.local import Folder
from ndex.job import Blocks, Boss, Job, Parallel
from ndex.stores import images

TASKS = 6


@pytest.fixture
def made(proxy: Proxy, folder: Path) -> Route:
    return uploaded(proxy, folder, TASKS)


def packed(made: Route, compression: str) -> Job:
    """A download to the folder `disk`."""
    target = images.Destination(path=str(made.folder / "disk/out"), pattern="p_%04d.tif", compression=compression)  # type: ignore[arg-type]
    return made.download(destination=target)


def test_free_space_is_checked_before_a_download(made: Route, proxy: Proxy) -> None:
    with disks.small(made.folder / "disk", 300) as disk:
        with pytest.raises(JobError, match=r"kB are needed, and .* kB are free\. Make room, or choose another disk"):
            run(packed(made, "none"))
        assert not list(disk.iterdir())
        assert proxy.asked["read"] == 0


def test_a_disk_that_gets_full_ends_the_job_which_goes_on_later(made: Route, proxy: Proxy) -> None:
    """Compression was hoped to do more than it did."""
    with disks.small(made.folder / "disk", 300) as disk:
        result = run(packed(made, "deflate"))
        assert (result.exit_code, len(result.failed)) == (1 if result.done else 2, 1)
        assert result.error is not None
        assert "No space left on device. Make room" in result.error
        planes = made.planes("disk/out")
        assert all(np.array_equal(plane, made.volume[z]) for z, plane in planes.items())
        assert len(list((disk / "out").iterdir())) == len(planes) >= 16 * result.done
        assert proxy.asked["read"] <= result.done + 2
        disks.enlarge(disk)
        again = run(packed(made, "deflate"))
        assert (again.exit_code, again.done, again.resumed) == (0, TASKS - result.done, result.done)
        assert np.array_equal(made.back("disk/out"), made.volume)


def test_a_journal_that_cannot_grow_ends_the_job_which_goes_on_later(proxy: Proxy, folder: Path) -> None:
    made = uploaded(proxy, folder, 48, parallel=Parallel("serial", 1))
    with disks.small(folder / "disk", 300) as disk:
        ballast = disk / "ballast"

        def fill(event: Event) -> None:
            if isinstance(event, Started):
                ballast.write_bytes(bytes(shutil.disk_usage(disk).free // 4096 * 4096))

        many_checksums = Blocks(y=4)  # so that the journal needs more than a page of the disk
        job = made.download(journal=disk / "journal", blocks=many_checksums)
        result = run(job, [fill])
        assert (result.exit_code, result.left > 0) == (1, True)
        assert result.error is not None
        assert f"journal={disk / 'journal'}" in result.error
        ballast.unlink()
        again = run(job)
        assert (again.exit_code, again.resumed, again.left) == (0, result.done, 0)
        assert np.array_equal(made.back(), made.volume)


def test_an_embedded_boss_on_a_full_disk(proxy: Proxy, folder: Path) -> None:
    with disks.small(folder / "disk", 500) as disk:
        made = route(proxy, folder, 24, boss=Boss(root=disk / "boss", protocol="http"))
        result = run(made.upload())
        assert result.exit_code == 1
        assert 0 < result.done < 24
        assert "No space left" in result.failed[0].reason
        disks.enlarge(disk)
        again = run(made.upload())
        assert (again.exit_code, again.done, again.resumed) == (0, 24 - result.done, result.done)
        assert run(made.download()).exit_code == 0
        assert np.array_equal(made.back(), made.volume)


def test_a_journal_is_not_begun_on_a_full_disk(made: Route, proxy: Proxy) -> None:
    with disks.small(made.folder / "disk", 100) as disk:
        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free))
        with pytest.raises(JobError, match=r"journal=.*disk"):
            run(made.download(journal=disk / "journal"))
        assert proxy.asked["read"] == 0


@pytest.mark.parametrize("place", ["disk/out", "journal", "boss"])
def test_read_only_folders_are_found_before_the_transfer(place: str, made: Route, proxy: Proxy) -> None:
    jobs = {
        "disk/out": lambda: packed(made, "none"),
        "journal": lambda: made.download(journal=made.folder / "journal"),
        "boss": lambda: made.upload(boss=Boss(root=made.folder / "boss/root", protocol="http")),
    }
    key = {"disk/out": "destination.path", "journal": "journal", "boss": "boss.root"}[place]
    if place == "journal":
        shutil.rmtree(made.folder / "journal")
    with disks.read_only(made.folder / place), pytest.raises(JobError, match=f"{key}=.*{place}"):
        run(jobs[place]())
    assert proxy.asked["read"] == 0


def changed(path: Path, how: str) -> None:
    """What a microscope, or a colleague, does to a file in the meantime."""
    plane = tifffile.imread(path)
    if how == "shorter":
        path.write_bytes(path.read_bytes()[:-500])
    elif how == "other size":
        tifffile.imwrite(path, plane[:-8])
    elif how == "other type":
        tifffile.imwrite(path, plane.astype(np.uint16))
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["shorter", "other size", "other type", "gone"])
def test_a_source_file_that_changes_fails_its_task_and_no_other(how: str, proxy: Proxy, folder: Path) -> None:
    made = route(proxy, folder, TASKS)
    path = folder / "in" / "p_0040.tif"

    def change(event: Event) -> None:
        if isinstance(event, Started):
            changed(path, how)

    result = run(made.upload(), [change])
    assert (result.exit_code, result.done, [task.index for task in result.failed]) == (1, TASKS - 1, [2])
    assert "p_0040.tif" in result.failed[0].reason
    tifffile.imwrite(path, made.volume[40])
    assert run(made.upload()).done == 1
    assert np.array_equal(made.stored(), made.volume)


def read_while_written(folder: Folder) -> None:
    with folder.open("plane") as file:
        assert file.read() == b"half"
        with open(folder.path / "plane", "ab") as microscope:
            microscope.write(b"whole")


def test_a_file_that_is_written_to_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "plane").write_bytes(b"half")
    folder = Folder(tmp_path, "source.path")
    with pytest.raises(TransientError, match="plane changed while it was read"):
        read_while_written(folder)
    with folder.open("plane") as file:
        assert file.read() == b"halfwhole"


def test_two_runs_of_one_job(proxy: Proxy, folder: Path) -> None:
    made = route(proxy, folder, TASKS)
    under_way = threading.Event()

    def hold(exchange: Exchange) -> Fault | None:
        if exchange.kind == "write" and exchange.ordinal == 0:
            under_way.set()
            return wire.STALL
        return None

    proxy.script = hold
    with started(made.upload()) as (process, _):
        assert under_way.wait(60)
        with pytest.raises(JobError, match="Another run of this job is under way"):
            run(made.upload())
        proxy.release()
        process.join()
        assert process.exitcode == 0
    proxy.script = nothing
    assert run(made.upload()).resumed == TASKS
    assert np.array_equal(made.stored(), made.volume)
