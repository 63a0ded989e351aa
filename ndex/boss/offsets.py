"""How far the coordinates of an experiment are shifted from those its data had before: its metadata `offsets`.

The value is a JSON list [x, y, z] in voxels of level 0: coordinate in the BOSS = original coordinate + offset. There
is one for all channels of an experiment, since they share its coordinates.
"""

from __future__ import annotations

import json

from ..errors import JobError, Missing
from ..geometry import Vec
from ..job import Resource
from .client import BossClient
from .hierarchy import Hierarchy

KEY = "offsets"


def offset_at(client: BossClient, resource: Resource, levels: Hierarchy) -> Vec:
    """The offset of the experiment in voxels of the resource's resolution.

    Raises Missing when none is noted, JobError when it is no whole number of voxels there.
    """
    noted = _noted(client, resource)
    if noted is None:
        raise Missing(
            f"source.coordinates=original: the experiment {_name(resource)} has no metadata {KEY}, so that "
            "nothing is known of other coordinates than its own. Leave source.coordinates out."
        )
    factors = levels.factors(resource.resolution)
    if any(shift % factor for shift, factor in zip(noted, factors, strict=True)):
        raise JobError(
            f"source.coordinates=original: the {KEY} {list(noted)} of the experiment {_name(resource)} are not "
            f"whole voxels at resolution {resource.resolution}. Leave source.coordinates out, or read a finer one."
        )
    return Vec(*(shift // factor for shift, factor in zip(noted, factors, strict=True)))


def noted_line(client: BossClient | None, resource: Resource, offset: Vec) -> list[str]:
    """What `note` would write, as one line, none if it is there. `client` is None where there is no experiment yet.

    Raises JobError when the experiment has another offset.
    """
    if client is not None and _is_there(client, resource, offset):
        return []
    return [f"metadata {KEY} of experiment {_name(resource)}: {list(offset)}"]


def note(client: BossClient, resource: Resource, offset: Vec) -> None:
    """Write the offset, in voxels of level 0, where others find it. Raises JobError when there is another one."""
    if not _is_there(client, resource, offset):
        client.put_metadata(KEY, json.dumps(list(offset)), resource.collection, resource.experiment)


def _is_there(client: BossClient, resource: Resource, offset: Vec) -> bool:
    noted = _noted(client, resource)
    if noted is not None and noted != offset:
        raise JobError(
            f"offset={list(offset)}: the experiment {_name(resource)} has the {KEY} {list(noted)}, and one experiment "
            f"has one system of coordinates. Give offset={list(noted)}, or say with source.origin where the data lie."
        )
    return noted == offset


def _noted(client: BossClient, resource: Resource) -> Vec | None:
    text = client.get_metadata(KEY, resource.collection, resource.experiment)
    if text is None:
        return None
    try:
        x, y, z = json.loads(text)
        return Vec(int(x), int(y), int(z))
    except (TypeError, ValueError):
        raise JobError(
            f"The metadata {KEY} of the experiment {_name(resource)} is {text!r}, not a list [x, y, z]."
        ) from None


def _name(resource: Resource) -> str:
    return f"{resource.collection}/{resource.experiment}"
