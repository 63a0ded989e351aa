"""The kinds of places that ndex can read from and write to, and how one is opened.

A kind is one module here, named in `KINDS`. It defines `Source` and/or `Destination`, frozen dataclasses of settings
(the keys of `conf/source/<choice>.yaml` and `conf/destination/<choice>.yaml`) derived from `ndex.job.End`, and for
each role a store, a Readable or a Writable of `ndex.volume`, opened by `open_source(job)` or `open_destination(job)`.
Constructors do no I/O. A store may be used by several threads at once.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from ..job import End, Job
from ..volume import Readable, Writable

KINDS = ("boss", "images", "render", "s3", "stack", "tiles")


def module_of(kind: str) -> ModuleType:
    """The module of a kind, imported only now: a job pays for the libraries of its own two ends."""
    return importlib.import_module(f".{kind}", __name__)


def settings_of(kind: str, role: str) -> type[End] | None:
    """The settings class of a kind as `source` or `destination`; None when it cannot play that role."""
    return getattr(module_of(kind), role.capitalize(), None)


def open_source(job: Job) -> Readable:
    store: Readable = module_of(job.source.kind).open_source(job)
    return store


def open_destination(job: Job) -> Writable:
    store: Writable = module_of(job.destination.kind).open_destination(job)
    return store
