"""expand_stacks: a stack as image files, one a plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from .draft import Draft
from .options import Options


def draft(arguments: Sequence[str]) -> Draft:
    """The job of a command line. Raises JobError where expand_stacks would have refused it."""
    given = options().read(arguments)
    job = Draft(choices={"source": "stack", "destination": "images"})
    stack = PurePath(given.tiffstack)
    folder = PurePath(given.outpath or stack.with_suffix("")).as_posix()
    job.set("source.path", given.tiffstack)
    if given.split_RGB:
        job.notes.append("One colour a job; all three: ndex -m job=NAME source.band=0,1,2")
        job.set("source.band", 0, "0 red, 1 green, 2 blue")
        folder += "/${source.band}"
    job.set("destination.path", folder)
    job.set("destination.pattern", "%04d.tif")
    if given.datatype:
        job.set("convert.dtype", given.datatype)
        job.set("convert.lossy", True, "as expand_stacks did; false: refuse a cast that could lose values")
    return job


def options() -> Options:
    """What it took."""
    taken = Options("expand_stacks")
    taken.add_argument("tiffstack")
    taken.add_argument("outpath", nargs="?")
    taken.text("datatype")
    taken.flag("split_RGB")
    return taken
