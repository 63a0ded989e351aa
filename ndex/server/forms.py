"""The body of a JSON endpoint as a mapping: JSON, or a form (boss-api 1.3)."""

from __future__ import annotations

import json
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, NoReturn
from urllib.parse import parse_qs

from .faults import BossFault, Code, HttpFault
from .messages import Request

MAX_FORM_BYTES = 1 << 20


def form(request: Request) -> dict[str, Any]:
    """Fields of the body; none if there is no body. Raises HttpFault (400, 415) or BossFault (1003, 413)."""
    content = bytes(request.body.read(MAX_FORM_BYTES))
    if not content:
        return {}
    media_type = request.headers.get("content-type", "application/json")
    kind = media_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return _json(content)
    if kind == "application/x-www-form-urlencoded":
        return _flatten(parse_qs(content.decode(errors="replace"), keep_blank_values=True))
    if kind == "multipart/form-data":
        return _multipart(media_type, content)
    raise HttpFault(415, f"Unsupported media type '{kind}' in request.")


def _json(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise HttpFault(400, f"JSON parse error: {error}") from None
    if not isinstance(parsed, dict):
        raise BossFault(Code.INVALID_ARGUMENT, "The body of this request must be a JSON object.")
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _multipart(media_type: str, content: bytes) -> dict[str, Any]:
    header = f"Content-Type: {media_type}\r\n\r\n".encode(errors="replace")
    message = BytesParser(policy=HTTP).parsebytes(header + content)
    parts = [part for part in message.walk() if not part.is_multipart()]
    fields: dict[str, list[str]] = {}
    for part in parts:
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            fields.setdefault(name, []).append(_part_text(part))
    return _flatten(fields)


def _part_text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    return payload.decode(errors="replace") if isinstance(payload, bytes) else ""


def _flatten(fields: dict[str, list[str]]) -> dict[str, Any]:
    """One value a field, but for the lists of channels."""
    return {name: values if name in ("sources", "related") else values[-1] for name, values in fields.items()}
