"""How to reach a bucket: which account, where, or as nobody."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """Settings of S3; where they are null, what boto3 finds in the environment and in ~/.aws holds."""

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    anonymous: bool = False
