"""Requests and responses as the application sees them, without sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from .faults import BossFault, Code

Buffer = bytes | bytearray | memoryview


class Body(Protocol):
    """The body of a request, still on the wire: it is read only by a handler that has found the request valid."""

    def read(self, limit: int) -> bytes | bytearray:
        """All of it. Raises BossFault (413) before taking memory when it is larger than `limit` bytes."""
        ...


@dataclass(frozen=True)
class Bytes:
    """A body that is in memory already."""

    content: bytes = b""

    def read(self, limit: int) -> bytes:
        if len(self.content) > limit:
            raise too_large(limit)
        return self.content


def too_large(limit: int) -> BossFault:
    return BossFault(Code.TOO_LARGE, f"The body of this request is larger than {limit} bytes.")


@dataclass(frozen=True)
class Request:
    """One request."""

    method: str
    path: str
    """As sent: percent-encoded, without the query."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: Body = Bytes()
    trusted: bool = False
    """The request carried the token of this server; all others are readers of what is public."""

    @property
    def segments(self) -> list[str]:
        """Decoded elements of the path; empty ones (doubled and trailing slashes) are left out."""
        return [unquote(part) for part in self.path.split("/") if part]

    def flag(self, name: str) -> bool:
        """Whether the query says `name=true`, in any case; anything else is false."""
        return self.query.get(name, "").lower() == "true"


def parse_query(text: str) -> dict[str, str]:
    """Decoded query; of a repeated name the last value counts, as in the framework of the BOSS."""
    return dict(parse_qsl(text, keep_blank_values=True))


@dataclass(frozen=True)
class Response:
    """One answer; `Content-Length` is the transport's business."""

    status: int
    body: Buffer = b""
    media_type: str = "text/html; charset=utf-8"
    """Answers without a body carry this one on a BOSS (boss-api 1.3)."""
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: Callable[[], None] = lambda: None
    """Called once the answer has left, or nobody takes it: until then its body counts as memory in use."""


def json_response(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, json.dumps(content).encode(), "application/json", headers or {})
