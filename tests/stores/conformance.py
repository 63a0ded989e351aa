"""What every kind of place must do, and how to set one up: a case for each entry of `ndex.stores.KINDS`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import render_ws
import s3_server
import tile_trees

from ndex.geometry import ORIGIN, Box, Span, Tiling, Vec
from ndex.job import Boss, End, Job, Resource, Retry
from ndex.server.process import TOKEN_ENV, running
from ndex.stores import boss, images, open_destination, render, s3, stack
from ndex.volume import Array, Volume, Writable

BOX = Box.of((0, 530), (0, 40), (10, 40))
"""Crosses cuboids along x and z, and ends inside them."""
TASK = Vec(512, 512, 16)
"""On the grid of a BOSS; planes have their full width instead."""
ROWS = 16
"""Of a band of a task."""


@dataclass(frozen=True)
class Case:
    """How to get at one kind."""

    places: Callable[[Path], AbstractContextManager[Callable[[], Job]]]
    """Given an empty folder: a function that makes jobs whose two ends are one place, which is new and empty."""
    of_one_job: bool = True
    """What another job has written is refused, and each task is known to be there or not. A BOSS is for all jobs, and
    what was written stays as long as the channel does."""
    files: Callable[[Job], list[Path]] | None = None
    """What a place consists of on this machine, to be damaged; None where it is elsewhere."""


def _numbered_jobs(settings: Callable[[str], tuple[End, End]], reach: Boss) -> Callable[[], Job]:
    numbers = itertools.count()

    def make() -> Job:
        name = f"place{next(numbers)}"
        source, destination = settings(name)
        resource = Resource(collection="conformance", experiment="all", channel=name, voxel_size=(1, 1, 1))
        return Job(
            name=name,
            boss=reach,
            resource=resource,
            source=source,
            destination=destination,
            retry=Retry(attempts=2, wait=0, max_wait=0),
        )

    return make


@contextmanager
def _boss(folder: Path) -> Iterator[Callable[[], Job]]:
    with running(folder) as host:
        reach = Boss(host=host, protocol="http", token_env=TOKEN_ENV, root=folder)
        yield _numbered_jobs(lambda name: (boss.Source(), boss.Destination()), reach)


@contextmanager
def _images(folder: Path) -> Iterator[Callable[[], Job]]:
    def settings(name: str) -> tuple[End, End]:
        path, pattern = str(folder / "{channel}"), "{channel}_%04d.tif"
        return images.Source(path=path, pattern=pattern), images.Destination(path=path, pattern=pattern)

    yield _numbered_jobs(settings, Boss(host="nowhere"))


@contextmanager
def _s3(folder: Path) -> Iterator[Callable[[], Job]]:
    keys = {
        "path": f"s3://{s3_server.new_bucket('conformance')}/{{channel}}",
        "pattern": "{channel}_%04d.tif",
        "endpoint_url": s3_server.endpoint(),
    }
    yield _numbered_jobs(lambda name: (s3.Source(**keys), s3.Destination(**keys)), Boss(host="nowhere"))


@contextmanager
def _stack(folder: Path) -> Iterator[Callable[[], Job]]:
    path = str(folder / "{channel}.tif")
    yield _numbered_jobs(lambda name: (stack.Source(path=path), stack.Destination(path=path)), Boss(host="nowhere"))


def _files(job: Job) -> list[Path]:
    """The file that is the source, or those in the folder that it is."""
    settings, resource = cast(images.Source | stack.Source, job.source), cast(Resource, job.resource)
    path = Path(settings.path.replace("{channel}", resource.channel))
    return [path] if path.is_file() else sorted(path.iterdir())


CASES = {
    "boss": Case(_boss, of_one_job=False),
    "images": Case(_images, files=_files),
    "s3": Case(_s3),
    "stack": Case(_stack, files=_files),
}


@contextmanager
def _render(folder: Path) -> Iterator[Job]:
    with render_ws.serving(painted=render_ws.painted(voxels("uint8"), BOX)) as service:
        source = render.Source(url=service.url, owner="optics", project="p1", stack="painted")
        yield Job(boss=Boss(host="nowhere"), source=source, destination=images.Destination(path=str(folder)))


@contextmanager
def _tiles(folder: Path) -> Iterator[Job]:
    tile_trees.write_tree(folder, voxels("uint8"), BOX.z.start)
    yield tile_trees.job_of(folder)


READ_ONLY: dict[str, Callable[[Path], AbstractContextManager[Job]]] = {"render": _render, "tiles": _tiles}
"""Kinds that cannot be written. Given an empty folder: a job whose source has `voxels("uint8")` in BOX."""


def case_of(kind: str) -> Case:
    assert kind in CASES, f"write a case for {kind!r} into CASES of {__file__}"
    return CASES[kind]


def read_only(kind: str) -> Callable[[Path], AbstractContextManager[Job]]:
    assert kind in READ_ONLY, f"write a case for {kind!r}, which has no Destination, into READ_ONLY of {__file__}"
    return READ_ONLY[kind]


def voxels(dtype: str, seed: int = 0) -> Array:
    """Something to write: no zeros, which some places leave out, and values that need the whole dtype."""
    random = np.random.default_rng(seed)
    array: Array = random.integers(1, np.iinfo(dtype).max, BOX.shape, dtype, endpoint=True)
    return array


def volume(dtype: str) -> Volume:
    one, block = Span(0, 1), Vec(512, 512, 16)
    return Volume(BOX, np.dtype(dtype), one, timed=False, offset=ORIGIN, stamp="5tamp0123456789a", block=block)


def tasks(store: Writable) -> list[Box]:
    step = Vec(BOX.size.x, BOX.size.y, TASK.z) if store.layout.planes else TASK
    return list(Tiling(BOX, step))


def write_task(store: Writable, task: Box, array: Array, rows: int | None = None, t: int = 0) -> None:
    """Write one task in bands; only the first `rows` rows, if given, and then fail."""
    with store.writer(task, t) as writer:
        for band in Tiling(task, Vec(task.size.x, ROWS, task.size.z), task.start):
            writer.write(band, array[BOX.slices(band)])
            if rows is not None and band.stop.y >= rows:
                raise HalfWay


class HalfWay(Exception):
    """What goes wrong at the other end."""


def prepared(job: Job, dtype: str) -> Writable:
    """The destination of a job, ready to be written to."""
    store = open_destination(job)
    assert store.accepts(np.dtype(dtype)) == np.dtype(dtype)
    store.expect(volume(dtype))
    store.check(volume(dtype))
    store.prepare(volume(dtype))
    return store


def written(job: Job, array: Array) -> Writable:
    """The destination of a job with `array` in it, its tasks written in no particular order."""
    store = prepared(job, str(array.dtype))
    for task in reversed(tasks(store)):
        write_task(store, task, array)
    return finished(store, str(array.dtype))


def finished(store: Writable, dtype: str) -> Writable:
    """The same destination after it was told that all tasks are done."""
    store.finish(volume(dtype), print, lambda seconds: False)
    return store


def odd_boxes(count: int, seed: int = 0) -> list[Box]:
    """A voxel, all, the corners of cuboids, and what comes."""
    random = np.random.default_rng(seed)

    def span(axis: Any) -> list[int]:
        return sorted(int(i) for i in random.choice(np.arange(axis.start, axis.stop + 1), 2, replace=False))

    fixed = [BOX, Box.of((529, 530), (39, 40), (39, 40)), Box.of((511, 513), (15, 17), (15, 17))]
    return fixed + [Box.of(span(BOX.x), span(BOX.y), span(BOX.z)) for _ in range(count)]
