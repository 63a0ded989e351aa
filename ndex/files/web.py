"""Files behind a web server: they can be fetched one by one, and not listed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.exceptions import NewConnectionError

from ..errors import AccessError, DamagedData, JobError, NdexError, PermanentError, TransientError, Unreachable
from ..retry import seconds_to_wait

TIMEOUTS = (10.0, 60.0)
"""Seconds for a connection to come about, and without a byte."""
REDIRECTS = 5
PASSING = {408, 425, 429}
ABSENT = {204, 404, 410}
"""A server of tiles may answer "no content" for one that is black."""


class Web:
    """The files below an address.

    A `requests` session is not promised to be thread-safe, so each fetch borrows one and puts it back: there are as
    many as there ever were fetches at once. Names and passwords are found in ~/.netrc, as curl does.
    """

    def __init__(self, url: str, key: str) -> None:
        """`key` is the setting it comes from. Raises JobError for an address that no name can be added to."""
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise JobError(f"{key}: an address must hold no user name or password. Put them into ~/.netrc.")
        if not parts.hostname or parts.query or parts.fragment:
            raise JobError(f"{key}={url}: must be an address such as https://host/folder, without ? and #.")
        self.key = key
        self._url = url.rstrip("/")
        self._idle: list[requests.Session] = []

    def __str__(self) -> str:
        return self._url

    def where(self, name: str) -> str:
        return f"{self._url}/{name}" if name else self._url

    def resolved(self) -> str:
        return self._url

    def fetch(self, name: str, limit: int) -> bytes:
        what = self.where(name)
        with (
            self._borrowed() as session,
            _translated(what),
            session.get(what, stream=True, timeout=TIMEOUTS) as response,
        ):
            _refuse(response, what)
            # One byte more is asked for, so that urllib3 sees the end of the body, and raises if it comes early.
            body: bytes = response.raw.read(limit + 1, decode_content=True)
        if len(body) > limit:
            raise DamagedData(f"{what} has more than {limit:,} bytes, which cannot be.")
        return body

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _borrowed(self) -> Iterator[requests.Session]:
        try:
            session = self._idle.pop()
        except IndexError:
            session = requests.Session()
            session.max_redirects = REDIRECTS
            session.headers.update({"Accept-Encoding": "identity", "User-Agent": "ndex"})
        try:
            yield session
        finally:
            self._idle.append(session)


def _refuse(response: requests.Response, what: str) -> None:
    """Raises what a status that is no success means."""
    status = response.status_code
    if status == 200:
        return
    said = f"{what}: the server answers {status}."
    if status in ABSENT:
        raise PermanentError(f"{what}: there is no such file (the server answers {status}).")
    if status in (401, 403):
        raise AccessError(f"{said} A name and password for it are taken from ~/.netrc.")
    if status in PASSING or status >= 500:
        raise TransientError(said, seconds_to_wait(response.headers.get("Retry-After")))
    raise JobError(f"{said} Check the address.")


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _interruption(error, what) from error


def _interruption(error: Exception, what: str) -> NdexError:
    """The error that an exception of requests or urllib3 stands for."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    host = urlsplit(what).netloc
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return JobError(
            f"{what}: the certificate of {host} is not trusted. If your institute has its own authority, name its file "
            "in the environment variable REQUESTS_CA_BUNDLE."
        )
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects)):
        return JobError(f"{what}: cannot be used as an address ({type(error).__name__}).")
    gone = isinstance(error, (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError))
    if gone or isinstance(reason, NewConnectionError):
        return Unreachable(f"{what}: nobody answers at {host}. Is the address right, and is the network up?")
    return TransientError(f"{what}: the connection to {host} broke ({type(error).__name__}).")
