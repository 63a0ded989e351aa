"""GET requests to a render web service, with its answers and failures put into ndex's errors (render-api 8)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from ...boss.credentials import is_loopback
from ...errors import (
    DamagedData,
    JobError,
    Missing,
    NdexError,
    PermanentError,
    ServerError,
    TransientError,
    Unreachable,
)

AT_ONCE = 8
"""Requests in flight of one process: each is rendered by one thread of the service (render-api 9)."""
CONNECT_TIMEOUT = 10
METADATA_TIMEOUT = 30
"""Seconds without a byte; the bounds of a section are computed from all its tiles."""
IMAGE_TIMEOUT = 60
METADATA_LIMIT = 64 << 20
"""Bytes of the longest JSON that is read: a million z values fit."""
MESSAGE_LIMIT = 1 << 12
"""Bytes of a refusal that are read."""
LONGEST = 200
"""Characters of the service's own words that are passed on."""


class NotFound(Missing):
    """A 404."""


class Unrenderable(ServerError):
    """A 400 for an image: a file of a tile cannot be read, perhaps only at the moment (render-api 8.2)."""


class Refused(PermanentError):
    """Any other 4xx."""


class Service:
    """One service, for any number of threads. Nothing is tried again here.

    A session is not promised to be thread-safe, so each request borrows one of a stack of them; the one used last,
    whose connection is warm, is used next.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._host = urlsplit(base).netloc
        self._idle: list[requests.Session] = []
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def json(self, path: str) -> Any:
        """The JSON at a path below the base. Raises NotFound, Refused, or another TransferError."""
        what = f"GET {path}"
        body = self._get(path, {}, what, "application/json", METADATA_TIMEOUT, METADATA_LIMIT)
        try:
            return json.loads(body)
        except ValueError:
            raise DamagedData(f"{what}: the answer is not JSON. Is source.url={self._base} a render service?") from None

    def image(self, path: str, query: Mapping[str, str], limit: int) -> bytes:
        """The PNG at a path below the base, of at most `limit` bytes. Raises as `json` does, and Unrenderable."""
        try:
            return self._get(path, query, f"GET {path}", "image/png", IMAGE_TIMEOUT, limit)
        except Refused as refusal:
            raise Unrenderable(str(refusal)) from refusal

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _get(self, path: str, query: Mapping[str, str], what: str, media: str, timeout: float, limit: int) -> bytes:
        with self._slots, self._borrowed() as session:
            try:
                headers = {"Accept": media, "Accept-Encoding": "identity"}
                options: dict[str, Any] = {"stream": True, "allow_redirects": False}
                options |= {"timeout": (CONNECT_TIMEOUT, timeout), "headers": headers, "params": query}
                with session.get(f"{self._base}/{path}", **options) as response:
                    return self._body(response, media, what, limit)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise self._interruption(error, what) from error

    def _body(self, response: requests.Response, media: str, what: str, limit: int) -> bytes:
        """Straight from the socket, which costs a fifth of `response.content`. One byte more than can be is asked for,
        so that urllib3 sees the end of the body, and raises if it comes early."""
        if response.status_code != 200:
            raise self._failure(response.status_code, response.raw.read(MESSAGE_LIMIT, decode_content=True), what)
        found = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if found != media:
            page = found == "text/html"  # of a proxy, perhaps for a while only
            raise (TransientError if page else DamagedData)(
                f"{what}: {self._host} answered with {found or 'no type'} instead of {media}. "
                f"Is source.url={self._base} a render service?"
            )
        body: bytes = response.raw.read(limit + 1, decode_content=True)
        if len(body) > limit:
            raise DamagedData(f"{what}: the answer is longer than it can be ({limit} bytes).")
        return body

    def _failure(self, status: int, body: bytes, what: str) -> NdexError:
        words = " ".join(body.decode(errors="replace").split())
        said = f": {words[:LONGEST].rstrip('.')}" if words and not words.startswith("<") else ""
        text = f"{what}: {self._host} answered {status}{said}."
        if status == 404:
            return NotFound(text)
        if 300 <= status < 400:
            return JobError(f"{text} It points elsewhere: correct source.url={self._base}.")
        if status == 500:
            return ServerError(text)
        return TransientError(text) if status > 500 or status in (408, 429) else Refused(text)

    def _interruption(self, error: Exception, what: str) -> NdexError:
        reason = getattr(error.args[0], "reason", None) if error.args else None
        if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return JobError(
                f"{what}: the certificate of {self._host} is not trusted. If your institute has its own authority, "
                "name its file in the environment variable REQUESTS_CA_BUNDLE."
            )
        if isinstance(error, requests.exceptions.InvalidURL):
            return JobError(f"{what}: source.url={self._base} cannot be used as an address.")
        unconnected = isinstance(reason, urllib3.exceptions.NewConnectionError)
        if unconnected or isinstance(error, (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError)):
            return Unreachable(f"{what}: nobody answers at source.url={self._base}. Is the network up?")
        if isinstance(error, (requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError)):
            return TransientError(f"{what}: {self._host} did not answer in time.")
        return TransientError(f"{what}: the connection to {self._host} broke ({type(error).__name__}).")

    @contextmanager
    def _borrowed(self) -> Iterator[requests.Session]:
        try:
            session = self._idle.pop()
        except IndexError:
            session = _new_session(self._host)
        try:
            yield session
        finally:
            self._idle.append(session)


def _new_session(host: str) -> requests.Session:
    """Proxies and certificates come from the environment, except for this machine; a .netrc is never sent: there is no
    authentication (render-api 1)."""
    session = requests.Session()
    session.trust_env = not is_loopback(host)
    session.auth = lambda request: request
    return session
