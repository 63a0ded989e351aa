"""A gate before the S3 of the tests: it counts what passes, and answers itself where a test says so."""

from __future__ import annotations

import http.client
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import s3_server


class Request(NamedTuple):
    """What was asked."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


class Answer(NamedTuple):
    """What the gate says by itself."""

    status: int
    code: str
    headers: dict[str, str] = {}  # noqa: RUF012 - of a NamedTuple, never changed
    cut: int | None = None
    """Send this many bytes of the real answer, and hang up."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def pass_on(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(Request(self.command, path, query, dict(self.headers)))
        scripted = self.server.script[self.command, path]
        answer = scripted.pop(0) if scripted else None
        if answer is None or answer.cut is not None:
            self._answer(*self.server.upstream(self.command, self.path, body, dict(self.headers)), answer)
        else:
            text = f"<Error><Code>{answer.code}</Code><Message>secret echo</Message></Error>".encode()
            self._answer(answer.status, {"Content-Type": "application/xml", **answer.headers}, text, None)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = pass_on

    def _answer(self, status: int, headers: dict[str, str], body: bytes, cut: Answer | None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[: cut.cut])
        self.close_connection = cut is not None

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


class Gate(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[Request] = []
        self.script: defaultdict[tuple[str, str], list[Answer | None]] = defaultdict(list)
        """By method and path, `/bucket/key`; None: pass on."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, method: str) -> int:
        return sum(request.method == method for request in self.asked)

    def upstream(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(urlsplit(s3_server.endpoint()).netloc)
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not worth a traceback."""


@contextmanager
def gate() -> Iterator[Gate]:
    with Gate() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
