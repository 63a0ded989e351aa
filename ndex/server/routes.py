"""Which URL is whose: the paths below /v1/ and their verbs (boss-api 1.2, 4.1, 7 to 11)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from . import cutouts, images, levels, metadata, objects
from .faults import BossFault, Code
from .messages import Response
from .resources import channels, collections, experiments, frames

Handler: TypeAlias = Callable[..., Response]
Verbs: TypeAlias = Mapping[str, Handler]

RANGE = "[0-9]+:[0-9]+"
PATTERNS = {"R": "[0-9]", "n": "[0-9]+", "x": RANGE, "y": RANGE, "z": RANGE, "t": RANGE}
"""What the variable elements of a path look like; all others are anything."""

CHANNEL = "{c}/{e}/{ch}"
BOX = "{c}/{e}/{ch}/{R}/{x}/{y}/{z}"


CRUD = {"GET": "get", "POST": "create", "PUT": "update", "DELETE": "delete"}
"""Function of a module of resources for each verb."""


def crud(module: object) -> Verbs:
    return {verb: getattr(module, name) for verb, name in CRUD.items()}


META = {"GET": metadata.get, "POST": metadata.post, "PUT": metadata.put, "DELETE": metadata.delete}
CUTOUT = {"GET": cutouts.get, "POST": cutouts.post}

TABLE: dict[str, Verbs] = {
    "collection": {"GET": collections.list_all},
    "collection/{c}": crud(collections),
    "collection/{c}/experiment": {"GET": experiments.list_all},
    "collection/{c}/experiment/{e}": crud(experiments),
    "collection/{c}/experiment/{e}/channel": {"GET": channels.list_all},
    "collection/{c}/experiment/{e}/channel/{ch}": crud(channels),
    "coord": {"GET": frames.list_all},
    "coord/{f}": crud(frames),
    "meta/{c}": META,
    "meta/{c}/{e}": META,
    "meta/{c}/{e}/{ch}": META,
    f"cutout/{BOX}": CUTOUT,
    f"cutout/{BOX}/{{t}}": CUTOUT,
    f"cutout/to_black/{BOX}": {"PUT": cutouts.to_black},
    f"cutout/to_black/{BOX}/{{t}}": {"PUT": cutouts.to_black},
    f"downsample/{CHANNEL}": {"GET": levels.get, "POST": levels.post, "DELETE": levels.delete},
    f"reserve/{CHANNEL}/{{n}}": {"GET": objects.reserve},
    f"ids/{BOX}": {"GET": objects.ids},
    f"ids/{BOX}/{{t}}": {"GET": objects.ids},
    f"boundingbox/{CHANNEL}/{{R}}/{{id}}": {"GET": objects.bounding_box},
    f"image/{CHANNEL}/{{plane}}/{{R}}/{{px}}/{{py}}/{{pz}}": {"GET": images.image},
    f"image/{CHANNEL}/{{plane}}/{{R}}/{{px}}/{{py}}/{{pz}}/{{t}}": {"GET": images.image},
    f"tile/{CHANNEL}/{{plane}}/{{size}}/{{R}}/{{px}}/{{py}}/{{pz}}": {"GET": images.tile},
    f"tile/{CHANNEL}/{{plane}}/{{size}}/{{R}}/{{px}}/{{py}}/{{pz}}/{{t}}": {"GET": images.tile},
}

WRITING_GETS = frozenset({objects.reserve})
"""Handlers that change something though their verb does not say so."""


def compiled() -> Iterator[tuple[list[re.Pattern[str]], list[str], Verbs]]:
    for template, verbs in TABLE.items():
        elements = template.split("/")
        names = [element[1:-1] if element.startswith("{") else "" for element in elements]
        patterns = [
            re.compile(PATTERNS.get(name, ".+") if name else re.escape(element), re.DOTALL)
            for name, element in zip(names, elements, strict=True)
        ]
        yield patterns, names, verbs


_COMPILED = list(compiled())


def match(segments: list[str]) -> tuple[Verbs, dict[str, str]]:
    """The verbs of a path and the values of its variable elements. Raises BossFault (2004, a 404)."""
    for patterns, names, verbs in _COMPILED:
        if len(patterns) == len(segments) and all(map(re.Pattern.fullmatch, patterns, segments)):
            return verbs, {name: text for name, text in zip(names, segments, strict=True) if name}
    raise BossFault(Code.INVALID_REQUEST, "There is nothing under this URL.")
