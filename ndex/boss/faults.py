"""What went wrong with a request, told once in ndex's errors (boss-api 3 and 12.3)."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from urllib3.exceptions import NewConnectionError

from ..errors import (
    AccessError,
    DamagedData,
    JobError,
    Missing,
    NdexError,
    PermanentError,
    ServerError,
    TransientError,
    Unreachable,
)
from ..retry import seconds_to_wait
from .credentials import PUBLIC, Credentials

NOT_FOUND = 4000
"""Code of a resource that does not exist."""
BEING_DELETED = 4005
INVALID = 1003
"""Code of everything that a create, an update or a metadata call can get wrong, 'exists already' included."""
SYSTEM = 9001
"""Code of any exception while voxels are written."""

_LASTING = ("Resolution Mismatch", "Resource Locked")
"""Marker words of the 9001s that do not pass by themselves."""
_LONGEST = 200
"""Characters of a server's message that are passed on."""


@dataclass(frozen=True)
class Answer:
    """A complete answer of a BOSS."""

    status: int
    media: str
    """Media type, lower case, without parameters."""
    body: bytes
    retry_after: str | None = None
    """The header, as it came."""

    def is_error(self, status: int, code: int) -> bool:
        return self.status == status and self.code == code

    @property
    def code(self) -> int | None:
        code = self._fields.get("code")
        return code if isinstance(code, int) else None

    @property
    def message(self) -> str:
        """The server's own words, if it sent any in JSON; pages meant for browsers say nothing."""
        text = self._fields.get("message") or self._fields.get("detail") or ""
        return str(text)

    @property
    def _fields(self) -> dict[str, Any]:
        try:
            content = json.loads(self.body) if self.media == "application/json" else {}
        except ValueError:
            content = {}
        return content if isinstance(content, dict) else {}


def require(answer: Answer, status: int, what: str, access: Credentials) -> Answer:
    """The answer, if it has this status and is not a maintenance page (boss-api 12.2); else raises what it means.

    `what` names the request for people: method, resource, box.
    """
    page = answer.media == "text/html" and bool(answer.body.strip())
    if answer.status == 200 and page:
        raise TransientError(f"{what}: {access.host} shows a page for browsers instead; it may be under maintenance.")
    if answer.status != status:
        raise failure(answer, what, access)
    return answer


def json_of(answer: Answer, what: str, access: Credentials) -> dict[str, Any]:
    """The JSON object of a successful answer."""
    if answer.media != "application/json":
        kind = answer.media or "no type"
        raise ServerError(f"{what}: {access.host} answered with {kind} where JSON was due.")
    try:
        content = json.loads(answer.body)
    except ValueError:
        raise TransientError(f"{what}: the answer of {access.host} is not complete JSON.") from None
    if not isinstance(content, dict):
        raise DamagedData(f"{what}: the answer of {access.host} is not a JSON object. Is this a BOSS?")
    return content


def failure(answer: Answer, what: str, access: Credentials) -> NdexError:
    """The error that a refusing answer stands for."""
    status, text = answer.status, f"{what}: {_told(answer, access)}"
    if status in (401, 403):
        return AccessError(f"{text} The token came from {access.origin}.")
    if status == 404 and answer.code == BEING_DELETED:
        return Missing(f"{text} It is being deleted, and its name stays taken until that is done.")
    if status == 404 and answer.code == NOT_FOUND:
        return Missing(text)
    if status == 429 and answer.retry_after:  # not the quota, which takes days (boss-api 12.1)
        return TransientError(text, seconds_to_wait(answer.retry_after))
    if status == 429:
        return JobError(f"{text} The quota of this account is used up; ask an administrator of the BOSS.")
    if status == 413:
        return PermanentError(f"{text} Use smaller blocks.")
    if status in (408, 502, 503, 504):
        return TransientError(text, seconds_to_wait(answer.retry_after))
    if status >= 500:
        return ServerError(text, seconds_to_wait(answer.retry_after))
    if 300 <= status < 400:
        return JobError(f"{text} It points elsewhere, where the token must not go: check boss.host and boss.protocol.")
    return PermanentError(text)


def write_failure(answer: Answer, what: str, access: Credentials) -> NdexError:
    """Like `failure`, for a cutout write: there a 9001 wraps every storage exception, transient ones included."""
    if answer.is_error(400, SYSTEM) and not any(marker in answer.message for marker in _LASTING):
        return ServerError(f"{what}: {_told(answer, access)}")
    return failure(answer, what, access)


def interruption(error: Exception, what: str, access: Credentials) -> NdexError:
    """The error that an exception of requests or urllib3 stands for."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.exceptions.SSLError):
        if _untrusted(reason):
            return JobError(
                f"{what}: the certificate of {access.host} is not trusted. If your institute has its own authority, "
                "name its file in the environment variable REQUESTS_CA_BUNDLE."
            )
        return TransientError(f"{what}: no secure connection to {access.host}. Is boss.protocol right?")
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader)):
        return JobError(f"{what}: boss.host={access.host} cannot be used as an address.")
    gone = isinstance(error, (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError))
    if gone or isinstance(reason, NewConnectionError):
        return Unreachable(f"{what}: nobody answers at {access.url}. Is boss.host right, and is the network up?")
    if isinstance(error, (requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError)):
        return TransientError(f"{what}: {access.host} did not answer in time.")
    return TransientError(f"{what}: the connection to {access.host} broke ({type(error).__name__}).")


def _told(answer: Answer, access: Credentials) -> str:
    """What the server said, in one line, without the token should it echo it."""
    code = f", code {answer.code}" if answer.code is not None else ""
    words = " ".join(answer.message.split())
    if access.token != PUBLIC:
        words = words.replace(access.token, "***")
    if len(words) > _LONGEST:
        words = words[:_LONGEST].rstrip() + " ..."
    said = f": {words.rstrip('.')}" if words else ""
    return f"{access.host} answered {answer.status}{code}{said}."


def _untrusted(reason: object) -> bool:
    """Whether a TLS error is about the certificate, which will not change by trying again."""
    while isinstance(reason, Exception):
        if isinstance(reason, ssl.SSLCertVerificationError):
            return True
        reason = reason.args[0] if reason.args else None
    return False
