"""kill -9 at any moment: the next run completes, and nothing was counted as done that is not."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import psutil
import pytest
from killed import events_of, killed_after, killed_at_event, started
from proxy import Proxy
from routes import Route, route, uploaded

from ndex import run
from ndex.events import Event, TaskDone
from ndex.job import Boss, Job, Parallel
from ndex.known import known

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")

TASKS = 16
KILLS = 26
"""In each direction."""
LONGEST = 0.4
"""Seconds, drawn from; about what a whole run takes."""


def job_of(made: Route, direction: str, lap: int) -> Job:
    """The same job to another place each time that it has completed."""
    journal = made.folder / f"journal{lap}"
    return (
        made.upload(f"em{lap}", journal=journal) if direction == "up" else made.download(f"out{lap}", journal=journal)
    )


def check(made: Route, direction: str, lap: int) -> set[int]:
    """The tasks that are recorded, all of which are there, voxel by voxel; what is half there has no name."""
    done = {task for folder in (made.folder / f"journal{lap}").glob("*") for task in known(folder).done}
    if direction == "up":
        stored = made.stored(f"em{lap}")
        for task in done:
            part = slice(16 * task, 16 * (task + 1))
            assert np.array_equal(stored[part], made.volume[part])
    else:
        planes = made.planes(f"out{lap}")
        assert all(np.array_equal(plane, made.volume[z]) for z, plane in planes.items())
        assert planes.keys() >= {z for task in done for z in range(16 * task, 16 * (task + 1))}
    return done


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_run_that_is_killed_goes_on(direction: str, proxy: Proxy, folder: Path) -> None:
    made = uploaded(proxy, folder, TASKS)
    draw = random.Random(direction)
    kills = lap = 0
    before: set[int] = set()
    while kills < KILLS or before:
        job = job_of(made, direction, lap)
        at_event = draw.random() < 0.5
        code = killed_at_event(job, draw.randint(1, 5)) if at_event else killed_after(job, draw.uniform(0, LONGEST))
        done = check(made, direction, lap)
        assert done >= before
        before = done
        kills += code is None
        if code is None:
            continue
        assert (code, len(done)) == (0, TASKS)
        if direction == "down":
            assert len(list((folder / f"out{lap}").iterdir())) == 16 * TASKS  # drafts of killed runs are swept away
        before, lap = set(), lap + 1
    assert lap >= 2


def workers() -> list[psutil.Process]:
    """Worker processes of this one."""
    found = psutil.Process().children(recursive=True)
    return [child for child in found if any("popen_loky" in word for word in child.cmdline())]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_workers_that_are_killed_cost_what_they_were_doing(direction: str, proxy: Proxy, folder: Path) -> None:
    made = uploaded(proxy, folder, TASKS, parallel=Parallel("processes", 2))
    draw = random.Random(direction)
    killed: list[int] = []
    seen: list[int] = []

    def kill(event: Event) -> None:
        if isinstance(event, TaskDone):
            seen.append(event.index)
            if len(seen) in (3, 9):
                victim = draw.choice(workers())
                victim.kill()
                killed.append(victim.pid)

    result = run(job_of(made, direction, 0), [kill])
    assert (result.exit_code, result.done, sorted(seen)) == (0, TASKS, list(range(TASKS)))
    assert len(killed) == 2
    assert check(made, direction, 0) == set(range(TASKS))
    assert not workers()
    if direction == "down":
        assert len(list((folder / "out0").iterdir())) == 16 * TASKS


@pytest.mark.parametrize(("direction", "backend"), [("up", "processes"), ("down", "threads")])
def test_nothing_outlives_a_killed_run(direction: str, backend: str, proxy: Proxy, folder: Path) -> None:
    """Neither its workers nor its BOSS, which the next run finds as it was left."""
    made = route(proxy, folder, TASKS, boss=Boss(root=folder / "boss", protocol="http"))
    parallel = Parallel(backend, 2)  # type: ignore[arg-type]  # one of the names
    job = made.upload(parallel=parallel) if direction == "up" else made.download(parallel=parallel)
    if direction == "down":
        assert run(made.upload()).exit_code == 0
    with started(job) as (process, lines):
        next(events_of(lines, "TaskDone"))
        family = psutil.Process(process.pid).children(recursive=True)
        assert sum("ndex.server" in child.cmdline() for child in family) == 1
        process.kill()
        _, alive = psutil.wait_procs(family, timeout=30)
        assert not alive
    result = run(job)
    assert result.exit_code == 0
    assert 1 <= result.resumed < TASKS
    assert direction == "down" or run(made.download()).exit_code == 0
    assert np.array_equal(made.back(), made.volume)
