"""What a command does before it answers: which modules it imports, how often it composes, what it starts. The time to
start is the time of these, whatever the machine; tests/benchmarks/start.py measures it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ndex import job_source
from ndex.__main__ import main
from ndex.server import process

ROOT = Path(__file__).parents[1]
HYDRA = {"hydra"}
JOB = {"numpy", "pydantic"}
CLIENT = {"requests", "urllib3", "intern"}
LATE = {"stamina", "tifffile", "PIL.JpegImagePlugin", "boto3", "slack_sdk", "distributed", "ndex.page", "nibabel"}
"""For failures, for files of other formats, for buckets, for messages, for pages that only a run leaves."""

PROBE = """
import sys
from ndex.__main__ import main
main(sys.argv[1:])
print(*sys.modules, sep="\\n", file=sys.stderr)
"""


@pytest.fixture
def planes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plan of a job between two folders, as arguments."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "planes").mkdir()
    for z in range(2):
        Image.fromarray(np.full((5, 6), z, np.uint8)).save(tmp_path / f"planes/{z:02d}.png")
    ends = [f"{role}=images {role}.path={path} {role}.pattern=%02d.png" for role, path in ENDS.items()]
    return [*" ".join(ends).split(), "action=plan"]


ENDS = {"source": "planes", "destination": "copies"}


def imported(*arguments: str, probe: str = PROBE) -> set[str]:
    """The modules that a command has imported, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", probe, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [[], ["--version"], ["--help"]])
def test_pages_need_no_hydra(arguments: list[str]) -> None:
    assert not imported(*arguments) & (HYDRA | JOB | CLIENT | LATE)


@pytest.mark.parametrize("arguments", [["job=dmo"], ["job=demo", "--cfg", "job"]])
def test_what_hydra_answers_needs_no_job(arguments: list[str]) -> None:
    found = imported(*arguments)
    assert found >= HYDRA
    assert not found & (JOB | CLIENT | LATE)


def test_a_plan_between_folders_needs_no_client(planes: list[str]) -> None:
    found = imported(*planes)
    assert found >= JOB
    assert not found & (CLIENT | LATE | {"blosc", "joblib", "PIL.Image", "ndex.server.process"})


def test_a_plan_with_the_embedded_boss_needs_nothing_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = imported("job=demo", "action=plan")
    assert found >= CLIENT
    assert not found & LATE
    assert list(tmp_path.iterdir()) == []


def test_a_server_listens_before_it_can_decode() -> None:
    found = imported(probe="import sys, ndex.server.__main__; print(*sys.modules, file=sys.stderr)")
    assert "numpy" in found
    assert not found & (HYDRA | CLIENT | {"blosc", "PIL.Image", "pydantic"})


@pytest.mark.parametrize("arguments", [["job=mine"], ["job=mine", "hydra.mode=RUN"]])
def test_one_job_is_composed_once(arguments: list[str], planes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("jobs").mkdir()
    Path("jobs/mine.yaml").write_text("verify: full\n")
    composed: list[Path] = []
    read = job_source.read_job_file
    monkeypatch.setattr(job_source, "read_job_file", lambda path: composed.append(path) or read(path))
    assert main([*arguments, *planes]) == 0
    assert len(composed) == 1


@pytest.mark.parametrize(
    ("wrong", "started"), [("source.pth=x", 0), ("convert.dtype=int3", 0), ("source.path=nowhere", 1)]
)
def test_no_server_outlives_a_wrong_job(
    wrong: str, started: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    children: list[subprocess.Popen[bytes]] = []
    start = process.start

    def recorded(*args: object, **kwargs: object) -> subprocess.Popen[bytes]:
        children.append(start(*args, **kwargs))  # type: ignore[arg-type]
        return children[-1]

    monkeypatch.setattr(process, "start", recorded)
    assert main(["job=demo", "action=plan", wrong]) == 2
    assert [child.returncode for child in children] == [0] * started
    assert list(tmp_path.iterdir()) == []
