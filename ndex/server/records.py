"""A channel and what it stands in, as far as voxels are concerned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..geometry import Box

Row: TypeAlias = dict[str, Any]
"""One row of the catalogue, by column."""


@dataclass(frozen=True)
class Frame:
    """A coordinate frame."""

    box: Box
    """Level 0."""
    voxel_size: tuple[float, float, float]
    """Along x, y, z."""

    @classmethod
    def of(cls, row: Row) -> Frame:
        x, y, z = ((row[f"{axis}_start"], row[f"{axis}_stop"]) for axis in "xyz")
        return cls(Box.of(x, y, z), (row["x_voxel_size"], row["y_voxel_size"], row["z_voxel_size"]))


@dataclass(frozen=True)
class Experiment:
    """The part of an experiment that says which voxels its channels have."""

    frame: Frame
    levels: int
    """Number of resolutions."""
    isotropic: bool
    """z is halved from level to level too."""
    times: int
    """Number of time samples."""

    @classmethod
    def of(cls, row: Row, frame: Frame) -> Experiment:
        isotropic = row["hierarchy_method"] == "isotropic"
        return cls(frame, row["num_hierarchy_levels"], isotropic, row["num_time_samples"])


@dataclass(frozen=True)
class Channel:
    """A channel with its surroundings."""

    id: int
    name: str
    public: bool
    annotation: bool
    dtype: np.dtype[Any]
    base: int
    """The level at which it is written."""
    default_time: int
    status: str
    """Of the downsampling."""
    experiment: Experiment

    @classmethod
    def of(cls, row: Row, experiment: Experiment) -> Channel:
        return cls(
            id=row["id"],
            name=row["name"],
            public=bool(row["public"]),
            annotation=row["type"] == "annotation",
            dtype=np.dtype(row["datatype"]),
            base=row["base_resolution"],
            default_time=row["default_time_sample"],
            status=row["downsample_status"],
            experiment=experiment,
        )

    @property
    def levels(self) -> range:
        """The resolutions that it has (boss-api 6)."""
        return range(self.base, self.base + self.experiment.levels)

    @property
    def frame(self) -> Box:
        return self.experiment.frame.box
