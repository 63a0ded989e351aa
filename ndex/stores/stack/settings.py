"""What a user can say of a volume in one file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...errors import JobError
from ...job import End, Job, NonNegative
from ..images.pattern import with_channel
from ..images.settings import Compression


@dataclass(frozen=True, kw_only=True)
class Source(End):
    """A TIFF file of many pages, or a NIfTI file."""

    kind: Literal["stack"] = "stack"
    path: str
    """The file; `{channel}` or `<ch>` stands for resource.channel."""
    origin: tuple[int, int, int] | None = None
    """[x, y, z] of the first voxel; null: where a stack that ndex has written came from, 0, 0, 0 for all others."""
    band: NonNegative | None = None
    """Of RGB(A), or of the channels of a hyperstack."""
    series: NonNegative | None = None
    """Of a file with several images."""
    level: NonNegative = 0
    """Of a pyramid; 0 is the full resolution."""
    flatten: bool = False
    """Take every page for a plane of z, whatever the file says of time and channels."""


@dataclass(frozen=True, kw_only=True)
class Destination(End):
    """One BigTIFF file with a page for each plane."""

    kind: Literal["stack"] = "stack"
    path: str
    compression: Compression = "deflate"
    overwrite: bool = False
    """Replace a file that this job has not written."""


def file_of(job: Job, text: str, key: str) -> Path:
    """The file of a setting. Raises JobError for an address of something else."""
    if "://" in text:
        raise JobError(f"{key}={text}: a stack must be a local file.")
    channel = job.resource.channel if job.resource else None
    return Path(with_channel(text, channel, key)).expanduser()


def identity_of(path: Path, **choices: object) -> str:
    """The same text for the same voxels: the file, and the settings that decide which voxel is where."""
    chosen = "".join(f" {key}={value}" for key, value in choices.items())
    return os.path.normcase(path.resolve()) + chosen
