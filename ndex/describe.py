"""What a BOSS says of a resource, or of as much of one as is named: `action: describe`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from .boss.client import BossClient
from .boss.records import Channel, CoordinateFrame, Experiment
from .errors import AccessError, Missing, ServerError
from .job import Described, Job
from .wording import nearest

T = TypeVar("T")
Tree = dict[str, Any]

NOT_READABLE = "not readable with this token"
LONGEST = 400
"""Characters of a list of names in a refusal."""


def describe(job: Job) -> Tree:
    """Collection, experiment, coordinate frame, channel with its levels, and the metadata of all, as nested facts;
    the names of what there is where the job names no more.

    What surrounds the resource may be hidden: a public channel can be seen in a private experiment (boss-api 2.5).
    Raises Missing when something does not exist, AccessError when the resource itself may not be seen.
    """
    assert isinstance(job.source, Described)
    client = BossClient.connect(job.source.boss or job.boss, job.retry).impatient()
    try:
        return _Description(client, job.source).tree()
    finally:
        client.close()


@dataclass(frozen=True)
class _Description:
    client: BossClient
    named: Described

    def tree(self) -> Tree:
        collection, experiment, channel = self.named.collection, self.named.experiment, self.named.channel
        if collection is None:
            return {"host": self.client.host, "collections": self.client.list_collections()}
        facts: Tree = {"host": self.client.host, "collection": self._collection(collection)}
        if experiment is None:
            return facts
        found = self._seen("experiment", partial(self.client.experiment, collection, experiment))
        facts["experiment"] = self._experiment(collection, experiment, found)
        frame = self.client.frame(found.frame) if found else None
        if frame is not None:
            facts["coordinate_frame"] = _frame(frame)
        if channel is not None:
            facts["channel"] = self._channel(collection, experiment, channel, frame)
        return facts

    def _collection(self, name: str) -> Tree:
        found = self._seen("collection", partial(self.client.collection, name))
        if found is None:
            return self._hidden("collection", "experiments", partial(self.client.list_experiments, name))
        experiments = list(found.experiments)
        return {"name": name, "description": found.description, "experiments": experiments, **self._metadata(name)}

    def _experiment(self, collection: str, name: str, found: Experiment | None) -> Tree:
        if found is None:
            return self._hidden("experiment", "channels", partial(self.client.list_channels, collection, name))
        return {
            "name": name,
            "description": found.description,
            "channels": list(found.channels),
            "levels": found.levels,
            "hierarchy": "isotropic" if found.isotropic else "anisotropic",
            "time_samples": found.time_samples,
            **self._metadata(collection, name),
        }

    def _channel(self, collection: str, experiment: str, name: str, frame: CoordinateFrame | None) -> Tree:
        found = self.client.channel(collection, experiment, name)
        if found is None:
            raise self._missing("channel")
        return {
            "name": name,
            "description": found.description,
            "type": found.type,
            "datatype": str(found.dtype),
            "base_resolution": found.base,
            "source_channels": list(found.sources),
            "related_channels": list(found.related),
            "downsampling": found.downsampled,
            "resolutions": self._resolutions(found, frame),
            **self._metadata(collection, experiment, name),
        }

    def _resolutions(self, channel: Channel, frame: CoordinateFrame | None) -> Tree | str:
        """By level. Extents start where the frame does, at every level (boss-api 17): unknown if that is hidden."""
        try:
            told = self.client.downsample_status(channel)
        except AccessError:
            return NOT_READABLE
        starts = frame.box.start if frame else (None, None, None)
        levels = enumerate(zip(told.extents, told.voxel_sizes, strict=True))
        return {
            str(level): {
                "extent": {axis: [a, b] for axis, a, b in zip("xyz", starts, stops, strict=True)},
                "voxel_size": list(size),
                "data": _data_at(level, channel),
            }
            for level, (stops, size) in levels
        }

    def _metadata(self, *path: str) -> Tree:
        """Keys and values; unlike the rest, they are not open to everybody on public resources, and who is anonymous
        gets a 500 for them (boss-api 2.4, 2.5)."""
        try:
            keys = self.client.list_metadata(*path)
            return {"metadata": {key: self.client.get_metadata(key, *path) for key in keys}}
        except (AccessError, ServerError):
            return {"metadata": NOT_READABLE}

    def _seen(self, kind: str, get: Callable[[], T | None]) -> T | None:
        """What exists; None when it may not be read. Raises Missing when it does not exist."""
        try:
            found = get()
        except AccessError:
            return None
        if found is None:
            raise self._missing(kind)
        return found

    def _hidden(self, kind: str, inside: str, names: Callable[[], list[str]]) -> Tree:
        """What may not be read, with those in it that may. Raises AccessError when nothing that is named can be."""
        visible = names()
        is_last = self.named.channel is None and (kind == "experiment" or self.named.experiment is None)
        if is_last and not visible:
            raise AccessError(
                f"resource.{kind}={self._name(kind)}: this token may not read it, nor anything in it. "
                f"Ask for permission on {self.client.host}, or use another token."
            )
        return {"name": self._name(kind), "access": NOT_READABLE, inside: visible}

    def _missing(self, kind: str) -> Missing:
        """With what there is instead."""
        collection, experiment = self.named.collection or "", self.named.experiment or ""
        inside: dict[str, tuple[str, Callable[[], list[str]]]] = {
            "collection": (self.client.host, self.client.list_collections),
            "experiment": (collection, partial(self.client.list_experiments, collection)),
            "channel": (f"{collection}/{experiment}", partial(self.client.list_channels, collection, experiment)),
        }
        parent, names = inside[kind]
        others = nearest(self._name(kind), names())
        told = others if len(others) <= LONGEST else "."
        return Missing(f"resource.{kind}={self._name(kind)}: {parent} has no such {kind}{told or '.'}")

    def _name(self, kind: str) -> str:
        return str(getattr(self.named, kind))


def _data_at(level: int, channel: Channel) -> str:
    """Whether a resolution can be read."""
    if level == channel.base:
        return "as uploaded"
    if level < channel.base:
        return "none"
    return "computed" if channel.downsampled == "DOWNSAMPLED" else "not computed"


def _frame(frame: CoordinateFrame) -> Tree:
    box = frame.box
    return {
        "name": frame.name,
        "description": frame.description,
        "extent": {"x": list(box.x), "y": list(box.y), "z": list(box.z)},
        "voxel_size": list(frame.voxel_size),
        "voxel_unit": frame.voxel_unit,
    }
