"""The time that a plan tells: the model by itself, and against runs over lines of known latency and bandwidth."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.volumes import write

import ndex.expected as model
from ndex import run
from ndex.boss.flow import Line
from ndex.events import Event, Result, Started
from ndex.expected import ASSUMED, BESIDE, expected
from ndex.geometry import Box, Vec
from ndex.job import Blocks, Boss, End, Expected, Job, Parallel, Rate, Resource, Shard
from ndex.planner import make_plan
from ndex.plans import Plan
from ndex.runner import plan_of
from ndex.stores.boss.settings import Destination as ToBoss
from ndex.stores.boss.settings import Source as FromBoss
from ndex.stores.images.settings import Destination as ToImages
from ndex.stores.images.settings import Source as FromImages
from ndex.volume import Facts, Layout

CUBOID = Vec(512, 512, 16)
UP, DOWN = ("images", "boss"), ("boss", "images")
MB = 10**6
MANY = 2**16
"""Cores that are always enough."""


def job_of(ends: tuple[str, str] = UP, **changes: Any) -> Job:
    """A job with two workers, unless the changes say otherwise."""
    given = {"parallel": Parallel(n_jobs=2), "verify": "none", **changes}
    return Job(boss=Boss(host="boss.example"), source=End(kind=ends[0]), destination=End(kind=ends[1]), **given)


def planned(job: Job, size: tuple[int, int, int] = (8192, 8192, 64)) -> Plan:
    box = Box.at(Vec(0, 0, 0), Vec(*size))
    grid = CUBOID if job.source.kind == "boss" else None
    layout = Layout(planes=True) if job.destination.kind == "images" else Layout(grid=CUBOID)
    return make_plan(job, Facts("a", "b", box, np.dtype("uint8"), grid=grid), "c", layout, np.dtype("uint8"))


def seconds(ends: tuple[str, str], size: tuple[int, int, int] = (8192, 8192, 64), **given: Any) -> float:
    job = job_of(ends, plan=Expected(**given))
    return expected(job, planned(job, size), 0, None).seconds


SIZES = [(2048, 2048, 64), (4096, 4096, 64), (30000, 20000, 3000)]
SLACK = 1.05
"""How many requests are tried under way may turn out otherwise when one of them takes longer."""


@pytest.mark.parametrize("ends", [UP, DOWN])
@pytest.mark.parametrize("size", SIZES)
def test_a_worse_line_takes_longer(ends: tuple[str, str], size: tuple[int, int, int]) -> None:
    by_latency = [seconds(ends, size, latency=latency, bandwidth=200 * MB) for latency in (0, 0.1, 1, 10)]
    assert all(a <= b * SLACK for a, b in pairwise(by_latency))
    by_bandwidth = [seconds(ends, size, latency=0.1, bandwidth=width * MB) for width in (2000, 100, 10, 1)]
    assert all(a <= b * SLACK for a, b in pairwise(by_bandwidth))


@pytest.mark.parametrize("ends", [UP, DOWN])
@pytest.mark.parametrize("size", SIZES)
def test_more_workers_are_not_slower(ends: tuple[str, str], size: tuple[int, int, int]) -> None:
    by_workers = [seconds(ends, size, latency=0.3, bandwidth=1000 * MB, workers=n) for n in (1, 2, 8, 64, 1024)]
    assert all(a * SLACK >= b for a, b in pairwise(by_workers))


@pytest.mark.parametrize("ends", [UP, DOWN])
def test_a_narrow_line_needs_the_time_of_its_bytes(ends: tuple[str, str]) -> None:
    nbytes = 8192 * 8192 * 64 * (0.88 if ends == UP else 1)
    assert seconds(ends, latency=0.01, bandwidth=MB) == pytest.approx(nbytes / MB, rel=0.05)


@pytest.mark.parametrize("ends", [UP, DOWN])
def test_one_request_after_the_other_needs_the_time_of_each(ends: tuple[str, str]) -> None:
    job = job_of(ends, parallel=Parallel(backend="serial", requests=1), plan=Expected(latency=100, bandwidth=10**12))
    plan = planned(job)
    assert plan.requests == 64 * 4
    assert expected(job, plan, 0, None).seconds == pytest.approx(256 * 100, rel=0.01)


@pytest.mark.parametrize("ends", [UP, DOWN])
def test_a_task_ends_when_all_of_it_has_arrived(ends: tuple[str, str]) -> None:
    job = job_of(ends, parallel=Parallel(n_jobs=1), plan=Expected(latency=100, bandwidth=10**12))
    plan = planned(job, (512, 512, 16 * 20))
    assert (len(plan), plan.requests) == (20, 20)
    assert expected(job, plan, 0, None).seconds == pytest.approx(20 * 100, rel=0.01)


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_bands_are_read_ahead(ahead: int) -> None:
    job = job_of(DOWN, parallel=Parallel(n_jobs=1), plan=Expected(latency=100, bandwidth=10**12))
    plan = planned(job, (512, 512 * 12, 16))
    narrow = replace(plan, cut=replace(plan.cut, rows=512, block=CUBOID), ahead=ahead)
    assert (len(narrow), narrow.requests) == (1, 12)
    assert expected(job, narrow, 0, None).seconds == pytest.approx(12 / max(1, ahead) * 100, rel=0.01)


@pytest.mark.parametrize("ends", [UP, DOWN])
def test_a_task_has_no_more_requests_under_way_than_it_may(ends: tuple[str, str]) -> None:
    parallel = Parallel(n_jobs=2, requests=4)
    blocks = Blocks(512, 512, 16)
    job = job_of(ends, parallel=parallel, blocks=blocks, plan=Expected(latency=100, bandwidth=10**12))
    plan = planned(job, (4096, 4096, 16))
    one = replace(plan, cut=replace(plan.cut, step=plan.box.size, rows=4096), ahead=0)
    assert (len(one), one.requests) == (1, 64)
    assert expected(job, one, 0, None).seconds == pytest.approx(64 / 4 * 100, rel=0.01)


@pytest.mark.parametrize("ends", [UP, DOWN])
@pytest.mark.parametrize(
    ("latency", "bandwidth", "workers", "verify"),
    [(0.3, 500 * MB, 4, "none"), (0.02, 50 * MB, 2, "none"), (0.1, 2000 * MB, 16, "sample"), (0.1, 50 * MB, 4, "full")],
)
def test_what_goes_on_as_it_began_takes_as_long_as_when_all_is_simulated(
    ends: tuple[str, str], latency: float, bandwidth: Any, workers: int, verify: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: MANY)
    memory: Any = 1 << 34
    job = job_of(
        ends,
        plan=Expected(latency, bandwidth),
        verify=verify,
        parallel=Parallel(n_jobs=workers, memory=memory),
        blocks=Blocks(512, 512, 16),
    )
    plan = planned(job, (4096, 2048, 512))
    monkeypatch.setattr(model, "EXACT", plan.requests)
    exact = expected(job, plan, 0, None).seconds
    monkeypatch.setattr(model, "EXACT", 0)
    assert expected(job, plan, 0, None).seconds == pytest.approx(exact, rel=0.15)


@pytest.mark.parametrize("ends", [UP, DOWN])
@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_petavoxel_for_a_thousand_workers_is_answered_at_once(ends: tuple[str, str], backend: Any) -> None:
    job = job_of(ends, plan=Expected(0.1, 100_000 * MB, 1000), parallel=Parallel(backend), verify="sample")  # type: ignore[arg-type]
    begin = time.process_time()
    plan = planned(job, (200_000, 200_000, 25_000))
    found = expected(job, plan, 0, None)
    assert time.process_time() - begin < 1
    assert plan.voxels == 10**15
    assert 10**15 * 0.88 / 100_000 / MB < found.seconds < 10**6
    assert found.bottleneck


@pytest.mark.parametrize(
    ("limit", "given", "changes"),
    [
        ("the bandwidth of the line", {"latency": 0.05, "bandwidth": 5 * MB}, {}),
        ("latency; more workers", {"latency": 5, "bandwidth": 10**11}, {"parallel": Parallel(n_jobs=2, requests=64)}),
        ("latency; a larger parallel.requests", {"latency": 5, "bandwidth": 10**11},
         {"parallel": Parallel(n_jobs=2, requests=2)}),
        ("the cores", {"latency": 0.0, "bandwidth": 10**11}, {}),
        ("the number of tasks", {"latency": 0.3, "bandwidth": 10**11, "workers": 1000}, {}),
        ("parallel.rate", {"latency": 0.1, "bandwidth": 10**11}, {"parallel": Parallel(rate=Rate(requests=1))}),
    ],
)  # fmt: skip
def test_what_limits_it_is_named(
    limit: str, given: dict[str, Any], changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    job = job_of(plan=Expected(**given), **changes)
    assert expected(job, planned(job), 0, None).bottleneck.startswith(limit)


def test_a_rate_is_kept() -> None:
    job = job_of(parallel=Parallel(rate=Rate(requests=0.5)))
    plan = planned(job)
    assert expected(job, plan, 0, None).seconds == pytest.approx(plan.requests * 2, rel=0.01)


def test_what_is_done_takes_no_time() -> None:
    job = job_of()
    plan = planned(job)
    whole, half, none = (expected(job, plan, done, None) for done in (0, len(plan) // 2, len(plan)))
    assert half.seconds == pytest.approx(whole.seconds / 2, rel=0.2)
    assert (none.seconds, none.bottleneck) == (0, "")


def test_shards_work_at_the_same_time() -> None:
    line = {"latency": 1.0, "bandwidth": 10**10}
    one, four = (job_of(plan=Expected(**line), shard=Shard(0, count)) for count in (1, 4))  # type: ignore[arg-type]
    alone, together = (expected(job, planned(job, (8192, 8192, 512)), 0, None) for job in (one, four))
    assert (alone.workers, together.workers) == (2, 8)
    assert together.seconds == pytest.approx(alone.seconds / 4, rel=0.2)


def test_the_line_is_given_or_measured_or_assumed() -> None:
    job, seen = job_of(), Line(0.2, 30.0 * MB)
    plan = planned(job)
    assert expected(job, plan, 0, None).line == ASSUMED
    found = expected(replace(job, plan=Expected(bandwidth=10 * MB)), plan, 0, seen)  # type: ignore[arg-type]
    assert (found.line, found.known) == (Line(0.2, 10 * MB), {"latency": "measured", "bandwidth": "given"})
    embedded = replace(job, boss=Boss(root=Path("boss")))
    assert expected(embedded, plan, 0, None).line == BESIDE
    between_files = job_of(("images", "images"))
    assert expected(between_files, planned(between_files), 0, None).line is None


LINES = [(0.1, 50 * MB, 1), (0.3, 50 * MB, 4), (0.1, 20 * MB, 2)]
BARE = Path(__file__).parent / "benchmarks" / "bare.py"


@contextmanager
def server(latency: float, bandwidth: int) -> Iterator[Boss]:
    command = [sys.executable, str(BARE), "--latency", str(latency), "--bandwidth", str(bandwidth)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Boss(host=f"127.0.0.1:{process.stdout.readline().strip()}", protocol="http", token_env="TOKEN")
        process.communicate()


def measured(job: Job) -> float:
    """Seconds from the first task to the end."""
    begun = []

    def note(event: Event) -> None:
        if isinstance(event, Started | Result):
            begun.append(time.monotonic())

    assert run(job, [note]).exit_code == 0
    return begun[1] - begun[0]


def compare(job: Job, folder: Path) -> tuple[float, float]:
    """Seconds forecast and measured. What else the machine does can only slow a run down, so it has three tries."""
    forecast = expected(job, plan_of(job), 0, None).seconds
    for number in range(3):
        found = measured(replace(job, journal=folder / f"journal{number}", destination=_anew(job, folder, number)))
        if abs(forecast - found) <= 0.25 * found:
            break
    return forecast, found


def _anew(job: Job, folder: Path, number: int) -> End:
    end = job.destination
    return replace(end, path=str(folder / f"planes{number}")) if isinstance(end, ToImages) else end


@pytest.mark.parametrize(("latency", "bandwidth", "workers"), LINES)
def test_a_run_takes_as_long_as_its_plan_says(
    latency: float,
    bandwidth: int,
    workers: int,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN", "t")
    planes = write(tmp_path_factory.getbasetemp(), "tif", 512, 64)
    with server(latency, bandwidth) as boss:
        upload = Job(
            boss=boss,
            resource=Resource("c", "e", "em", voxel_size=(4, 4, 40)),
            source=FromImages(path=str(planes), pattern="p_%04d.tif"),
            destination=ToBoss(),
            blocks=Blocks(128, 128, 16),
            parallel=Parallel(n_jobs=workers),
            plan=Expected(latency, bandwidth),  # type: ignore[arg-type]  # a plain int will do
            verify="none",
            journal=tmp_path / "journal",
        )
        forecast, found = compare(upload, tmp_path / "up")
        assert forecast == pytest.approx(found, rel=0.25)
        down = replace(
            upload, source=FromBoss(), destination=ToImages(path=str(tmp_path / "planes"), compression="none")
        )
        forecast, found = compare(down, tmp_path / "down")
        assert forecast == pytest.approx(found, rel=0.25)
        again = replace(down, plan=Expected(), action="plan", journal=tmp_path / "down" / "journal0")
        facts: dict[str, Any] = run(again).details
        assert facts["known"] == {"latency": "measured", "bandwidth": "measured"}
        assert facts["latency"] == pytest.approx(latency, rel=0.25)
        assert 0.1 * bandwidth < facts["bandwidth"] <= 1.1 * bandwidth
        assert math.isclose(facts["seconds"], found, rel_tol=0.6)
