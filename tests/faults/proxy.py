"""A proxy on loopback between ndex and a real BOSS, which does to requests and answers what bad networks do."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""Closing sends a reset."""
HOP = {"connection", "transfer-encoding", "content-length", "content-type", "server", "date"}
"""Headers of an answer that belong to one connection."""
HOST = {"host", "connection"}

Kind = Literal["read", "write", "erase", "json"]


@dataclass(frozen=True)
class Exchange:
    """One request on its way, and the way on."""

    kind: Kind
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    ordinal: int
    """Of this very request: 0 when it is sent for the first time."""
    upstream: str

    def forward(self, body: bytes | None = None) -> Answer:
        """What the BOSS answers."""
        connection = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            connection.request(self.method, self.path, self.body if body is None else body, self.headers)
            got = connection.getresponse()
            headers = {name: value for name, value in got.getheaders() if name.lower() not in HOP}
            return Answer(got.status, got.read(), got.getheader("Content-Type", ""), headers)
        finally:
            connection.close()


@dataclass(frozen=True)
class Answer:
    """What the client gets."""

    status: int
    body: bytes = b""
    media: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """What Content-Length claims; None: the truth."""
    share: float = 1.0
    """Of the body that is sent."""
    end: Literal["keep", "close", "reset", "stall"] = "keep"
    """What follows."""
    silent: bool = False
    """Not even a status line."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with one request."""

    name: str
    act: Callable[[Exchange], Answer]
    taken: float = 1.0
    """Share of the request's body that is taken before that."""


Script = Callable[[Exchange], Fault | None]


def nothing(exchange: Exchange) -> None:
    """The script of a good network."""


@dataclass
class Proxy:
    """Stands at `host` for the BOSS at `upstream`; `script` says what goes wrong."""

    upstream: str
    port: int = 0
    script: Script = nothing
    asked: Counter[str] = field(default_factory=Counter)
    """Requests that arrived, by kind."""
    injected: Counter[str] = field(default_factory=Counter)
    """Faults, by name."""
    hit: Counter[str] = field(default_factory=Counter)
    """Requests that something went wrong with, by kind."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    _open: set[socket.socket] = field(default_factory=set)
    _released: threading.Event = field(default_factory=threading.Event)
    _server: ThreadingHTTPServer | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def requests(self) -> int:
        return self.asked.total()

    def reset_counts(self) -> None:
        """Forget what was asked so far."""
        self.asked.clear()
        self.injected.clear()
        self.hit.clear()
        self._sent.clear()

    def come_back(self) -> None:
        """Listen, on the same port as before."""
        if self._server is None:
            self._server = _Server(("127.0.0.1", self.port), _handler(self))
            self.port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True).start()

    def go_away(self) -> None:
        """Connections are refused from now on, and those that are open are reset."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        with self._lock:
            for connection in self._open:
                hang_up(connection)
            self._open.clear()

    def release(self) -> None:
        """End all stalls, those to come as well."""
        self._released.set()

    def close(self) -> None:
        self.release()
        self.go_away()

    def draw(self, request: Exchange) -> tuple[Exchange, Fault | None]:
        """Count a request, and what the script says to it."""
        with self._lock:
            exchange = replace(request, ordinal=self._sent[request.method, request.path])
            self._sent[request.method, request.path] += 1
            self.asked[exchange.kind] += 1
            fault = self.script(exchange)
            if fault is not None:
                self.injected[fault.name] += 1
                self.hit[exchange.kind] += 1
        return exchange, fault


class _Server(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are what this is for."""


def kind_of(method: str, path: str) -> Kind:
    if "/cutout/to_black/" in path:
        return "erase"
    if "/cutout/" in path:
        return "write" if method == "POST" else "read"
    return "json"


def hang_up(connection: socket.socket) -> None:
    """Reset a connection."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        connection.shutdown(socket.SHUT_RD)
    with suppress(OSError):
        os.close(connection.detach())


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            with proxy._lock:
                proxy._open.add(self.connection)

        def handle_any(self) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOST}
            kind = kind_of(self.command, self.path)
            exchange, fault = proxy.draw(Exchange(kind, self.command, self.path, headers, b"", 0, proxy.upstream))
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(int(length * (fault.taken if fault else 1)))
            exchange = replace(exchange, body=body)
            try:
                answer = fault.act(exchange) if fault else exchange.forward()
            except OSError:
                answer = Answer(502)  # the BOSS itself is gone
            self._give(answer)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def _give(self, answer: Answer) -> None:
            if not answer.silent:
                self.send_response(answer.status)
                for name, value in {"Content-Type": answer.media, **answer.headers}.items():
                    self.send_header(name, value)
                length = len(answer.body) if answer.length is None else answer.length
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(answer.body[: int(len(answer.body) * answer.share)])
            if answer.end == "stall":
                proxy._released.wait()
            if answer.end != "keep":
                self.close_connection = True
            if answer.end == "reset":
                hang_up(self.connection)

        def log_message(self, *args: object) -> None:
            """Requests are counted, not logged."""

        def finish(self) -> None:
            with proxy._lock:
                proxy._open.discard(self.connection)
            with suppress(OSError, ValueError):
                super().finish()

    return Handler


@contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    proxy = Proxy(upstream)
    proxy.come_back()
    try:
        yield proxy
    finally:
        proxy.close()


def first(fault: Fault, kind: Kind, times: int = 1, of: int | None = None) -> Script:
    """Every request of this kind goes wrong the first `times` that it is sent; `of`: only so many different ones."""
    hit: set[str] = set()

    def script(exchange: Exchange) -> Fault | None:
        if exchange.kind != kind or exchange.ordinal >= times:
            return None
        if of is not None and exchange.path not in hit and len(hit) >= of:
            return None
        hit.add(exchange.path)
        return fault

    return script


def one_each(faults: Sequence[Fault], kind: Kind, times: int = 1) -> Script:
    """Each request of this kind goes wrong in a way of its own, the first `times` that it is sent."""
    waiting, given = list(faults), dict[str, Fault]()

    def script(exchange: Exchange) -> Fault | None:
        if exchange.kind != kind or exchange.ordinal >= times:
            return None
        if exchange.path not in given and waiting:
            given[exchange.path] = waiting.pop(0)
        return given.get(exchange.path)

    return script


def seeded(seed: int, share: float, faults: dict[Kind, Sequence[Fault]]) -> Script:
    """This share of all requests goes wrong. What is drawn depends on the seed, the request, and how often it was
    sent, not on the order in which threads happen to send."""

    def script(exchange: Exchange) -> Fault | None:
        text = f"{seed}:{exchange.method}:{exchange.path}:{exchange.ordinal}"
        draw = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        choices = faults.get(exchange.kind, ())
        if not choices or draw % 10_000 >= share * 10_000:
            return None
        return choices[draw // 10_000 % len(choices)]

    return script
