"""The command that goes on, as the shell takes it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ndex.again import again, program, quoted
from ndex.events import Result

LEFT = Result("em", "run", 1, tasks=4, done=1, journal="/data/journal/em-1")
TYPED = ["ndex", "job=em", "source.pattern=em_{z:04d}.tif", "extent.x=[0, 512]", "resource.description=it's"]


def test_it_is_quoted_for_the_shell() -> None:
    line = again(LEFT, TYPED)
    show = [sys.executable, "-c", "import sys; print(sys.argv[1:])"]
    words = subprocess.run(f"{quoted(show)} {line}", shell=True, capture_output=True, text=True, check=True).stdout
    assert words.strip() == str(TYPED)


@pytest.mark.skipif(sys.platform == "win32", reason="shells of Windows know no single quotes")
def test_what_hydra_has_quoted_can_still_be_read() -> None:
    words = ["a='{b}'", "c='$d'", "e='f' \"g\"", "h='!'", "i"]
    assert quoted(words).startswith("\"a='{b}'\" ")
    assert shlex.split(quoted(words)) == words


@pytest.mark.parametrize("action", ["verify", "status"])
def test_after_looking_it_transfers(action: str) -> None:
    line = again(replace(LEFT, action=action), ["ndex", f"action={action}", "job=em"])
    assert line == "ndex job=em action=run"


@pytest.mark.parametrize(
    "ended",
    [
        Result("em", "run", 0, tasks=4, done=4),
        Result("em", "verify", 0, tasks=4, done=4),
        Result("em", "status", 0, tasks=4, resumed=4),
        Result("em", "plan", 0, tasks=4),
        Result("em", "describe", 0),
    ],
)
def test_where_nothing_is_left_there_is_none(ended: Result) -> None:
    assert again(ended, TYPED) == ""


def test_from_python_the_journal_has_the_job() -> None:
    assert again(LEFT, ()) == "ndex job=em   # after /data/journal/em-1/job.yaml was copied to jobs/em.yaml"
    assert again(replace(LEFT, journal=""), ()) == "ndex job=em"


@pytest.mark.parametrize(
    ("called", "typed"),
    [
        ("/somewhere/else/bin/ndex", ["/somewhere/else/bin/ndex"]),
        (".venv/bin/ndex", [".venv/bin/ndex"]),
        ("/site-packages/ndex/__main__.py", ["python3.12", "-m", "ndex"]),
        ("/usr/bin/pytest", ["ndex"]),
    ],
)
def test_the_program_is_called_as_it_was(called: str, typed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setattr(sys, "orig_argv", ["python3.12", "-m", "ndex", "job=em"])
    assert program() == typed


def test_on_the_path_its_name_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / ("ndex.exe" if sys.platform == "win32" else "ndex")
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert program() == ["ndex"]
    assert shlex.split(quoted(["ndex"])) == ["ndex"]
