"""Sweeps by every launcher: each job runs, each failure is seen in its log and in the table, the worst code wins."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import numpy as np
import psutil
import pytest
import tifffile
from held_boss import TOKEN, holding
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

import ndex
from ndex.__main__ import main
from ndex.batch import time_limit
from ndex.multirun import Outcome, outcomes

VOXELS = np.random.default_rng(4).integers(1, 255, (6 * 16, 5, 6), np.uint8)
UP = ["source=stack", "source.path=in.tif", "resource.collection=c", "resource.experiment=e", "resource.channel=em"]
UP += ["resource.voxel_size=[1,1,1]", "parallel=serial"]

submitit = pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None or os.name == "nt", reason="submitit is for POSIX systems"
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # Other processes find ndex where this one has it.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(ndex.__file__).parents[1])]))
    monkeypatch.setenv("NDEX_TEST_HELD", TOKEN)
    tifffile.imwrite(tmp_path / "in.tif", VOXELS, photometric="minisblack")
    return tmp_path


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """submitit waits for a result that a network file system may show late; these are there at once, or never."""
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 0)


def rows(out: str) -> list[tuple[str, str]]:
    """What the table at the end says: result and distinction of each job."""
    lines = out.splitlines()
    (head,) = (number for number, line in enumerate(lines) if line.split() == ["#", "job", "result", "time", "with"])
    table = [line.split(maxsplit=2)[2] for line in lines[head + 1 :] if line[:1].isdigit()]
    return [(row.split("  ")[0], row.partition(" s  ")[2].strip()) for row in table]


@pytest.mark.parametrize("attempt", range(20))
def test_how_a_job_ended_is_there_whole_or_not_at_all(attempt: int, tmp_path: Path) -> None:
    job = Outcome(0, "ndex", "x=1 " * 50_000, 0, 1.0)
    writer = threading.Thread(target=job.save, args=(tmp_path,))
    writer.start()
    while writer.is_alive():
        assert outcomes(tmp_path) in ([], [job])
    assert outcomes(tmp_path) == [job]


@pytest.mark.skipif(os.name == "nt", reason="Slurm runs on POSIX systems")
def test_the_script_for_sbatch(here: Path) -> None:
    """As Slurm runs it, once for each index, all at once."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    script = readme.partition("<!-- test: sbatch -->\n```sh\n")[2].partition("```")[0]
    assert "--array=0-63\n" in script
    (here / "job.sh").write_text(script.replace("shard.count=64", "shard.count=3").replace("/data/em", "em"))
    (here / "em").mkdir()
    for z, plane in enumerate(VOXELS[:48]):
        tifffile.imwrite(here / f"em/em_{z:04d}.tif", plane)
    (here / "bin").mkdir()
    (here / "bin/ndex").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ndex "$@" report.html=false\n')
    (here / "bin/ndex").chmod(0o755)
    environment = {**os.environ, "PATH": f"{here / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    runs = [
        subprocess.Popen(["bash", "job.sh"], env={**environment, "SLURM_ARRAY_TASK_ID": str(index)})
        for index in range(3)
    ]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    job = ["source.path=em", "resource.collection=lab", "resource.experiment=run7", "resource.channel=em"]
    status = ndex.run(ndex.compose("ingest_sharded", *job, "action=status"))
    assert (status.tasks, status.left) == (3, 0)
    assert [shard["done"] for shard in status.details["shards"]] == [1, 1, 1]  # type: ignore[attr-defined]


def sweep_of(here: Path) -> Path:
    (folder,) = (here / ".ndex/runs/ndex").iterdir()
    return folder


@submitit
def test_shards_in_the_hands_of_submitit(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each with an embedded BOSS of its own over one folder, in which all create the channel at once."""
    sweep = ["-m", *UP, "shard.count=3", "shard.index=range(0,4)", "hydra/launcher=submitit_local"]
    assert main(sweep) == 2
    expected = [("done", f"shard.index={index}") for index in range(3)]
    assert rows(capfd.readouterr().out) == [*expected, ("wrong job", "shard.index=3")]
    logs = [(sweep_of(here) / f"{number}/ndex.log").read_text() for number in range(4)]
    assert ["2 of 2 tasks transferred" in log for log in logs] == [True, True, True, False]
    assert "shard.index=3 must be below shard.count=3" in logs[3]
    assert main([*UP, "action=verify"]) == 0
    status = main(["-m", *UP, "action=status", "shard.count=3", "shard.index=0", "hydra/launcher=submitit_local"])
    assert status == 0
    out = capfd.readouterr().out
    assert "6 of 6 tasks done" in out, "actions that only read are run here, where they are seen"
    assert "shard-2-of-3: 2 done, 0 left, 0 failed" in out


def kill_one(sign: str) -> None:
    """As a batch system does with a job that needs more memory than it may."""
    workers = [child for child in psutil.Process().children(recursive=True) if sign in " ".join(child.cmdline())]
    workers[0].kill()


@submitit
@pytest.mark.usefixtures("patient")
def test_a_killed_job_has_failed_and_the_others_are_waited_for(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with holding(here / "boss", 0) as boss:

        def kill() -> None:
            boss.wait_for(2)
            kill_one("submitit.core._submit")
            boss.go.set()

        killer = threading.Thread(target=kill)
        killer.start()
        job = [*UP[:4], "resource.channel=a,b", *UP[5:], *boss.settings()]
        assert main(["-m", *job, "hydra/launcher=submitit_local"]) == 1
        killer.join()
    out, err = capfd.readouterr()
    assert sorted(rows(out)) == sorted(rows(out), key=lambda row: row[0])
    assert sorted(result for result, _ in rows(out)) == ["done", "failed"]
    assert {name for _, name in rows(out)} == {"resource.channel=a", "resource.channel=b"}
    lost = dict(rows(out))["failed"]
    (line,) = [line for line in err.splitlines() if line.startswith("ndex: ")]
    assert f"{lost}: ended without a word, as when it is killed; the last it said is in " in line
    assert Path(line.rpartition(" is in ")[2]).exists()


def test_a_killed_job_of_joblib_has_failed(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    with holding(here / "boss", 0) as boss:

        def kill() -> None:
            boss.wait_for(2)
            kill_one("LokyProcess")

        killer = threading.Thread(target=kill)
        killer.start()
        job = [*UP[:4], "resource.channel=a,b", *UP[5:], *boss.settings()]
        assert main(["-m", *job, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]) == 1
        killer.join()
    out, err = capfd.readouterr()
    assert rows(out) == [("failed", "resource.channel=a"), ("failed", "resource.channel=b")]
    assert err.count("ended without a word") == 2
    assert "Traceback" not in err


def test_channels_times_shards(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "channels.txt").write_text("a\nb\n")
    job = [*UP[:4], "resource.channels_file=channels.txt", *UP[5:], "shard.count=2", "verify=none", "report.html=false"]
    assert main(["-m", *job, "shard.index=range(0,2)", "destination=images", "destination.path='out_{channel}'"]) == 0
    assert [len(list((here / f"out_{name}").glob("*.tif"))) for name in "ab"] == [len(VOXELS)] * 2
    names = [f"shard.index={index} resource.channel='{name}'" for index in range(2) for name in "ab"]
    assert rows(capsys.readouterr().out) == [("done", name) for name in names]


def test_the_command_line_replaces_the_sweep_of_a_job_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "jobs").mkdir()
    (here / "jobs/parts.yaml").write_text(
        "defaults: [override /source: stack, override /destination: images]\n"
        "source: {path: in.tif}\ndestination: {path: out}\n"
        "resource: {collection: c, experiment: e, channel: em, voxel_size: [1, 1, 1]}\n"
        "hydra: {sweeper: {params: {shard.count: 64, shard.index: 'range(0,64)'}}}\n"
    )
    assert main(["-m", "job=parts", "shard.count=2", "shard.index=0,1", "action=plan"]) == 0
    assert [name for _, name in rows(capsys.readouterr().out)] == ["shard.index=0", "shard.index=1"]
    assert main(["-m", "job=parts", "shard.index=3", "action=plan"]) == 0
    assert ndex.plan(ndex.compose("parts")).total == len(ndex.plan(ndex.compose("parts"))), "without -m it is the whole"


@pytest.fixture
def no_launchers() -> Iterator[None]:
    """As where no launcher is installed but Hydra's own."""
    Plugins.instance()  # finds them once
    known = ConfigStore.instance().repo["hydra"]["launcher"]
    kept = dict(known)
    known.clear()
    known["basic.yaml"] = kept["basic.yaml"]
    yield
    known.update(kept)


@pytest.mark.usefixtures("no_launchers")
@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("job=ingest_slurm", "pip install 'ndex[slurm]'"),
        ("hydra/launcher=submitit_slurm", "pip install 'ndex[slurm]'"),
        ("hydra/launcher=joblib", "pip install hydra-joblib-launcher"),
    ],
)
def test_a_launcher_that_is_not_installed(
    setting: str, remedy: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", *UP, setting]) == 2
    err = capsys.readouterr().err
    assert err.startswith("ndex: hydra/launcher=")
    assert err.endswith(f"this launcher is not installed; {remedy}\n")


@submitit
def test_without_slurm_that_is_said(
    here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(here))
    assert main(["-m", *UP, "shard.count=2", "shard.index=0,1", "hydra/launcher=submitit_slurm"]) == 2
    out, err = capfd.readouterr()
    assert "ndex: the launcher cannot start the jobs: Could not detect" in err
    assert "#" not in out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("allowed", [True, False])
def test_when_the_time_is_up_a_job_ends_in_order_and_is_queued_again(
    allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the handlers in place of submitit's and of a running job's."""
    asked: list[str] = []

    def requeue(number: int, frame: FrameType | None) -> None:
        asked.append("queue again")
        raise SystemExit(255) if allowed else RuntimeError("timed-out too many times")

    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    before = {
        signal.SIGUSR2: signal.signal(signal.SIGUSR2, requeue),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: asked.append("finish")),
    }
    try:
        with time_limit() as limit:
            signal.raise_signal(signal.SIGUSR2)
            signal.raise_signal(signal.SIGUSR2)
        assert asked == ["finish"]
        if allowed:
            with pytest.raises(SystemExit):
                limit.queue_again()
        else:
            limit.queue_again()
        assert asked == ["finish", "queue again"]
        with time_limit() as quiet:
            pass
        quiet.queue_again()
        assert asked == ["finish", "queue again"]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
