"""A file of channel names: a job for each of them, with a folder, a journal and a result of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ndex
from ndex.__main__ import main
from ndex.channels import read_names
from ndex.errors import JobError, Missing

NAMES = ["Ch1", "2018_01", "seg-final"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a folder of planes for each channel, each with another value in it."""
    monkeypatch.chdir(tmp_path)
    for value, name in enumerate(NAMES, 1):
        (tmp_path / name).mkdir()
        for z in range(2):
            Image.fromarray(np.full((5, 6), value, np.uint8)).save(tmp_path / name / f"{name}_{z:04d}.png")
    (tmp_path / "channels.txt").write_text("# of run 7\n\nCh1\n  2018_01  # again\nseg-final\n")
    (tmp_path / "jobs").mkdir()
    return tmp_path


RESOURCE = ["resource.collection=lab", "resource.experiment=run7"]
UP = ["job=ingest_channels", "source.path='{channel}'", "source.pattern='{channel}_%04d.png'", *RESOURCE]
FILE = "resource.channels_file=channels.txt"


def table(out: str) -> list[list[str]]:
    """The closing lines, without their times."""
    rows = [line.split() for line in out.splitlines()]
    rows = rows[rows.index(["#", "job", "result", "time", "with"]) + 1 :]
    return [[row[2], row[-1]] for row in rows if row[0].isdigit()]


def test_every_channel_is_a_job_of_its_own(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*UP, FILE]) == 0
    assert table(capsys.readouterr().out) == [["done", f"resource.channel='{name}'"] for name in NAMES]
    (sweep,) = (here / ".ndex/runs/ingest_channels").iterdir()
    for number, name in enumerate(NAMES):
        result = json.loads((sweep / str(number) / "result.json").read_text())
        assert f"lab/run7/{name}" in result["destination"]
        assert (sweep / str(number) / "ndex.log").exists()
    assert len(list((here / ".ndex/journal").iterdir())) == len(NAMES)
    for value, name in enumerate(NAMES, 1):
        down = ["destination=images", f"destination.path=back_{name}", "destination.pattern=%04d.png"]
        assert main([*down, *RESOURCE, f"resource.channel={name}"]) == 0
        assert np.array_equal(np.asarray(Image.open(here / f"back_{name}/0001.png")), np.full((5, 6), value))


def test_one_that_fails_does_not_stop_the_others(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "Ch1/Ch1_0000.png").write_bytes(b"")
    (here / "2018_01/2018_01_0001.png").unlink()
    (here / "2018_01/2018_01_0000.png").unlink()
    assert main([*UP, FILE]) == 2
    out = capsys.readouterr().out
    assert [result for result, _ in table(out)][1:] == ["wrong", "done"]


def test_with_a_sweep_over_other_keys_it_multiplies(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", *UP, FILE, "shard.count=2", "shard.index=0,1", "action=plan"]) == 0
    assert len(table(capsys.readouterr().out)) == 2 * len(NAMES)


@pytest.mark.parametrize("channels", [["resource.channel=Ch1"], ["-m", "resource.channel=Ch1,seg-final"]])
def test_channels_of_the_command_line_win(channels: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*UP, FILE, *channels, "action=plan"]) == 0
    assert capsys.readouterr().out.count("a plan; nothing was touched") == len(channels)


def test_a_job_file_may_name_the_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "jobs/mine.yaml").write_text(
        "defaults: [ingest_channels]\nresource: {collection: lab, experiment: run7, channels_file: channels.txt}\n"
        "source: {path: '{channel}', pattern: '{channel}_%04d.png'}\n"
    )
    assert main(["job=mine", "action=plan"]) == 0
    assert len(table(capsys.readouterr().out)) == len(NAMES)
    with pytest.raises(JobError, match=r"resource.channels_file=channels.txt stands for a job for each channel"):
        ndex.compose("mine")
    job = ndex.compose("mine", "resource.channel=Ch1")
    assert job.resource is not None
    assert job.resource.channel == "Ch1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "names no channel"),
        ("# nothing\n\n", "names no channel"),
        ("a\nb c\n", "line 2: a channel's name consists of"),
        ("a\n#\nb,c\n", "line 3: a channel's name consists of"),
        ("a\nb\na\n", "names the channel a twice"),
    ],
)
def test_a_wrong_file_is_refused(content: str, said: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "channels.txt").write_text(content)
    assert main([*UP, FILE]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ndex: resource.channels_file=channels.txt")
    assert said in err
    assert not (here / ".ndex").exists()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="there is no such file"):
        read_names(tmp_path / "channels.txt")
    with pytest.raises(JobError, match="cannot be read"):
        read_names(tmp_path)
    (tmp_path / "image").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(JobError, match="not a text file"):
        read_names(tmp_path / "image")
