"""What a user can say of a folder of image files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...files import Access
from ...job import End, NonNegative, Positive

Compression = Literal["deflate", "zstd", "none"]


@dataclass(frozen=True, kw_only=True)
class Source(End):
    """A folder with one TIFF or PNG file a plane."""

    kind: Literal["images"] = "images"
    path: str
    """Folder; `{channel}` or `<ch>` stands for resource.channel, also in `pattern`."""
    pattern: str | None = None
    """Names with a plane number, as `em_%04d.tif`, `em_{z:04d}.tif`, `em_{z}.tif` or `em_<p:4>.tif`, and a time sample
    `{t}`; or a glob, whose natural order counts planes from 0. `*` and `?` are wildcards in both. null: all TIFF and
    PNG files."""
    z_step: Positive = 1
    """By how much the number in the names goes up from plane to plane: number n is plane z = n // z_step."""
    origin: tuple[int, int, int] | None = None
    """[x, y, z] of the first pixel of the first file; null: 0, 0 and the number in its name (of a glob: 0)."""
    band: NonNegative | None = None
    """Of RGB(A): 0 red, 1 green, 2 blue, 3 alpha."""

    @property
    def access(self) -> Access:
        """How to reach a bucket, if the path leads into one."""
        return Access()


@dataclass(frozen=True, kw_only=True)
class Destination(End):
    """A folder to write one TIFF or PNG file a plane into."""

    kind: Literal["images"] = "images"
    path: str
    pattern: str | None = None
    """As of the source, without wildcards; null:
    `<collection>_<experiment>_<channel>_x<a>-<b>_y<a>-<b>_z<index>.tif`, with `_t<index>` where there are several."""
    z_step: Positive = 1
    """Plane z gets the number z * z_step."""
    compression: Compression = "deflate"
    """Of TIFF; PNG is always deflate."""
    overwrite: bool = False
    """Replace files that this job has not written."""
    metadata: bool = True
    """Keep what the source says of itself beside the planes, in `metadata.json`; a source that is one file does."""

    @property
    def access(self) -> Access:
        return Access()
