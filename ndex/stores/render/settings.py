"""What a user can say of a stack in a render web service."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from ...job import End, Name

API = "/render-ws/v1"
_NAME = re.compile(r"[A-Za-z0-9]+(_[A-Za-z0-9]+)*")
_LONGEST = 96
"""Characters of the three names together (render-api 2)."""


@dataclass(frozen=True, kw_only=True)
class Source(End):
    """One channel of a stack at one scale. x and y are world coordinates times `scale`; z is never scaled."""

    kind: Literal["render"] = "render"
    url: str
    """Address of the service, with or without `/render-ws/v1`."""
    owner: Name
    project: Name
    stack: Name
    channel: Name | None = None
    """null: the stack's default, or its only one."""
    scale: Annotated[float, Field(ge=0.001, le=1)] = 1.0
    """Voxels per full-scale pixel, along x and y."""
    dtype: Literal["uint8", "uint16"] = "uint8"
    """What the service is asked for; it does not say what its tiles hold."""
    window: tuple[float, float] | None = None
    """With uint8: what becomes 0 and 255. null: as stored with the tiles."""

    def __post_init__(self) -> None:
        _check_url(self.url)
        _check_names(self.owner, self.project, self.stack)
        if self.channel and "__" in self.channel:
            raise ValueError(f"channel={self.channel}: a channel has no double underscore in its name")
        if self.window and not all(map(math.isfinite, self.window)):
            raise ValueError(f"window={list(self.window)}: both must be finite")
        if self.window and self.window[0] >= self.window[1]:
            raise ValueError(f"window={list(self.window)}: the low value must be below the high one")
        if self.window and self.dtype == "uint16":
            raise ValueError(
                f"window={list(self.window)}: the service does not change 16-bit values; take source.dtype=uint8, or "
                "convert.window with convert.dtype=uint8"
            )

    @property
    def base(self) -> str:
        """The address that all paths are appended to."""
        parts = urlsplit(self.url)
        return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.rstrip('/').removesuffix(API)}{API}"

    @property
    def host(self) -> str:
        """Name and port."""
        return urlsplit(self.url).netloc.lower()

    @property
    def project_path(self) -> str:
        """Below `base`."""
        return f"owner/{self.owner}/project/{self.project}"

    @property
    def path(self) -> str:
        """Of the stack, below `base`."""
        return f"{self.project_path}/stack/{self.stack}"

    def __str__(self) -> str:
        return f"{self.owner}/{self.project}/{self.stack}"


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or parts.query or parts.fragment:  # the address itself may hold a password
        raise ValueError("url: must be http://HOST:PORT or https://HOST, without user, password or query")


def _check_names(owner: str, project: str, stack: str) -> None:
    """Image requests with a wrong name are answered with 500 (render-api 2), so it is said here."""
    for key, name in (("owner", owner), ("project", project), ("stack", stack)):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{key}={name}: must be of letters and digits, with single underscores between them")
    if len(owner + project + stack) > _LONGEST:
        raise ValueError(f"stack={stack}: owner, project and stack may have {_LONGEST} characters together")
