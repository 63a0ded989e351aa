"""The kind `s3`: the planes of `images` in a bucket, with a say in how it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..files import Access
from ..job import Job
from . import images

if TYPE_CHECKING:
    from .images.destination import ImageDestination
    from .images.source import ImageSource

__all__ = ["Destination", "Keys", "Source", "open_destination", "open_source"]


@dataclass(frozen=True, kw_only=True)
class Keys:
    """How a bucket is reached. Keys of access are no settings: they stay in the environment or in ~/.aws."""

    profile: str | None = None
    """Of ~/.aws/config; null: the usual chain of boto3."""
    region: str | None = None
    endpoint_url: str | None = None
    """Of another service that speaks S3, such as MinIO or Ceph; null: that of Amazon."""
    anonymous: bool = False
    """Sign nothing: for public buckets."""

    def __post_init__(self) -> None:
        url = self.endpoint_url
        if url is not None and (not url.lower().startswith(("http://", "https://")) or "@" in url):
            raise ValueError("endpoint_url: must be an address such as https://s3.example.org, without credentials")
        if self.anonymous and self.profile:
            raise ValueError(f"anonymous=true sends no credentials, so that profile={self.profile} cannot be used")

    @property
    def access(self) -> Access:
        return Access(self.profile, self.region, self.endpoint_url, self.anonymous)


@dataclass(frozen=True, kw_only=True)
class Source(Keys, images.Source):
    """Planes in a bucket to read from."""

    kind: Literal["s3"] = "s3"  # type: ignore[assignment]  # another kind with the same keys

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_address(self.path)


@dataclass(frozen=True, kw_only=True)
class Destination(Keys, images.Destination):
    """Planes in a bucket to write to."""

    kind: Literal["s3"] = "s3"  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_address(self.path)


def _check_address(path: str) -> None:
    if not path.lower().startswith("s3://"):
        raise ValueError(f"path={path}: must be s3://bucket/prefix")


def open_source(job: Job) -> ImageSource:
    return images.open_source(job)


def open_destination(job: Job) -> ImageDestination:
    return images.open_destination(job)
