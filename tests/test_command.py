"""The command line: what it prints, what it leaves, how it ends."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ndex.execute
from ndex import __version__
from ndex.__main__ import main
from ndex.errors import JobError
from ndex.job import Job
from ndex.jobs import CONF, GROUPS
from ndex.multirun import Outcome, table, worst

COPY = """
defaults: [override /source: images, override /destination: images]
source: {path: em, pattern: p_%02d.png}
destination: {path: "out_{channel}"}
resource: {collection: lab, experiment: run7, channel: ch0}
"""


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """`--info` makes Hydra log to the standard output of this very test."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with three planes and a job that copies them, without any BOSS."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path.parent))
    for folder in ("em", "jobs"):
        (tmp_path / folder).mkdir()
    for z in range(3):
        Image.fromarray(np.full((6, 5), z + 1, np.uint8)).save(tmp_path / f"em/p_{z:02d}.png")
    (tmp_path / "jobs/copy.yaml").write_text(COPY)
    return tmp_path


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a wrong command line is told: exit code 2, one or two lines, nothing else."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert 1 <= len(err.splitlines()) <= 2, err
    assert all(line.startswith("ndex: ") for line in err.splitlines())
    return err


def test_without_arguments_it_introduces_itself(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(here)
    assert main([]) == 0
    out = capsys.readouterr().out
    assert sum(line.startswith("  ndex ") for line in out.splitlines()) == 3
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ndex {__version__}\n"
    assert tree(here) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--help"], ["ndex job=demo", "job: boss_to_boss, copy,", "source: boss, images", "--help TOPIC"]),
        (["--help", "source"], ["  images  A folder of image files"]),
        (["source=images", "-h"], ["\nz_step: 1  "]),
        (["--help", "resource.frame.x"], ["  channel: ???", "null: those of the volume"]),
        (["--help", "job"], ["  copy  ", "  demo  "]),
        (["--help", "job=copy"], ["source: {path: em, pattern: p_%02d.png}"]),
        (["--hydra-help"], ["Hydra", "--multirun"]),
        (["--info", "searchpath"], ["jobs://"]),
        (["job=copy", "--cfg", "job"], ["pattern: p_%02d.png", "voxel_unit: nanometers"]),
        (["job=copy", "verify=full", "--cfg", "job", "--package", "verify"], ["full"]),
    ],
)
def test_pages(arguments: list[str], said: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(here)
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert not [text for text in said if text not in captured.out]
    assert captured.err == ""
    assert tree(here) == before


def test_the_help_fits_a_screen(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 24 <= len(lines) <= 40
    assert max(len(line) for line in lines if str(CONF) not in line) <= 100


KEYS = [*(key for key in Job.__dataclass_fields__ if key != "name" and key not in GROUPS), "hydra"]
TOPICS = [*sorted(GROUPS - {"hydra"}), *KEYS]
CHOICES = [f"{path.parent.name}={path.stem}" for path in CONF.glob("*/*.yaml")]


@pytest.mark.parametrize("topic", [*TOPICS, *CHOICES])
def test_every_topic_fits_a_screen(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help", topic]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 2 <= len(lines) <= 40
    assert max(map(len, lines)) <= 100


def test_the_overview_names_every_topic(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    groups, _, keys = capsys.readouterr().out.partition("one of the other keys:")
    assert [topic for topic in TOPICS if not re.search(rf"\b{topic}\b", keys if topic in KEYS else groups)] == []


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("ndex job=c", ["job=copy"]),
        ("ndex +job=lab", ["+job=lab1/em"]),
        ("ndex source=", ["source=boss", "source=images"]),
        ("ndex job=copy resource.coll", ["resource.collection="]),
        ("ndex job=copy source.pat", ["source.path=", "source.pattern="]),
    ],
)
def test_completion(
    line: str, completions: list[str], here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "jobs/lab1").mkdir()
    (here / "jobs/lab1/em.yaml").write_text(COPY)
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", "query=bash"]) == 0
    assert set(completions) <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["job=dmo"], "job=dmo: there is no such job"),
        (["source=imges"], "source=imges: there is no such choice; did you mean images?"),
        (["parallel=thread", "job=copy"], "parallel=thread: there is no such choice; did you mean threads?"),
        (["job=copy", "source.pth=x"], "unknown key source.pth; did you mean source.path?"),
        (["job=copy", "+source.pth=x"], "unknown key source.pth; did you mean source.path?"),
        (["sorce=images"], "unknown key sorce; did you mean source?"),
        (["hydra.rn.dir=x"], "unknown key hydra.rn.dir"),
        (["job=copy", "source.path=~/data"], "source.path=~/data: cannot be read; quote the value, as "),
        (["job=copy", "source.pattern=em_{z:04d}.tif"], 'source.pattern="em_{z:04d}.tif"'),
        (["job=copy", "source.pattern=em_<p:4>.tif"], "cannot be read; quote the value"),
        (["job=copy", "source.path=Bücher"], "cannot be read; quote the value"),
        (["copy"], "copy: settings are written key=value; for the job of that name: job=copy"),
        (["job=copy", "resource.channel=a,b"], "several values need a sweep (add -m)"),
        (["job=copy", "--multi-run"], "there is no option --multi-run; did you mean --multirun?"),
        (["job=copy", "--resolve"], "--resolve"),
        (["--help", "resorce"], "--help resorce: there is no such topic; did you mean resource?"),
        (["--help", "source=imges"], "--help source=imges: there is no such choice; did you mean images?"),
        (["job=copy", "boss.token=hunter2"], "boss.token: a secret must not stand"),
        (["job=relative"], "override /source"),
        (["job=copy", "action=pln"], "action=pln: must be run, plan,"),
        ([], "missing: "),
    ],
)
def test_what_is_wrong_is_said_in_a_line_or_two(
    arguments: list[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "jobs/relative.yaml").write_text("defaults: [override source: images]\n")
    before = tree(here)
    assert said in refused(capsys, *(arguments or ["source=images", "action=plan"]))
    assert tree(here) - before <= {path for path in tree(here) if path.startswith(".ndex")}
    assert not [path for path in here.rglob("*.yaml") if "hunter2" in path.read_text()]


@pytest.mark.parametrize("job", ["job=copy", "+job=copy"])
def test_a_run_leaves_its_folder_log_and_result(job: str, here: Path) -> None:
    assert main([job]) == 0
    assert len(list((here / "out_ch0").glob("*.tif"))) == 3
    (folder,) = (here / ".ndex/runs/copy").iterdir()
    assert json.loads((folder / "result.json").read_text())["exit_code"] == 0
    assert "copy" in (folder / "ndex.log").read_text()
    assert "path: em" in (folder / ".hydra/config.yaml").read_text()


def test_a_wrong_run_is_in_its_log_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "job=copy", "source.path=nowhere").removeprefix("ndex: ").strip()
    (log,) = (here / ".ndex/runs/copy").rglob("ndex.log")
    assert said in log.read_text()


def test_an_output_folder_that_cannot_be_made(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / ".ndex").write_text("in the way")
    assert "hydra.run.dir=FOLDER" in refused(capsys, "job=copy")


def test_a_job_knows_what_was_typed(here: Path, scripted: list[str]) -> None:
    assert main(["job=copy", "hydra.run.dir=here", "resource.channel=2018_01"]) == 0
    assert commands == [["ndex", "job=copy", "hydra.run.dir=here", "resource.channel=2018_01"]]


def test_a_job_of_a_sweep_can_be_run_alone(here: Path, scripted: list[str]) -> None:
    assert main(["-m", "job=copy", "resource.channel=2017,2018_01", "hydra.sweep.dir=there", "shard.count=2"]) == 0
    assert main(commands[1][1:]) == 0
    assert scripted == ["2017", "2018_01", "2018_01"]
    assert commands[0] == ["ndex", "job=copy", "resource.channel='2017'", "shard.count=2"]


def test_a_sweep_of_names_like_numbers(here: Path, scripted: list[str]) -> None:
    assert main(["job=copy", "-m", "resource.channel=2018_01,2018_02"]) == 0
    assert scripted == ["2018_01", "2018_02"]


@pytest.mark.parametrize("action", ["plan", "status"])
@pytest.mark.parametrize("sweep", [[], ["-m", "resource.channel=a,b"]])
def test_actions_that_only_read_leave_nothing(action: str, sweep: list[str], here: Path) -> None:
    before, temporary = tree(here), set(here.parent.iterdir())
    assert main(["job=copy", f"action={action}", *sweep]) == 0
    assert tree(here) == before
    assert set(here.parent.iterdir()) == temporary


def test_every_job_of_a_sweep_runs_and_the_worst_code_wins(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["-m", "job=copy", "source.path=nowhere,em", "resource.channel=a,b"]
    assert main(sweep) == 2
    out, err = capsys.readouterr()
    assert [line.split(":")[0] + ":" + line.split(":")[1] for line in err.splitlines()] == [
        "ndex: copy #0 source.path=nowhere resource.channel=a",
        "ndex: copy #1 source.path=nowhere resource.channel=b",
    ]
    *_, last = out.splitlines()
    assert last == "all of them once more, which takes what is left: ndex " + " ".join(sweep)
    rows = [line.split() for line in out.splitlines()[-6:-1]]
    assert [row[0] for row in rows] == ["#", "0", "1", "2", "3"]
    assert [row[2] for row in rows[1:]] == ["wrong", "wrong", "done", "done"]
    assert len(list(here.glob("out_[ab]/*.tif"))) == 6
    (folder,) = (here / ".ndex/runs/copy").iterdir()
    assert "nowhere" in (folder / "0/ndex.log").read_text()
    assert json.loads((folder / "3/result.json").read_text())["exit_code"] == 0


def test_a_sweep_in_other_processes(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    sweep = ["-m", "job=copy", "source.path=nowhere,em", "resource.channel=a", "hydra/launcher=joblib"]
    assert main(sweep) == 2
    out, err = capfd.readouterr()
    assert "ndex: copy #0 source.path=nowhere: source.path" in err
    assert [line.split()[0] for line in out.splitlines()[-4:-1]] == ["#", "0", "1"]
    assert len(list((here / "out_a").glob("*.tif"))) == 3


commands: list[list[str]] = []
"""With which each job that was scripted could be run alone."""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces the work by what the channel's name says; the list has the channels that were asked for."""
    asked: list[str] = []
    commands.clear()

    def execute(job: Job, output: Path | None, label: str, command: list[str]) -> int:
        commands.append(command)
        assert job.resource is not None
        asked.append(job.resource.channel)
        match job.resource.channel:
            case "bug":
                raise RuntimeError("a strange thing")
            case "wrong":
                raise JobError("resource.channel=wrong: of another type")
            case "ctrl-c":
                raise KeyboardInterrupt
            case name:
                return {"stopped": 130, "failed": 1}.get(name, 0)

    monkeypatch.setattr(ndex.execute, "execute", execute)
    return asked


@pytest.mark.parametrize(
    ("channel", "code"), [("em", 0), ("failed", 1), ("bug", 1), ("wrong", 2), ("ctrl-c", 130), ("stopped", 130)]
)
def test_exit_codes(
    channel: str, code: int, here: Path, scripted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["job=copy", f"resource.channel={channel}"]) == code
    err = capsys.readouterr().err
    assert err.count("Traceback") == (channel == "bug")
    assert "Error executing job" not in err


def test_a_bug_in_one_job_does_not_stop_the_others(here: Path, scripted: list[str]) -> None:
    assert main(["-m", "job=copy", "resource.channel=bug,em,failed"]) == 1
    assert scripted == ["bug", "em", "failed"]


@pytest.mark.parametrize("interruption", ["ctrl-c", "stopped"])
def test_an_interruption_stops_the_sweep(
    interruption: str, here: Path, scripted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", "job=copy", f"resource.channel=wrong,{interruption},em"]) == 130
    assert scripted == ["wrong", interruption]
    one = "go on with: ndex job=copy resource.channel=ctrl-c\n"
    assert capsys.readouterr().err.endswith(one) == (interruption == "ctrl-c")


def test_values_from_the_environment_are_not_shown(
    here: Path, scripted: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NDEX_TEST_SECRET", "hunter2")
    main(["-m", "job=copy", "resource.channel=wrong,em", "resource.description='${oc.env:NDEX_TEST_SECRET}'"])
    out, err = capsys.readouterr()
    assert "hunter2" not in out + err
    assert not [path for path in (here / ".ndex").rglob("*") if "hunter2" in path.name]
    assert not [path for path in (here / ".ndex").rglob("*.*") if path.is_file() and "hunter2" in path.read_text()]


def test_two_runs_in_one_second_have_a_folder_each(here: Path, scripted: list[str]) -> None:
    for _ in range(3):
        main(["job=copy"])
    assert len(list((here / ".ndex/runs/copy").iterdir())) == 3


def test_the_worst_code() -> None:
    assert [worst(codes) for codes in ([], [0, 0], [0, 1], [1, 2, 0], [2, 130, 1])] == [0, 0, 1, 2, 130]


def test_the_table_is_aligned() -> None:
    rows = table([Outcome(0, "a", "x=1", 0, 1.25), Outcome(10, "longer", "x=2", 2, 100)]).splitlines()
    assert len({row.rindex("x=") for row in rows[1:]}) == 1


def test_as_a_process(here: Path) -> None:
    """Streams and exit code of the real thing, started elsewhere than in the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(Path(ndex.__file__).parent.parent)}
    command = [sys.executable, "-m", "ndex", "job=copy", "resource.resolution=-1"]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "ndex: resource.resolution=-1: must be a whole number from 0 to 9\n"
