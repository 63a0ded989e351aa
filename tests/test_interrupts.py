"""Ctrl-C and SIGTERM: the first lets tasks under way finish, the second aborts; the journal is right either way."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from held_boss import TOKEN, Command, Held, holding, named

import ndex
from ndex.events import Event, TaskDone

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a process cannot send Ctrl-C to another one alone on Windows")

TASKS = 8
FREE = 3
"""Tasks that are done before the others are held back."""
VOXELS = np.random.default_rng(4).integers(1, 255, (TASKS * 16, 5, 6), np.uint8)
WORKERS = {"serial": 1, "threads": 2, "processes": 2}
INT, TERM = signal.SIGINT, signal.SIGTERM
CASES = [("serial", TERM), ("threads", INT), ("processes", INT), ("processes", TERM)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NDEX_TEST_HELD", TOKEN)
    tifffile.imwrite(tmp_path / "in.tif", VOXELS, photometric="minisblack")
    return tmp_path


def upload(boss: Held | None, backend: str, channel: str = "em") -> list[str]:
    """Into the embedded BOSS when there is no other."""
    return [
        *(
            "source=stack",
            "source.path=in.tif",
            "verify=none",
            f"parallel={backend}",
            *(boss.settings() if boss else []),
        ),
        *(f"parallel.n_jobs={WORKERS[backend]}", "resource.voxel_size=[1,1,1]", "parallel.requests=1"),
        *("resource.collection=c", "resource.experiment=e", f"resource.channel={channel}"),
    ]


def nobody_left(here: Path) -> bool:
    """Whether no process of the command is left: no worker, no server. They are given the time to end."""
    others = [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(here)]
    return not psutil.wait_procs([process for process in others if process.pid != os.getpid()], timeout=5)[1]


def run_again(boss: Held, here: Path, job: list[str], done: int) -> None:
    """The same command again transfers exactly what is missing, and what is there then is the source."""
    boss.go.set()
    before = boss.writes
    result = ndex.run(ndex.compose(None, *job))
    assert (result.exit_code, result.resumed, result.done) == (0, done, TASKS - done)
    assert boss.writes - before == TASKS - done
    back = ["destination=stack", "destination.path=back.tif", *boss.settings(), *job[-3:]]
    assert ndex.run(ndex.compose(None, *back)).exit_code == 0
    assert np.array_equal(tifffile.imread(here / "back.tif"), VOXELS)


@pytest.mark.parametrize(("backend", "number"), CASES)
def test_the_first_lets_tasks_finish(backend: str, number: int, here: Path) -> None:
    with holding(here / "boss", FREE) as boss, Command(here, *upload(boss, backend)) as command:
        boss.wait_for(WORKERS[backend])
        command.until_done(FREE)
        command.interrupt(number)
        command.until("Note", "Interrupted")
        boss.go.set()
        assert command.ended() == (130, "")
        done = FREE + WORKERS[backend]
        assert (command.result["exit_code"], command.result["done"]) == (130, done)
        assert len(named(command.events, "TaskDone")) == done
        assert nobody_left(here)
        run_again(boss, here, upload(boss, backend), done)


@pytest.mark.parametrize(("backend", "number"), CASES)
def test_the_second_aborts(backend: str, number: int, here: Path) -> None:
    with holding(here / "boss", FREE) as boss, Command(here, *upload(boss, backend)) as command:
        boss.wait_for(WORKERS[backend])
        command.until_done(FREE)
        command.interrupt(number)
        command.until("Note", "Interrupted")
        command.interrupt(number)
        assert command.ended(within=10) == (130, f"ndex: interrupted; go on with: {command.typed}\n")
        assert nobody_left(here)
        run_again(boss, here, upload(boss, backend), FREE)


@pytest.mark.parametrize("backend", ["serial", "threads"])
def test_waiting_for_another_attempt(backend: str, here: Path) -> None:
    with holding(here / "boss", FREE) as boss, Command(here, *upload(boss, backend)) as command:
        boss.wait_for(WORKERS[backend])
        command.until_done(FREE)
        boss.busy = True
        boss.go.set()
        command.interrupt()
        command.until("Note", "Interrupted")
        command.interrupt()
        assert command.ended(within=10)[0] == 130
        boss.busy = False
        run_again(boss, here, upload(boss, backend), FREE)


def test_many_requests_that_nobody_answers(here: Path) -> None:
    """Of one task, by threads of their own."""
    tifffile.imwrite(here / "in.tif", np.ones((16, 5, 5000), np.uint8), photometric="minisblack")
    with (
        holding(here / "boss", 0) as boss,
        Command(here, *upload(boss, "serial"), "blocks.x=512", "parallel.requests=4") as command,
    ):
        boss.wait_for(4)
        command.interrupt()
        command.until("Note", "Interrupted")
        command.interrupt()
        assert command.ended(within=10) == (130, f"ndex: interrupted; go on with: {command.typed}\n")


@pytest.mark.parametrize("backend", ["processes"])
def test_a_signal_to_every_process_of_the_job(backend: str, here: Path) -> None:
    """As a batch system may send it: workers and the embedded server leave it to the job."""
    job = [*upload(None, backend), "boss.root=root"]
    with Command(here, *job) as command:
        command.until("TaskDone")
        for process in [*psutil.Process(command.process.pid).children(recursive=True), command.process]:
            process.send_signal(signal.SIGTERM)
        assert command.ended() == (130, "")
        assert nobody_left(here)
    done = command.result["done"]
    assert command.result["failed"] == []
    assert len(list((here / "root").rglob("*.blosc"))) == done
    result = ndex.run(ndex.compose(None, *job))
    assert (result.exit_code, result.resumed, result.done) == (0, done, TASKS - done)


def test_the_embedded_server_ends_with_a_job_that_is_aborted(here: Path) -> None:
    job = [*upload(None, "serial"), "boss.root=root"]
    with Command(here, *job) as command:
        command.until("TaskDone")
        command.interrupt()
        command.interrupt()
        assert command.ended()[0] == 130
        assert nobody_left(here)
    assert ndex.run(ndex.compose(None, *job)).exit_code == 0


def test_from_python_no_signal_is_needed(here: Path) -> None:
    with holding(here / "boss", TASKS) as boss:
        stop = threading.Event()

        def listen(event: Event) -> None:
            if isinstance(event, TaskDone):
                stop.set()

        job = ndex.compose(None, *upload(boss, "serial"))
        result = ndex.run(job, [listen], stop)
        assert (result.exit_code, result.done) == (130, 1)
        run_again(boss, here, upload(boss, "serial"), 1)


def test_a_sweep_stops(here: Path) -> None:
    with holding(here / "boss", TASKS + FREE) as boss, Command(
        here, "-m", *upload(boss, "serial")[:-1], "resource.channel=a,b,c"
    ) as command:  # fmt: skip
        boss.wait_for(1)
        command.interrupt()
        command.until("Note", "Interrupted")
        boss.go.set()
        assert command.ended()[0] == 130
        table = [line.split()[:4] for line in command.lines[-4:-1]]
        assert [row[0] for row in table] == ["#", "0", "1"]
        assert [row[2] for row in table[1:]] == ["done", "interrupted"]
        assert nobody_left(here)
        run_again(boss, here, upload(boss, "serial", "b"), FREE + 1)


@pytest.mark.parametrize(("twice", "number"), [(False, INT), (False, TERM), (True, INT)])
def test_a_sweep_in_other_processes_stops(twice: bool, number: int, here: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    with holding(here / "boss", 0) as boss:
        for channel in ("a", "b"):
            assert ndex.run(ndex.compose(None, *upload(boss, "serial", channel), "action=create")).exit_code == 0
        sweep = ["-m", *upload(boss, "serial")[:-1], "resource.channel=a,b,c"]
        with Command(here, *sweep, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2") as command:
            boss.wait_for(2)
            command.interrupt(number)
            for _ in range(2):
                command.until("Note", "Interrupted")
            if twice:
                command.interrupt(number)
            else:
                boss.go.set()
            code, err = command.ended(within=10)
            assert code == 130, err
            assert "Traceback" not in err
            assert nobody_left(here)
            if not twice:
                rows = [line.split() for line in command.lines[-4:-1]]
                assert [row[2] for row in rows[1:]] == ["interrupted", "interrupted"]
        run_again(boss, here, upload(boss, "serial", "a"), 0 if twice else 1)
