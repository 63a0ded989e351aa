"""A server on loopback that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Seen:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: int
    """Port at the other side: requests of one connection share it."""


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b""
    media: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """What Content-Length claims; None: the truth."""
    reset: bool = False
    """Break the connection off instead of answering."""
    chunked: bool = False


def told(content: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(content).encode())


def refusal(status: int, code: int, message: str = "no") -> Reply:
    """An application error of a BOSS (boss-api 3.1)."""
    return told({"status": status, "code": code, "message": message}, status)


def page(status: int = 200) -> Reply:
    return Reply(status, b"<html>planned maintenance</html>", "text/html; charset=utf-8")


LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""Closing sends a reset."""

Script = Callable[[Seen], Reply]


@dataclass
class Scripted:
    """`script` is a function of the request, or a list of replies of which the last one repeats."""

    port: int
    seen: list[Seen] = field(default_factory=list)
    script: Script | Sequence[Reply] = ()
    stall: float = 0
    """Seconds before a body is read: a busy server."""
    ended: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: Seen) -> Reply:
        self.seen.append(request)
        if callable(self.script):
            return self.script(request)
        return self.script[min(len(self.seen), len(self.script)) - 1]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """Method and path of each request."""
        return [f"{request.method} {request.path}" for request in self.seen]


@contextmanager
def serving() -> Iterator[Scripted]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            if scripted.stall:
                scripted.ended.wait(scripted.stall)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = scripted.answer(Seen(self.command, self.path, dict(self.headers), body, self.client_address[1]))
            if reply.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(reply.status)
            for name, value in {"Content-Type": reply.media, **reply.headers}.items():
                self.send_header(name, value)
            if reply.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(reply.body), reply.body))
                return
            self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
            self.end_headers()
            self.wfile.write(reply.body)
            self.close_connection = reply.length is not None

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def log_message(self, *args: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, ValueError):
                self.close_connection = True  # the test broke it off

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scripted = Scripted(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield scripted
    scripted.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()
