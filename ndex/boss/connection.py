"""HTTP to one BOSS: intern's sessions and request builders, made to time out, to stay on their host and to stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection

from ..errors import ServerError
from ..retry import seconds_to_wait
from .credentials import Credentials
from .faults import Answer, interruption
from .flow import Flow
from .pace import Pace

if TYPE_CHECKING:
    from intern.remote.boss import BossRemote

CONNECT_TIMEOUT = 10
"""Seconds for a connection to come about (boss-api 12.3)."""
PIECE = 1 << 20
"""Bytes of a body that are sent at a time: of smaller ones, threads spend their time waiting for each other."""
JSON_TIMEOUT = 60
"""Seconds without a byte before a JSON request is given up (boss-api 12.3)."""
JSON_LIMIT = 64 << 20
"""Bytes of the longest JSON answer that is read: a list of a million names fits."""
ERROR_LIMIT = 1 << 16
"""Bytes of a refusal that are read: enough for its message."""

Build = Callable[[Any, str, str], requests.Request]
"""Makes the request from intern's request builder, the address of the BOSS and the token."""


class Connection:
    """Requests to one BOSS, from any number of threads.

    A `requests` session is not promised to be thread-safe, so each request borrows one of a stack of remotes and puts
    it back: there are as many as there ever were requests at once, and the one used last, whose connection is warm, is
    used next. Nothing is tried again here.
    """

    def __init__(self, access: Credentials, timeout: float, pace: Pace, flow: Flow) -> None:
        self.access = access
        self.flow = flow
        self._pace = pace
        self._timeout = timeout
        self._idle: list[BossRemote] = []

    def ask_json(self, service: Literal["project", "metadata", "volume"], what: str, build: Build) -> Answer:
        """The answer to a request whose body, if any, is JSON. Raises TransferError when none arrives whole."""
        return self._exchange(service, what, build, "application/json", JSON_TIMEOUT, JSON_LIMIT)

    def ask_voxels(self, what: str, build: Build, limit: int = ERROR_LIMIT) -> Answer:
        """The answer to a cutout request, of at most `limit` bytes if it is a success. Sent when the pace allows it."""
        self._pace.wait()
        return self._exchange("volume", what, build, "application/blosc", self._timeout, limit)

    def close(self) -> None:
        while self._idle:
            _close(self._idle.pop())

    def _exchange(self, service: str, what: str, build: Build, accept: str, timeout: float, limit: int) -> Answer:
        with self._borrowed() as remote:
            owner = getattr(remote, f"{service}_service")
            request = build(owner.service, owner.url_prefix, self.access.token)
            options = {**owner.session_send_opts, "stream": True, "timeout": (CONNECT_TIMEOUT, timeout)}
            try:
                prepared = owner.session.prepare_request(request)
                prepared.headers.update({"Accept": accept, "Accept-Encoding": "identity"})
                response = owner.session.send(prepared, allow_redirects=False, **options)
                try:
                    answer = _read(response, accept, limit, what)
                    self._pace.carry(len(answer.body) + int(prepared.headers.get("Content-Length", 0)))
                    self._pace.answered(answer.status, seconds_to_wait(answer.retry_after))
                    return answer
                finally:
                    response.close()
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise interruption(error, what, self.access) from error

    @contextmanager
    def _borrowed(self) -> Iterator[BossRemote]:
        try:
            remote = self._idle.pop()
        except IndexError:
            remote = _new_remote(self.access, self._timeout)
        try:
            yield remote
        finally:
            self._idle.append(remote)


def _read(response: requests.Response, accept: str, limit: int, what: str) -> Answer:
    """The body straight from the socket: `response.content` would gather it in small pieces, at 5 times the CPU.

    One whose length is not announced, or that comes packed, passes through urllib3's buffers and is read up to one
    byte more than the limit, so that urllib3 sees the end of the body, and raises if it comes early.
    Raises ServerError for a body that is announced as longer than it can be.
    """
    headers = response.headers
    media = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    expected = response.ok and media == accept
    announced = response.raw.length_remaining
    if expected and announced is not None and announced > limit:
        raise ServerError(f"{what}: the answer of {announced} bytes is longer than it can be ({limit}).")
    if expected and announced is not None and "Content-Encoding" not in headers:
        body: bytes = response.raw.read(decode_content=False)
    else:
        body = response.raw.read((limit if expected else ERROR_LIMIT) + 1, decode_content=True)
    return Answer(response.status_code, media, body, headers.get("Retry-After"))


def _new_remote(access: Credentials, timeout: float) -> BossRemote:
    """intern's view of a BOSS. Imported here, because that takes as long as all of ndex's own start.

    The token does not pass through intern's configuration, where a `%` in it would be taken for an interpolation
    (boss-api 13.1); it is given to each request.
    """
    from intern.remote.boss import BossRemote

    remote = BossRemote({"protocol": access.protocol, "host": access.host, "token": "see-each-request"})
    proxies = {} if access.loopback else get_environ_proxies(access.url)
    adapter = _Adapter(timeout)
    for service in (remote.project_service, remote.metadata_service, remote.volume_service):
        service.session.trust_env = False  # a .netrc entry would replace the token (boss-api 13.2)
        service.session.mount("http://", adapter)
        service.session.mount("https://", adapter)
        service.session_send_opts = {**service.session_send_opts, "proxies": proxies}
    return remote


def _close(remote: BossRemote) -> None:
    for service in (remote.project_service, remote.metadata_service, remote.volume_service):
        service.session.close()


class _Patient:
    """While a body is sent, urllib3 keeps the timeout of connecting on the socket; a slow line needs longer for it."""

    def __init__(self, *args: Any, patience: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience = patience

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # of the connection class it is mixed into
        self.sock.settimeout(self._patience)  # type: ignore[attr-defined]


class _PatientHTTP(_Patient, HTTPConnection):
    pass


class _PatientHTTPS(_Patient, HTTPSConnection):
    pass


class _Adapter(HTTPAdapter):
    """One connection per host, no retries of its own, and `patience` seconds for each piece of a body to be taken."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        kind = _PatientHTTPS if pool.scheme == "https" else _PatientHTTP
        pool.ConnectionCls = partial(kind, patience=self._patience, blocksize=PIECE)
        return pool
