"""What a user can say of a tree of tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...job import End, Interval, NonNegative, Positive, check_intervals
from ..s3 import Keys


@dataclass(frozen=True, kw_only=True)
class Source(Keys, End):
    """Planes that are cut into tiles of one size, each a file."""

    kind: Literal["tiles"] = "tiles"
    path: str
    """Folder, `s3://bucket/prefix` or `https://host/folder`; `{channel}` or `<ch>` stands for resource.channel, also in
    `pattern`."""
    pattern: str
    """Of a tile, below the path: `{z}` is its plane, `{y}` its row and `{x}` its column; `{z:04d}`: with zeros."""
    tile: tuple[Positive, Positive]
    """Width and height in pixels. The last ones of a row or column may be smaller, or padded."""
    size: tuple[Positive, Positive] | None = None
    """Width and height of a plane in pixels; null: found by listing."""
    z: Interval | None = None
    """Numbers of the planes, half-open; null: found by listing."""
    first: NonNegative = 0
    """Number of the first row and column."""
    origin: tuple[int, int, int] | None = None
    """[x, y, z] of the first pixel of the first plane; null: 0, 0 and its number."""
    band: NonNegative | None = None
    """Of RGB(A): 0 red, 1 green, 2 blue, 3 alpha."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_intervals(z=self.z)
