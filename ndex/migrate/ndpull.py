"""ndpull: a part of a channel as image files."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import PurePath

from ..errors import JobError
from .draft import Draft
from .options import Options


def draft(arguments: Sequence[str]) -> Draft:
    """The job of a command line. Raises JobError where ndpull would have refused it."""
    given = options().read(arguments)
    job = Draft()
    job.reach(given.url, given.config_file)
    if given.token is not None:
        job.notes.append("The token stays out of this file: put it into the environment variable BOSS_TOKEN.")
    for name in ("collection", "experiment", "channel"):
        job.set(f"resource.{name}", getattr(given, name) or "???")
    if given.print_metadata:
        job.set("action", "describe")
        return job
    job.set("resource.resolution", given.res or None)
    job.set("resource.iso", given.iso or None)
    _extent(job, given)
    _output(job, given)
    if given.force_datatype:
        job.set("convert.dtype", given.force_datatype)
        job.set("convert.lossy", True, "as ndpull did; false: refuse a cast that could lose values")
    job.set("parallel.n_jobs", given.threads, "workers, --threads of ndpull")
    return job


def options() -> Options:
    """What it took."""
    taken = Options("ndpull")
    taken.text("config_file", "token", "url", "collection", "experiment", "channel")
    taken.pair("x", "y", "z")
    taken.whole("res", "threads")
    taken.text("outdir", "stack_filename", "force_datatype")
    taken.flag("full_extent", "print_metadata", "iso")
    return taken


def _extent(job: Draft, given: Namespace) -> None:
    axes = {axis: getattr(given, axis) for axis in "xyz"}
    if given.full_extent and any(axes.values()):
        raise JobError("ndpull: --full_extent goes with none of --x, --y and --z")
    for axis, interval in axes.items():
        job.set(f"extent.{axis}", interval)
    if not all(axes.values()) and not given.full_extent:
        job.notes.append("Axes that extent does not name are transferred whole.")


def _output(job: Draft, given: Namespace) -> None:
    folder = given.outdir or "."
    if given.stack_filename:
        job.choices["destination"] = "stack"
        job.set("destination.path", PurePath(folder, given.stack_filename).as_posix())
        job.set("destination.overwrite", True, "as ndpull did; false: an existing file is an error")
    else:
        job.choices["destination"] = "images"
        job.set("destination.path", folder, "the names of the files are as ndpull gave them")
