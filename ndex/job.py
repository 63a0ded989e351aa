"""A job: everything that the user decided, frozen.

Values arrive validated (`ndex.config`) and complete; nothing here does I/O. The keys of a job file are the names of
the fields below; `conf/` documents them for users.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from .effort import Blocks as Blocks
from .effort import Expected as Expected
from .effort import NonNegative as NonNegative
from .effort import Parallel as Parallel
from .effort import Positive as Positive
from .effort import Rate as Rate
from .effort import Retry as Retry
from .effort import Shard as Shard
from .geometry import Box

Action = Literal["run", "plan", "describe", "create", "verify", "status"]
DType = Literal["uint8", "uint16", "uint32", "uint64"]
Unit = Literal["nanometers", "micrometers", "millimeters", "centimeters"]
PositiveSize = Annotated[float, Field(gt=0)]
Interval = tuple[int, int]
Name = Annotated[str, Field(coerce_numbers_to_str=True, min_length=1)]
"""A name in a BOSS; `2017` without quotes is one too."""


def check_intervals(**intervals: Interval | None) -> None:
    """Raises ValueError for an interval that ends before it has begun."""
    for axis, interval in intervals.items():
        if interval is not None and interval[0] >= interval[1]:
            raise ValueError(
                f"{axis}={list(interval)}: the start must be below the stop, which is the first one not included"
            )


@dataclass(frozen=True)
class Boss:
    """How to reach a BOSS. Either `host` or, for the embedded BOSS, `root` is set."""

    host: str | None = None
    """Name and optional port."""
    protocol: Literal["https", "http"] = "https"
    token_env: str = "BOSS_TOKEN"
    """Environment variable that holds the token."""
    token_file: Path | None = None
    config_file: Path | None = None
    """INI file with `[Default] protocol, host, token`; what it says wins over host and protocol here."""
    timeout: Annotated[float, Field(gt=0)] = 600
    """Seconds without a byte before a cutout request is given up."""
    root: Path | None = None
    """Folder of the embedded BOSS."""

    @property
    def embedded(self) -> bool:
        return self.root is not None


@dataclass(frozen=True)
class Frame:
    """Coordinate frame to create or to expect; bounds are half-open voxels at level 0."""

    name: Name | None = None
    x: Interval | None = None
    y: Interval | None = None
    z: Interval | None = None

    def __post_init__(self) -> None:
        check_intervals(x=self.x, y=self.y, z=self.z)


@dataclass(frozen=True)
class Resource:
    """One channel of a BOSS at one resolution, and what is needed to create it."""

    collection: Name
    experiment: Name
    channel: Name
    resolution: Annotated[int, Field(ge=0, le=9)] = 0
    iso: bool = False
    channel_type: Literal["image", "annotation"] | None = None
    """null: annotation for uint64 (and a source of uint32), else image."""
    datatype: DType | None = None
    """null: that of the data."""
    source_channels: tuple[Name, ...] = ()
    voxel_size: tuple[PositiveSize, PositiveSize, PositiveSize] | None = None
    """Along x, y, z, in `voxel_unit`."""
    voxel_unit: Unit = "nanometers"
    frame: Frame = Frame()
    description: str = ""
    hierarchy_levels: Annotated[int, Field(ge=1, le=10)] | None = None
    """null: so many that the larger of x and y falls to 512 voxels or below."""
    time_samples: Positive = 1
    create: bool = True
    """Create what is missing before a run."""
    downsample: bool | Literal["wait"] = False
    """Have the BOSS build the lower resolutions once all is uploaded; `wait`: until they are there."""
    channels_file: Path | None = None
    """Names many channels, each a job of its own; those jobs have their `channel`."""

    def __str__(self) -> str:
        return f"{self.collection}/{self.experiment}/{self.channel}"


@dataclass(frozen=True, kw_only=True)
class End:
    """Settings of one end of a transfer; each kind in `ndex.stores` subclasses it."""

    kind: str


@dataclass(frozen=True, kw_only=True)
class Described(End):
    """What `action: describe` is about, in place of both ends: as much of a resource as is named."""

    kind: Literal["boss"] = "boss"
    boss: Boss | None = None
    """null: the job's."""
    collection: Name | None = None
    experiment: Name | None = None
    channel: Name | None = None

    def __post_init__(self) -> None:
        for part, whole in (("channel", "experiment"), ("experiment", "collection")):
            if getattr(self, part) is not None and getattr(self, whole) is None:
                raise ValueError(f"{part}={getattr(self, part)}: resource.{whole} must be given as well")


@dataclass(frozen=True)
class Extent:
    """Which part of the source; half-open, null: all that there is."""

    x: Interval | None = None
    y: Interval | None = None
    z: Interval | None = None
    t: Interval | None = None

    def __post_init__(self) -> None:
        check_intervals(x=self.x, y=self.y, z=self.z, t=self.t)
        if self.t is not None and self.t[0] < 0:
            raise ValueError(f"t={list(self.t)}: time samples count from 0")

    def within(self, whole: Box) -> Box:
        """This extent, with the axes that are not given taken from `whole`."""
        return Box.of(self.x or whole.x, self.y or whole.y, self.z or whole.z)


@dataclass(frozen=True)
class Convert:
    """What happens to voxel values on the way."""

    dtype: DType | None = None
    window: tuple[float, float] | None = None
    """Values rescaled linearly to the full range of the dtype, clipped."""
    lossy: bool = False
    """Allow a cast that loses values."""

    def __post_init__(self) -> None:
        if self.window is not None and not all(map(math.isfinite, self.window)):
            raise ValueError(f"window={list(self.window)}: both must be finite")
        if self.window is not None and self.window[0] >= self.window[1]:
            raise ValueError(f"window={list(self.window)}: the low value must be below the high one")


@dataclass(frozen=True)
class Notify:
    """Who is told; `none` or `slack`."""

    kind: Literal["none", "slack"] = "none"
    channel: Name | None = None
    """Name or ID of the Slack channel."""
    mention: str | None = None
    """Who is called when a job fails: `here`, `channel`, or the ID of a member."""
    token_env: str = "SLACK_TOKEN"
    """Environment variable that holds the token."""
    token_file: Path | None = None
    base_url: str | None = None
    """null: Slack's own."""


@dataclass(frozen=True)
class Report:
    """How progress and results are shown."""

    format: Literal["text", "json"] = "text"
    html: bool = True
    """Write `report.html` into the output folder at the end of a run."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as composed from the configuration."""

    name: str = "ndex"
    """Of the job file, for log lines and folders."""
    action: Action = "run"
    boss: Boss
    resource: Resource | None = None
    """null only where neither end is a BOSS."""
    source: End
    destination: End
    extent: Extent = Extent()
    offset: Literal["auto"] | tuple[int, int, int] | None = None
    convert: Convert = Convert()
    missing: Literal["fail", "fill"] = "fail"
    empty: Literal["skip", "erase"] = "skip"
    blocks: Blocks = Blocks()
    parallel: Parallel = Parallel()
    shard: Shard = Shard()
    plan: Expected = Expected()
    retry: Retry = Retry()
    verify: Literal["none", "sample", "full"] = "sample"
    notify: Notify = Notify()
    report: Report = Report()
    journal: Path = field(default=Path(".ndex/journal"))

    def __post_init__(self) -> None:
        if self.shard.index >= self.shard.count:
            raise ValueError(
                f"shard.index={self.shard.index} must be below shard.count={self.shard.count}: parts count from 0"
            )
