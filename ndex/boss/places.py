"""intern's resource objects: what its request builders take for a collection, an experiment, a channel or a frame.

intern is imported when the first of them is needed: that takes as long as all of ndex's own start.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import JobError
from .records import Channel

if TYPE_CHECKING:
    from intern.resource.boss import BossResource

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


def is_name(text: str) -> bool:
    """Whether it can be the name of a collection, experiment, channel or frame."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str, kind: str) -> str:
    """The name of a collection, experiment, channel or frame, if it can be one; else raises JobError.

    A BOSS cuts names at characters it does not know and creates what is left of them (boss-api 1.2).
    """
    if not is_name(name):
        raise JobError(
            f"{kind}={name!r}: names consist of 1 to 255 of the characters A-Z, a-z, 0-9, '_' and '-'. "
            "Anything else would be cut off by the BOSS."
        )
    return name


def resource(collection: str, experiment: str | None = None, channel: str | None = None) -> BossResource:
    """The resource at this path. Raises JobError for an impossible name."""
    from intern.resource.boss import ChannelResource, CollectionResource, ExperimentResource

    check_name(collection, "collection")
    if experiment is None:
        return CollectionResource(collection)
    check_name(experiment, "experiment")
    if channel is None:
        return ExperimentResource(experiment, collection)
    return ChannelResource(check_name(channel, "channel"), collection, experiment)


def channel_resource(channel: Channel) -> BossResource:
    return resource(channel.collection, channel.experiment, channel.name)


def frame_resource(name: str) -> BossResource:
    """The coordinate frame of this name. Raises JobError for an impossible name."""
    from intern.resource.boss import CoordinateFrameResource

    return CoordinateFrameResource(check_name(name, "coordinate frame"))


def listing(collection: str | None = None, experiment: str | None = None) -> BossResource:
    """A nameless resource: intern lists all that stand beside it, collections when no parent is given."""
    from intern.resource.boss import ChannelResource, CollectionResource, ExperimentResource

    if collection is None:
        return CollectionResource("")
    check_name(collection, "collection")
    if experiment is None:
        return ExperimentResource("", collection)
    return ChannelResource("", collection, check_name(experiment, "experiment"))
