"""A job that was run can be run again from what its journal keeps."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import ndex
from ndex.__main__ import main
from ndex.job import Job
from ndex.jobs import JOBS, names_in
from ndex.repeat import as_yaml
from ndex.validation import marked_missing

GIVEN = {
    "resource.collection": "lab",
    "resource.experiment": "run7",
    "resource.voxel_size": "[4,4,40]",
    "resource.source_channels": "[em]",
    "source.path": "em",
    "destination.path": "planes",
    "source.pattern": "em_%04d.tif",
    "source.url": "http://render.example.org",
    "source.owner": "o",
    "source.project": "p",
    "source.stack": "s",
    "source.tile": "[256,256]",
    "source.resource.collection": "lab",
    "source.resource.experiment": "run6",
    "extent.t": "[0,2]",
}

NAMES = ("resource.collection", "resource.experiment")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("jobs").mkdir()


def composed(name: str) -> Job:
    """A job that ships, with what it asks for."""
    asked = marked_missing(yaml.safe_load((JOBS / f"{name}.yaml").read_text(encoding="utf-8")))
    s3 = {"source.path": "s3://bucket/em", "destination.path": "s3://bucket/em"} if "s3" in name else {}
    given = {**GIVEN, **s3}
    settings = [f"{key}={given[key]}" for key in asked if key in given]
    return ndex.compose(name, *settings, "resource.channel=2018_01")


@pytest.mark.parametrize("name", sorted(set(names_in(JOBS)) - {"ingest_channels"}))
def test_a_job_composes_from_its_own_text(name: str) -> None:
    job = composed(name)
    Path("jobs/again.yaml").write_text(as_yaml(job), encoding="utf-8")
    assert replace(ndex.compose("again"), name=name) == job


def test_the_journal_keeps_the_job_and_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["job=demo", "verify=none", "report.html=false", "extent.z=[2600,2616]"]) == 0
    capsys.readouterr()
    assert main(["job=demo", "verify=none", "report.html=false", "extent.z=[2600,2616]", "action=status"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("  the job as it was last run, to be repeated as jobs/NAME.yaml: ")
    shutil.copy(said.partition("yaml: ")[2], "jobs/again.yaml")
    assert "127.0.0.1" not in Path("jobs/again.yaml").read_text(encoding="utf-8")
    assert ndex.run(ndex.compose("again")).exit_code == 0


def test_of_many_channels_it_is_the_job_of_one() -> None:
    job = ndex.compose("ingest_channels", *(f"{key}={GIVEN[key]}" for key in ("source.path", *NAMES)),
                       "resource.channels_file=channels.txt", "resource.channel=Ch2")  # fmt: skip
    Path("jobs/again.yaml").write_text(as_yaml(job), encoding="utf-8")
    assert str(ndex.compose("again").resource) == "lab/run7/Ch2"
