"""Workers of a Dask cluster: those of a site, which die and serve others too, and those of one run."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask_cluster
import numpy as np
import psutil
import pytest
import tifffile
from dask_cluster import Cluster
from distributed import Client, LocalCluster
from held_boss import TOKEN, Command, Held, holding, named

import ndex
from ndex import cluster as clusters
from ndex import guest, transfer
from ndex.__main__ import main
from ndex.errors import JobError
from ndex.events import Event, Result, TaskDone
from ndex.job import Job
from ndex.server.app import App

TASKS = 8
QUIET = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}
VOXELS = np.random.default_rng(4).integers(1, 255, (TASKS * 16, 5, 6), np.uint8)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with dask_cluster.running(tmp_path_factory.mktemp("site"), "a", "b") as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("NDEX_TEST_HELD", raising=False)
    tifffile.imwrite("in.tif", VOXELS, photometric="minisblack")
    return tmp_path / "here"


def upload(boss: Held | None, *more: str) -> list[str]:
    """Into the embedded BOSS when there is no other. With relative paths, which mean nothing to workers."""
    names = ["resource.collection=c", "resource.experiment=e", "resource.channel=em", "resource.voxel_size=[1,1,1]"]
    return [
        *("source=stack", "source.path=in.tif", "verify=none", "parallel=dask", "parallel.requests=1"),
        *(boss.settings() if boss else []), *names, *more,
    ]  # fmt: skip


def on(cluster: Cluster, token: Path | str) -> list[str]:
    """The workers of a site take the token from a file."""
    return [f"parallel.address={cluster.address}", f"boss.token_file={token}"]


def secret(here: Path, token: str = TOKEN) -> Path:
    path = here.parent / "token"
    path.write_text(token)
    return path


def stored(boss: Held, *more: str) -> np.ndarray:
    job = [*upload(boss, *more, "parallel=serial"), "source=boss", "destination=stack", "destination.path=back.tif"]
    result = ndex.run(ndex.compose(None, *job[2:]))
    assert result.exit_code == 0, result
    return tifffile.imread("back.tif")


def nothing_left(cluster: Cluster) -> bool:
    """Whether no worker has an end open."""
    with Client(cluster.address, set_as_default=False) as client:
        return set(client.run(eval, "len(__import__('ndex.transfer').transfer._opened)").values()) == {0}


class Running:
    """A job in a thread, so that the test can script what happens meanwhile."""

    def __init__(self, job: Job) -> None:
        self.done: list[int] = []
        self._pool = ThreadPoolExecutor(1)
        self._result = self._pool.submit(ndex.run, job, [self._listen])

    def _listen(self, event: Event) -> None:
        if isinstance(event, TaskDone):
            self.done.append(event.index)

    def result(self) -> Result:
        with self._pool:
            return self._result.result(dask_cluster.PATIENCE)


def test_a_worker_that_goes_costs_what_it_had(cluster: Cluster, here: Path) -> None:
    """One is killed, another is told to end."""
    cluster.hire("victim", "leaver")
    with holding(here.parent / "boss", 2) as boss:
        job = ndex.compose(None, *upload(boss, *on(cluster, secret(here))))
        running = Running(job)
        boss.wait_for(4)
        cluster.workers["victim"].kill()
        cluster.workers["leaver"].terminate()
        boss.go.set()
        result = running.result()
        cluster.kill("victim")
        cluster.kill("leaver")
        assert (result.exit_code, result.done, result.failed) == (0, TASKS, ())
        assert sorted(running.done) == list(range(TASKS))
        assert TASKS + 1 <= boss.writes <= TASKS + 2
        assert np.array_equal(stored(boss, f"boss.token_file={secret(here)}"), VOXELS)
        again = ndex.run(job)
        assert (again.exit_code, again.resumed, again.done) == (0, TASKS, 0)
        assert nothing_left(cluster)


def test_the_token_does_not_travel(cluster: Cluster, here: Path) -> None:
    with holding(here.parent / "boss", TASKS) as boss, dask_cluster.overheard(cluster.address) as (address, heard):
        job = [*upload(boss, *on(cluster, secret(here))), f"parallel.address={address}", "verify=full"]
        assert ndex.run(ndex.compose(None, *job)).exit_code == 0
    everything = b"".join(heard)
    assert b"NDEX_TEST_HELD" in everything  # the settings are there to be seen
    assert TOKEN.encode() not in everything
    assert TOKEN.encode() not in cluster.said


def test_the_next_run_has_the_next_token(cluster: Cluster, here: Path) -> None:
    """The same job, by its scheduler file; the first token is not taken any more."""
    with holding(here.parent / "boss", 2 * TASKS) as boss:
        given = [f"parallel.address={os.path.relpath(cluster.file)}", f"boss.token_file={secret(here)}"]
        job = upload(boss, *given)
        assert ndex.run(ndex.compose(None, *job)).exit_code == 0
        with Client(cluster.address, set_as_default=False) as client:  # a run that was killed leaves its ends open
            verify = ndex.compose(None, *job, "action=verify")
            client.run(transfer.compare, verify, ndex.plan(verify), (0, None))
        assert not nothing_left(cluster)
        boss.app.close()
        boss.app = App(here.parent / "boss", "another-token")
        secret(here, "another-token")
        result = ndex.run(ndex.compose(None, *job, "action=verify"))
        assert (result.exit_code, result.verified) == (0, TASKS)
        assert nothing_left(cluster)


def test_a_worker_with_another_ndex(cluster: Cluster, here: Path, tmp_path: Path) -> None:
    (tmp_path / "ndex").mkdir()
    (tmp_path / "ndex" / "__init__.py").write_text("__version__ = '1.0'")
    cluster.hire("old", path=tmp_path)
    with holding(here.parent / "boss", 0) as boss:
        job = ndex.compose(None, *upload(boss, *on(cluster, secret(here))))
        with pytest.raises(JobError, match=r"parallel\.address=tcp.*the worker tcp://.* needs ndex .*, and has none"):
            ndex.run(job)
        assert boss.writes == 0
    cluster.kill("old")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://127.0.0.1:1", r"no Dask scheduler answers there"),
        ("127.0.0.1", r"no Dask scheduler answers there"),
        ("carrier-pigeon://here", r"no Dask scheduler answers there"),
        ("nowhere/scheduler.json", r"this is no scheduler file"),
        ("in.tif", r"this is no scheduler file"),
    ],
)
def test_nobody_at_the_address(
    address: str, said: str, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clusters, "CONNECT_TIMEOUT", 0.5)
    settings = ["boss=custom", "boss.host=127.0.0.1:1", "boss.protocol=http"]
    assert main([*upload(None), *settings, f"parallel.address={address}"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(rf"parallel\.address={re.escape(address)}: {said}", line)


def test_a_cluster_without_workers(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "FIRST_WORKER", 0.1)
    with LocalCluster(n_workers=0, processes=False, protocol="tcp", **QUIET) as empty, holding(here, 0) as boss:
        job = ndex.compose(None, *upload(boss), f"parallel.address={empty.scheduler_address}")
        with pytest.raises(JobError, match="has no worker"):
            ndex.run(job)


def test_the_last_worker_goes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "NEXT_WORKER", 0.2)
    monkeypatch.setattr(clusters, "GLANCE", 0.1)
    monkeypatch.setenv("NDEX_TEST_HELD", TOKEN)
    with (
        holding(here.parent / "boss", 1) as boss,
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", **QUIET) as site,
    ):
        running = Running(ndex.compose(None, *upload(boss), f"parallel.address={site.scheduler_address}"))
        boss.wait_for(1)
        site.scale(0)
        result = running.result()
        boss.go.set()
        assert (result.exit_code, result.done, result.error) == (
            1,
            1,
            "The Dask cluster has had no worker for 0 seconds.",
        )


def test_the_embedded_boss_is_not_for_other_workers(here: Path) -> None:
    with pytest.raises(JobError, match=r"parallel\.address=10\.0\.0\.5:8786: the embedded BOSS serves only workers"):
        ndex.run(ndex.compose(None, *upload(None), "parallel.address=10.0.0.5:8786"))


@pytest.mark.parametrize("library", ["distributed", "cryptography"])
def test_without_dask(
    library: str, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert main(upload(None)) == 2
    assert capfd.readouterr().err.strip().endswith("pip install 'ndex[dask]'")


def nobody_left(here: Path) -> bool:
    """Whether no process of the command is left. They are given the time to end."""
    others = [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(here)]
    return not psutil.wait_procs([process for process in others if process.pid != os.getpid()], timeout=5)[1]


@pytest.mark.skipif(os.name == "nt", reason="a process cannot send Ctrl-C to another one alone on Windows")
@pytest.mark.parametrize("twice", [False, True])
def test_interrupts_on_a_cluster_of_this_machine(twice: bool, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NDEX_TEST_HELD", TOKEN)
    with holding(here.parent / "boss", 3) as boss:
        job = [*upload(boss), "parallel.n_jobs=2"]
        with Command(here, *job) as command:
            boss.wait_for(2)
            command.until_done(3)
            command.interrupt()
            command.until("Note", "Interrupted")
            if twice:
                command.interrupt()
            else:
                boss.go.set()
            code, err = command.ended()
            assert (code, err.count("\n")) == (130, 1 if twice else 0), err
            assert nobody_left(here)
        assert len(named(command.events, "TaskDone")) == (3 if twice else 5)
        boss.go.set()
        result = ndex.run(ndex.compose(None, *job, "parallel=serial"))
        assert (result.exit_code, result.resumed + result.done) == (0, TASKS)


def test_a_cluster_of_this_machine_with_the_embedded_boss(here: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    result = ndex.run(ndex.compose(None, *upload(None), "parallel.n_jobs=2", "verify=full"))
    assert (result.exit_code, result.done, result.verified) == (0, TASKS, TASKS)
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [child for child in left if "resource_tracker" not in " ".join(child.cmdline())]


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Counter[Job]:
    """How often the ends of a job were closed in this process."""
    closed: Counter[Job] = Counter()
    monkeypatch.setattr(guest, "close_ends", lambda job: closed.update([job]))
    return closed


def test_a_guest_that_was_forgotten_leaves_by_itself(
    ends: Counter[Job], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent was killed, and says nothing."""
    monkeypatch.setattr(guest, "LINGER", 0.01)
    job = ndex.compose(None, *upload(None))
    assert guest.visit(job, guest.VERSION, 1, str, 7, 8) == (7, "8")
    guest._farewells[job].join()
    assert ends == {job: 1}


def test_a_guest_does_not_leave_while_it_works(ends: Counter[Job], here: Path) -> None:
    job = ndex.compose(None, *upload(None))
    guest.visit(job, guest.VERSION, 1, lambda item: guest.leave(job), 0, 0)
    assert not ends
    guest.leave(job)
    assert ends == {job: 1}
    assert job not in guest._farewells


def test_a_worker_that_came_later_with_another_version(here: Path) -> None:
    with pytest.raises(JobError, match=r"it has ndex .*, and the job is run by ndex 1\.0"):
        guest.visit(ndex.compose(None, *upload(None)), "1.0", 1, str, 0, 0)
