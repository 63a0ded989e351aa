"""Stacks through the command: into a BOSS and back, expanded into planes, killed half-way, by processes and shards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile

import ndex
from ndex.__main__ import main
from ndex.events import Event, TaskDone
from ndex.server.process import TOKEN_ENV, running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A BOSS that stays up for all tests of this file."""
    with running(tmp_path_factory.mktemp("boss")) as address:
        yield address


def at(host: str, channel: str) -> list[str]:
    """Overrides for a channel of the BOSS that is up."""
    return [
        *("boss=custom", f"boss.host={host}", "boss.protocol=http", f"boss.token_env={TOKEN_ENV}"),
        *(f"resource.collection={channel}", "resource.experiment=run", "resource.channel=em"),
        "resource.voxel_size=[4,4,40]",
    ]


def noise(*shape: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(5).integers(1, 250, shape).astype(dtype)


def planes(folder: Path) -> np.ndarray:
    return np.stack([tifffile.imread(path) for path in sorted(folder.glob("*.tif"))])


@pytest.mark.parametrize(("backend", "compression"), [("threads", "none"), ("processes", "deflate")])
def test_into_a_boss_and_back_in_an_odd_part(host: str, here: Path, backend: str, compression: str) -> None:
    volume = noise(37, 150, 530, dtype="uint16")
    tifffile.imwrite(here / "in.ome.tif", volume, metadata={"axes": "ZYX"}, compression="zlib")
    resource = [*at(host, f"odd_{backend}_{compression}"), f"parallel={backend}", "parallel.n_jobs=2", "verify=full"]
    up = ndex.compose(None, "source=stack", "source.path=in.ome.tif", "source.origin=[3,5,7]", *resource)
    assert ndex.run(up).exit_code == 0
    down = ["destination=stack", "destination.path=out/back.tif", f"destination.compression={compression}"]
    part = ["extent.x=[10,521]", "extent.y=[6,155]", "extent.z=[9,43]"]
    result = ndex.run(ndex.compose(None, *down, *part, *resource))
    assert (result.exit_code, result.verified) == (0, result.tasks)
    assert [path.name for path in (here / "out").iterdir()] == ["back.tif"]
    np.testing.assert_array_equal(tifffile.imread(here / "out" / "back.tif"), volume[2:36, 1:150, 7:518])
    back = ndex.compose(None, "source=stack", "source.path=out/back.tif", *resource)
    plan = ndex.plan(back)
    assert (plan.box.start, plan.source.voxel_size) == ((10, 6, 9), (4, 4, 40))


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_packed_nifti_into_a_boss(host: str, here: Path, backend: str) -> None:
    volume = noise(2, 40, 30, 50)
    nibabel.save(nibabel.Nifti1Image(volume.T, np.eye(4), dtype=np.uint8), here / "v.nii.gz")
    resource = [*at(host, f"nifti_{backend}"), "resource.time_samples=2", "verify=full"]
    job = ndex.compose(
        None, "source=stack", "source.path=v.nii.gz", f"parallel={backend}", "parallel.n_jobs=2", *resource
    )
    assert ndex.run(job).exit_code == 0
    down = ndex.compose(None, "destination=stack", "destination.path=v.tif", *resource)
    assert ndex.run(down).exit_code == 0
    np.testing.assert_array_equal(tifffile.imread(here / "v.tif"), volume)


def test_the_job_expand_stack_keeps_metadata(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    volume = noise(20, 30, 50)
    tifffile.imwrite(here / "em.ome.tif", volume, metadata={"axes": "ZYX", "PhysicalSizeX": 0.004})
    job = ["job=expand_stack", "source.path=em.ome.tif", "destination.path=planes"]
    for _ in range(2):
        assert main(job) == 0
    np.testing.assert_array_equal(planes(here / "planes"), volume)
    told = json.loads((here / "planes" / "metadata.json").read_text())
    assert (told["format"], told["file"]) == ("ome", "em.ome.tif")
    assert 'PhysicalSizeX="0.004"' in told["description"]
    (here / "planes" / "metadata.json").write_text("{}")
    capsys.readouterr()
    assert main(job) == 2
    assert "destination.metadata=false" in capsys.readouterr().err
    assert main([*job, "destination.metadata=false"]) == 0


def test_the_job_expand_stack_splits_colours(here: Path) -> None:
    volume = noise(6, 30, 50, 3)
    tifffile.imwrite(here / "rgb.tif", volume, photometric="rgb")
    sweep = ["source.path=rgb.tif", "destination.path=planes_${source.band}", "source.band=0,1,2"]
    assert main(["-m", "job=expand_stack", *sweep]) == 0
    for band in range(3):
        np.testing.assert_array_equal(planes(here / f"planes_{band}"), volume[..., band])
        assert (here / f"planes_{band}" / "metadata.json").exists()


def test_the_job_download_stack(here: Path) -> None:
    volume = noise(10, 64, 64)
    tifffile.imwrite(here / "in.tif", volume)
    resource = ["resource.collection=kharris15", "resource.experiment=apical", "resource.channel=em"]
    frame = "resource.frame={x: [0, 8192], y: [0, 8192], z: [0, 200]}"
    up = ["source=stack", "source.path=in.tif", "source.origin=[4096,4608,90]", "resource.voxel_size=[1,1,1]"]
    assert main([*up, *resource, frame]) == 0
    assert main(["job=download_stack", "boss=embedded", "destination.path=apical.tif"]) == 0
    back = tifffile.imread(here / "apical.tif")
    assert back.shape == (10, 512, 512)
    np.testing.assert_array_equal(back[:, :64, :64], volume)


def test_shards_share_one_file(host: str, here: Path) -> None:
    volume = noise(70, 40, 50)
    tifffile.imwrite(here / "in.tif", volume)
    assert ndex.run(ndex.compose(None, "source=stack", "source.path=in.tif", *at(host, "shards"))).exit_code == 0
    for index in (2, 0, 1):
        assert not (here / "out.tif").exists()
        job = ndex.compose(
            None,
            *("destination=stack", "destination.path=out.tif", *at(host, "shards")),
            *("shard.count=3", f"shard.index={index}"),
        )
        assert ndex.run(job).exit_code == 0
    np.testing.assert_array_equal(tifffile.imread(here / "out.tif"), volume)


def run_until_killed(arguments: list[str], cwd: Path, tasks: int) -> set[int]:
    """Indexes of the tasks that were reported as done before the process was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ndex", *arguments, "report.format=json"], cwd=cwd, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(ndex.__file__).parents[1])},
    )  # fmt: skip
    assert process.stdout is not None
    done: set[int] = set()
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "TaskDone":
            done.add(event["index"])
            if len(done) == tasks:
                break
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.communicate()
    return done


@pytest.mark.parametrize("compression", ["none", "deflate"])
def test_after_kill_9_a_download_goes_on(host: str, here: Path, compression: str) -> None:
    volume, name = noise(16 * 20, 300, 300), f"killed_{compression}"
    tifffile.imwrite(here / "in.tif", volume)
    assert ndex.run(ndex.compose(None, "source=stack", "source.path=in.tif", *at(host, name))).exit_code == 0
    down = ["destination=stack", "destination.path=out.tif", f"destination.compression={compression}"]
    down += [*at(host, name), "parallel.n_jobs=2"]
    killed = run_until_killed(down, here, tasks=6)
    assert not (here / "out.tif").exists()
    events: list[Event] = []
    result = ndex.run(ndex.compose(None, *down), [events.append])
    again = {event.index for event in events if isinstance(event, TaskDone)}
    assert (result.exit_code, result.tasks, result.done + result.resumed) == (0, 20, 20)
    assert len(killed) <= result.resumed < 20
    assert not again & killed
    np.testing.assert_array_equal(tifffile.imread(here / "out.tif"), volume)
    assert not [path for path in here.iterdir() if path.name.startswith(".out.tif")]
    assert main([*down, "action=verify"]) == 0


def test_a_finished_file_that_is_removed_is_made_again(host: str, here: Path) -> None:
    tifffile.imwrite(here / "in.tif", noise(20, 30, 40))
    down = ["source=stack", "source.path=in.tif", "destination=stack", "destination.path=out.tif"]
    for _ in range(2):
        assert main(down) == 0
        np.testing.assert_array_equal(tifffile.imread(here / "out.tif"), noise(20, 30, 40))
        (here / "out.tif").unlink()


@pytest.mark.parametrize(("policy", "code"), [("fail", 1), ("fill", 0)])
def test_a_damaged_page_counts_as_the_policy_says(
    policy: str, code: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = noise(40, 30, 40)
    tifffile.imwrite(here / "in.tif", volume, compression="zlib")
    with tifffile.TiffFile(here / "in.tif") as tiff:
        at = tiff.pages[20].dataoffsets[0]
    with open(here / "in.tif", "r+b") as file:
        file.seek(at)
        file.write(bytes(50))
    job = ["source=stack", "source.path=in.tif", "destination=images", "destination.path=out", f"missing={policy}"]
    assert main(job) == code
    out = capsys.readouterr().out
    if policy == "fail":
        assert "plane 20 of in.tif is damaged" in out
        assert len(list((here / "out").glob("*.tif"))) == 24
    else:
        assert "1 absent plane, now zeros: z 20" in out
        np.testing.assert_array_equal(np.delete(planes(here / "out"), 20, 0), np.delete(volume, 20, 0))


def test_wrong_files_end_with_2(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.float32), np.eye(4)), here / "float.nii")
    with tifffile.TiffWriter(here / "clash.tif") as file:
        for dtype in ("uint8", "uint16"):
            file.write(noise(20, 30, dtype=dtype), metadata=None, contiguous=False)
    for name, words in (("float.nii", "32-bit float"), ("clash.tif", "source.series"), ("none.tif", "no such file")):
        assert main(["source=stack", f"source.path={name}", "destination=images", "destination.path=out"]) == 2
        assert words in capsys.readouterr().err
    assert not (here / "out").exists()
