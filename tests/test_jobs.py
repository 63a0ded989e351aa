"""Where jobs are found, and that a job's name leads nowhere else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hydra.core.object_type import ObjectType

from ndex.composing import compose
from ndex.errors import JobError
from ndex.job_source import JobSource
from ndex.jobs import JOBS, job_folders, job_names, safe_name

JOB = """
source: {kind: images, path: em}
resource: {collection: lab, experiment: run7, channel: em}
verify: none
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """./jobs of the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").mkdir()
    return tmp_path / "jobs"


def write(path: Path, text: str = JOB) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_own_jobs_come_before_those_that_ship(jobs: Path) -> None:
    assert compose("demo").verify == "full"
    write(jobs / "demo.yaml")
    assert compose("demo").verify == "none"
    assert compose("demo_download").destination.kind == "images"


def test_nested_names(jobs: Path) -> None:
    write(jobs / "lab1/2024/em.yaml")
    job = compose("lab1/2024/em")
    assert (job.name, job.verify) == ("lab1_2024_em", "none")
    assert compose("lab1/2024/em.yaml").name == "lab1_2024_em"
    assert "lab1/2024/em" in job_names()


def test_a_job_can_build_on_another(jobs: Path) -> None:
    write(jobs / "base.yaml")
    write(jobs / "lab1/faster.yaml", "defaults: [/job/base, override /parallel: processes, _self_]\nverify: sample\n")
    job = compose("lab1/faster")
    assert (job.parallel.backend, job.verify, job.source.kind) == ("processes", "sample", "images")


def test_a_package_header_is_obeyed(jobs: Path) -> None:
    write(jobs / "em.yaml", "# @package resource\ncollection: lab\nexperiment: run7\nchannel: em\n")
    assert str(compose("em", "source=images", "source.path=em").resource) == "lab/run7/em"


def test_an_unknown_job_is_refused_with_the_nearest(jobs: Path) -> None:
    write(jobs / "lab1/em.yaml")
    with pytest.raises(
        JobError, match=r"job=dmo: there is no such job .* did you mean demo\?\nthere is .*demo, .*lab1/em"
    ):
        compose("dmo")
    with pytest.raises(JobError, match=r"did you mean lab1/em\?"):
        compose("lab1")


@pytest.mark.parametrize("name", ["../outside", "lab1/../../outside", "linked", "folder/outside"])
def test_no_name_leads_out_of_the_folders(name: str, jobs: Path) -> None:
    write(jobs.parent / "outside.yaml")
    (jobs / "lab1").mkdir()
    try:
        (jobs / "linked.yaml").symlink_to(jobs.parent / "outside.yaml")
        (jobs / "folder").symlink_to(jobs.parent, target_is_directory=True)
    except OSError:
        pytest.skip("this system lets nobody make symbolic links")
    with pytest.raises(JobError, match=r"there is no such job|Parent traversal"):
        compose(name)
    assert not [found for found in job_names() if found in ("linked", "folder/outside")]


@pytest.mark.skipif(sys.platform == "win32", reason="an absolute path of Windows cannot stand in a job's name")
def test_no_absolute_name(jobs: Path) -> None:
    write(jobs.parent / "outside.yaml")
    with pytest.raises(JobError):
        compose(str(jobs.parent / "outside"))


def test_one_broken_job_does_not_stop_the_others(jobs: Path) -> None:
    write(jobs / "broken.yaml", "a: [1")
    assert compose("demo").name == "demo"
    with pytest.raises(JobError, match=r"broken\.yaml, line \d is not YAML"):
        compose("broken")


def test_in_the_checkout_itself_jobs_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(JOBS.parent)
    assert job_folders() == [JOBS]


def test_the_source_shows_one_group(jobs: Path) -> None:
    write(jobs / "a.yaml")
    write(jobs / "lab1/em.yaml")
    source = JobSource("test", f"jobs://{jobs}")
    assert source.list(config_path="", results_filter=ObjectType.GROUP) == ["job"]
    assert source.list(config_path="job", results_filter=ObjectType.CONFIG) == ["a", "lab1/em"]
    assert source.list(config_path="job", results_filter=ObjectType.GROUP) == []
    assert JobSource("test", f"jobs://{jobs / 'none'}").is_group("job")
    assert not source.is_group("source")
    assert not source.is_config("config")


@pytest.mark.parametrize(
    ("choice", "name"), [(None, "ndex"), ("demo", "demo"), ("lab1/em", "lab1_em"), ("demo.yaml", "demo")]
)
def test_names_are_safe_in_paths(choice: str | None, name: str) -> None:
    assert safe_name(choice) == name
