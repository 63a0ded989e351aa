"""Places of named bytes: a local folder, a bucket in S3, files behind a web server. A place, not a kind.

A kind of `ndex.stores` says what the bytes mean; `place_at` gives it a place by its address.
"""

from __future__ import annotations

from ..errors import JobError
from .access import Access
from .faults import translated
from .local import Folder
from .place import Draft, Files, Page, Place

__all__ = ["Access", "Draft", "Files", "Folder", "Page", "Place", "files_at", "place_at", "translated"]


def files_at(text: str, key: str, access: Access | None = None) -> Files:
    """As `place_at`, also for an address on the web, which is no more than files to fetch."""
    if text.lower().startswith(("http://", "https://")):
        from .web import Web

        return Web(text, key)
    return place_at(text, key, access)


def place_at(text: str, key: str, access: Access | None = None) -> Place:
    """The place of an address: a local path or `s3://bucket/prefix`; `key` is the setting it comes from, `access` how
    to reach a bucket. No I/O. Raises JobError for an address of any other sort."""
    if text.lower().startswith("s3://"):
        from .s3 import Bucket  # with boto3, which takes as long as all of ndex's own start

        return Bucket.named(text, key, access or Access())
    if "://" in text:
        raise JobError(f"{key}={text}: must be a local folder or s3://bucket/prefix.")
    return Folder.named(text, key)
