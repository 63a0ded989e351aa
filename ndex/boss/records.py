"""What a BOSS says of its resources, as frozen records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..errors import DamagedData
from ..geometry import Box, Span, Vec

Json = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Collection:
    name: str
    description: str = ""
    experiments: tuple[str, ...] = ()

    @classmethod
    def parse(cls, told: Json) -> Collection:
        return cls(told["name"], told["description"], tuple(told["experiments"]))

    def body(self) -> dict[str, Any]:
        """The JSON that creates this collection."""
        return {"name": self.name, "description": self.description}


@dataclass(frozen=True)
class CoordinateFrame:
    name: str
    box: Box
    """Half-open bounds in voxels of level 0."""
    voxel_size: tuple[float, float, float]
    """Along x, y, z at level 0, in `voxel_unit`."""
    voxel_unit: str
    description: str = ""

    @classmethod
    def parse(cls, told: Json) -> CoordinateFrame:
        x, y, z = (Span(int(told[f"{axis}_start"]), int(told[f"{axis}_stop"])) for axis in "xyz")
        size = _three([told[f"{axis}_voxel_size"] for axis in "xyz"])
        return cls(told["name"], Box.of(x, y, z), size, told["voxel_unit"], told["description"])

    def body(self) -> dict[str, Any]:
        """The JSON that creates this frame."""
        sides = zip("xyz", (self.box.x, self.box.y, self.box.z), self.voxel_size, strict=True)
        fields: dict[str, Any] = {"name": self.name, "description": self.description, "voxel_unit": self.voxel_unit}
        for axis, span, size in sides:
            fields |= {f"{axis}_start": span.start, f"{axis}_stop": span.stop, f"{axis}_voxel_size": size}
        return fields


@dataclass(frozen=True)
class Experiment:
    collection: str
    name: str
    frame: str
    levels: int
    """Number of resolutions."""
    isotropic: bool
    """Whether z halves from level to level, as x and y do."""
    time_samples: int = 1
    channels: tuple[str, ...] = ()
    description: str = ""

    @classmethod
    def parse(cls, collection: str, told: Json) -> Experiment:
        return cls(
            collection=collection,
            name=told["name"],
            frame=told["coord_frame"],
            levels=int(told["num_hierarchy_levels"]),
            isotropic=told["hierarchy_method"] == "isotropic",
            time_samples=int(told["num_time_samples"]),
            channels=tuple(told["channels"]),
            description=told["description"],
        )

    def body(self) -> dict[str, Any]:
        """The JSON that creates this experiment; with a time unit, since intern cannot read one without (13.5)."""
        return {
            "name": self.name,
            "description": self.description,
            "coord_frame": self.frame,
            "num_hierarchy_levels": self.levels,
            "hierarchy_method": "isotropic" if self.isotropic else "anisotropic",
            "num_time_samples": self.time_samples,
            "time_step": 0,
            "time_step_unit": "seconds",
        }

    def __str__(self) -> str:
        return f"{self.collection}/{self.name}"


@dataclass(frozen=True)
class Channel:
    collection: str
    experiment: str
    name: str
    type: str
    """`image` or `annotation`."""
    dtype: np.dtype[np.unsignedinteger]
    base: int = 0
    """The resolution of the data as uploaded; others are computed from it."""
    sources: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    downsampled: str = "NOT_DOWNSAMPLED"
    """One of the five states of boss-api 10."""
    storage: str = "spdb"
    description: str = ""

    @classmethod
    def parse(cls, collection: str, experiment: str, told: Json) -> Channel:
        return cls(
            collection=collection,
            experiment=experiment,
            name=told["name"],
            type=told["type"],
            dtype=_unsigned(told["datatype"]),
            base=int(told["base_resolution"]),
            sources=tuple(told["sources"]),
            related=tuple(told["related"]),
            downsampled=told["downsample_status"].upper(),
            storage=told.get("storage_type") or "spdb",
            description=told["description"],
        )

    def body(self) -> dict[str, Any]:
        """The JSON that creates this channel."""
        return {
            "name": self.name,
            "description": self.description,
            "type": self.type,
            "datatype": self.dtype.name,
            "base_resolution": self.base,
            "default_time_sample": 0,
            "sources": list(self.sources),
            "related": list(self.related),
        }

    def __str__(self) -> str:
        return f"{self.collection}/{self.experiment}/{self.name}"


@dataclass(frozen=True)
class Downsampling:
    """How far the lower resolutions of a channel are, and what each level looks like (boss-api 10)."""

    status: str
    extents: tuple[Vec, ...]
    """Of the levels 0, 1, 2 ..."""
    voxel_sizes: tuple[tuple[float, float, float], ...]

    @classmethod
    def parse(cls, told: Json) -> Downsampling:
        levels = [str(level) for level in range(int(told["num_hierarchy_levels"]))]
        return cls(
            status=told["status"].upper(),
            extents=tuple(Vec(*map(int, told["extent"][level])) for level in levels),
            voxel_sizes=tuple(_three(told["voxel_size"][level]) for level in levels),
        )


def _unsigned(name: str) -> np.dtype[np.unsignedinteger]:
    dtype: np.dtype[Any] = np.dtype(name)
    if dtype.kind != "u":
        raise ValueError(f"datatype {name!r}")
    return dtype


def _three(sizes: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = map(float, sizes)
    return x, y, z


def parsed(parse: Callable[[Json], T], told: Json, what: str) -> T:
    """The record in an answer. Raises DamagedData when a field is missing or of another kind."""
    try:
        return parse(told)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedData(f"{what}: the answer lacks a field or has a wrong one ({error!r}). Is this a BOSS?") from None
