"""Every job that ships composes, insists on exactly what is the user's to say, and plans; the demos run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import render_ws
import s3_server
import tifffile
from PIL import Image

from ndex.__main__ import main
from ndex.composing import compose
from ndex.errors import JobError
from ndex.jobs import JOBS, names_in

LAB = {"resource.collection": "lab", "resource.experiment": "run7", "resource.channel": "em"}
GIVEN: dict[str, dict[str, str]] = {
    "demo": {},
    "demo_download": {},
    "kharris15_apical": {"destination.path": "apical"},
    "download_stack": {"destination.path": "apical.tif"},
    "expand_stack": {"source.path": "em.tif", "destination.path": "planes"},
    "boss_to_boss": {},
    "download_timeseries": {"destination.path": "frames", **LAB, "resource.experiment": "live", "extent.t": "[0,2]"},
    "ingest": {"source.path": "em", "source.pattern": "em_%04d.tif", **LAB},
    "ingest_channels": {"source.path": "em", "resource.channels_file": "channels.txt", **LAB},
    "ingest_segmentation": {
        "source.path": "seg",
        "source.pattern": "seg_%04d.tif",
        "resource.collection": "lab",
        "resource.experiment": "run7",
        "resource.source_channels": "[em]",
    },
    "ingest_sharded": {"source.path": "em", **LAB},
    "ingest_slurm": {"source.path": "em", **LAB},
    "ingest_s3": {
        "source.path": "s3://every-job/em",
        "source.pattern": "em_%04d.tif",
        **LAB,
    },
    "ingest_tiles": {
        "source.path": "tiles",
        "source.pattern": '"{z}/{y}_{x}.png"',
        "source.tile": "[30,20]",
        **LAB,
    },
    "download_to_s3": {
        "destination.path": "s3://every-job/out",
        "resource.collection": "demo",
        "resource.experiment": "medulla",
        "resource.channel": "em",
    },
    "ingest_render": {
        "source.url": "http://render.example.org:8080",
        "source.owner": "optics",
        "source.project": "p1",
        "source.stack": "aligned",
        **LAB,
    },
}
"""What each job that ships leaves to its user."""
NEW = ["resource.voxel_size=[4,4,40]"]
"""What creating an experiment needs besides."""
STAGED = {
    "ingest": NEW,
    "ingest_segmentation": NEW,
    "ingest_s3": NEW,
    "ingest_tiles": NEW,
    "kharris15_apical": ["boss=embedded"],
    "download_stack": ["boss=embedded"],
    "boss_to_boss": ["source.boss=null"],
}
"""What a job needs where there is nothing yet, and services of the network made to be some that run here."""


def settings(job: str) -> list[str]:
    return [f"{key}={value}" for key, value in GIVEN[job].items()]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory with images for the ingests and an embedded BOSS that has what the downloads ask for."""
    folder = tmp_path_factory.mktemp("every_job")
    for name, dtype in (("em", np.uint8), ("seg", np.uint32)):
        (folder / name).mkdir()
        for z in range(2):
            tifffile.imwrite(folder / name / f"{name}_{z:04d}.tif", np.full((20, 30), z + 1, dtype))
    tifffile.imwrite(folder / "em.tif", np.ones((5, 20, 30), np.uint8))
    for x in range(2):
        (folder / "tiles" / "7").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30), x + 1, np.uint8)).save(folder / "tiles" / "7" / f"0_{x}.png")
    s3_server.new_bucket("every-job")
    s3_server.client().upload_file(str(folder / "em" / "em_0000.tif"), "every-job", "em/em_0000.tif")
    STAGED["ingest_s3"] = [*NEW, f"source.endpoint_url={s3_server.endpoint()}"]
    STAGED["download_to_s3"] = [f"destination.endpoint_url={s3_server.endpoint()}"]
    with pytest.MonkeyPatch.context() as patch, render_ws.serving(aligned=render_ws.Stack()) as render:
        patch.chdir(folder)
        STAGED["ingest_render"] = [f"source.url={render.url}"]
        assert main(["job=demo"]) == 0
        apical = ["resource.collection=kharris15", "resource.experiment=apical", "resource.channel=em"]
        frame = "resource.frame={x: [0, 8192], y: [0, 8192], z: [0, 200]}"
        assert main(["job=ingest", *settings("ingest"), *NEW, *apical, frame, "action=create"]) == 0
        live = ["resource.experiment=live", "resource.time_samples=2"]
        assert main(["job=ingest", *settings("ingest"), *NEW, *live, "action=create"]) == 0
        yield folder


def test_this_page_knows_every_job() -> None:
    assert sorted(GIVEN) == names_in(JOBS)


@pytest.mark.parametrize("job", GIVEN)
def test_it_insists_on_what_is_the_users_to_say(job: str) -> None:
    if GIVEN[job]:
        with pytest.raises(JobError) as caught:
            compose(job)
        missing = str(caught.value).removeprefix("missing: ").partition(";")[0].split(", ")
        assert sorted(missing) == sorted(GIVEN[job])
    assert compose(job, *settings(job)).name == job


@pytest.mark.parametrize("job", GIVEN)
def test_its_first_lines_say_how_to_start_it(job: str) -> None:
    head = [line for line in (JOBS / f"{job}.yaml").read_text().split("\n\n")[0].splitlines() if line.startswith("#")]
    assert any(f"job={job}" in line for line in head)


@pytest.mark.parametrize("job", GIVEN)
def test_it_plans(job: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*") if ".ndex/boss" not in path.as_posix()}
    assert main([f"job={job}", *settings(job), *STAGED.get(job, []), "action=plan"]) == 0
    assert "voxels" in capsys.readouterr().out
    after = {path: path.stat().st_mtime_ns for path in here.rglob("*") if ".ndex/boss" not in path.as_posix()}
    assert after == before


def test_the_download_goes_to_the_public_host() -> None:
    job = compose("kharris15_apical", *settings("kharris15_apical"))
    assert (job.boss.host, str(job.resource)) == ("api.bossdb.io", "kharris15/apical/em")
    assert (job.extent.x, job.extent.y, job.extent.z) == ((4096, 4608), (4608, 5120), (90, 100))


def test_the_demo_comes_back_as_it_went(here: Path) -> None:
    assert main(["job=demo_download"]) == 0
    planes = sorted((here / "demo_download").glob("*.tif"))
    assert [plane.name for plane in planes] == [f"em_{z:04d}.tif" for z in range(2604, 2620)]
    shipped = JOBS / "data/medulla"
    for plane in planes:
        section = shipped / f"iso.{plane.stem[-4:]}.png"
        assert np.array_equal(tifffile.imread(plane), _png(section)[64:192, 64:192])


def test_the_data_is_small_and_has_its_attribution() -> None:
    shipped = list((JOBS / "data").rglob("*"))
    assert sum(path.stat().st_size for path in shipped) <= 2_000_000
    assert any(path.name == "ATTRIBUTION.md" for path in shipped)


def _png(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)
