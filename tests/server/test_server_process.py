"""The server as a child of a job: it starts anywhere, says why when it does not, and never outlives its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from caller import Caller

from ndex.errors import JobError
from ndex.server import __main__ as command
from ndex.server.process import TOKEN_ENV, running


def test_runs_and_ends(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    with running(tmp_path / "root") as address:
        assert Caller(f"http://{address}", os.environ[TOKEN_ENV])("GET", "/v1/collection/").json() == {
            "collections": []
        }
        (child,) = set(psutil.Process().children()) - before
        assert os.environ[TOKEN_ENV] not in " ".join(child.cmdline())
        if os.name == "posix":
            assert os.getsid(child.pid) == child.pid
    assert not child.is_running()
    assert (tmp_path / "root").is_dir()


def test_starts_in_a_foreign_folder_that_shadows_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    (tmp_path / "ndex").mkdir()
    monkeypatch.chdir(tmp_path)
    with running(Path("root")) as address:
        assert Caller(f"http://{address}", None)("GET", "/ping/").status_code == 200
    assert (tmp_path / "root").is_dir()


def test_says_why_it_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file, not a folder")
    with (
        pytest.raises(JobError, match=r"boss\.root=.*root does not start: .*File exists") as caught,
        running(tmp_path / "root"),
    ):
        pass
    assert os.environ[TOKEN_ENV] not in str(caught.value)


def test_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "root")], stdout=subprocess.PIPE, text=True, env=_environment()
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    child.wait(10)
    assert not child.is_running()


PARENT = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    import psutil
    from ndex.server.process import running
    with running(Path(sys.argv[1])):
        print(psutil.Process().children()[0].pid, flush=True)
        sys.stdin.read() or time.sleep(60)
""")


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(command.__file__).parents[2])}


def test_read_only_leaves_no_trace(tmp_path: Path) -> None:
    with running(tmp_path / "root", read_only=True) as address:
        boss = Caller(f"http://{address}", os.environ[TOKEN_ENV])
        assert boss("GET", "/v1/collection/").json() == {"collections": []}
        assert boss.fault("GET", "/v1/collection/lab") == (404, 4000)
        assert boss.fault("GET", "/v1/cutout/lab/run7/em/0/0:1/0:1/0:1") == (404, 4000)
        for method, path in (("POST", "collection/lab"), ("PUT", "meta/lab"), ("DELETE", "coord/f")):
            assert boss.fault(method, f"/v1/{path}") == (403, 3000)
    assert list(tmp_path.iterdir()) == []


def test_read_only_over_what_is_there(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with running(root) as address:
        boss = Caller(f"http://{address}", os.environ[TOKEN_ENV])
        boss.make_experiment()
        boss.make_channel("seg", "uint64", "annotation")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    with running(root, read_only=True) as address:
        boss = Caller(f"http://{address}", os.environ[TOKEN_ENV])
        assert boss("GET", "/v1/collection/lab/experiment/run7").json()["channels"] == ["seg"]
        assert boss.fault("GET", "/v1/reserve/lab/run7/seg/5") == (403, 3000)
        assert not boss.read([(0, 9), (0, 9), (0, 9)], "seg", dtype="uint64").any()
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_the_command_wants_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--root", str(tmp_path / "root"), "--token-env", "NO_SUCH_VARIABLE"]) == 2
    assert "NO_SUCH_VARIABLE" in capsys.readouterr().err
    assert not (tmp_path / "root").exists()
