"""The application on a socket: HTTP/1.1 with keep-alive, a thread a connection."""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from .app import App, refusal
from .bodies import SCRATCH, ChunkedBody, Disconnected, SizedBody
from .cutouts import MAX_BODY
from .faults import BossFault, HttpFault
from .messages import Request, Response, parse_query, too_large

LOG = logging.getLogger(__name__)

IDLE_SECONDS = 300.0
"""A connection on which nothing moves for so long is closed."""
LINGER_SECONDS = 30.0
"""How long to listen to a client that goes on sending after the answer, so that it gets to read the answer."""
QUIET_SECONDS = 2.0
"""A client that sends nothing for so long has read the answer, or never will."""
BACKLOG = 128
CONNECTIONS = 1000
"""At once, each with its thread. What comes beyond is told to come back: memory has an end, slow clients have none."""
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
DIGITS_MAX = 18


class Server(ThreadingHTTPServer):
    """Serves an application; port 0 takes a free one."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = BACKLOG

    def __init__(self, app: App, host: str = "127.0.0.1", port: int = 0) -> None:
        self.app = app
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if self.address_family == socket.AF_INET6 else f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        """As in HTTPServer, without its look-up of the host's name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            with suppress(OSError):
                request.sendall(BUSY)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread can be started
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            LOG.exception("connection of %s", client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "ndex"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # the head and a short body leave in one packet; a long body goes past the buffer
    _expects = False

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Every verb goes to the application, which knows best what to say to an odd one."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def handle_expect_100(self) -> bool:
        """The client is told to go on when a handler wants the body, not before."""
        self._expects = True
        return True

    def _go_ahead(self) -> None:
        if self._expects:
            self._expects = False
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()

    def _serve(self) -> None:
        try:
            body = self._body()
        except (BossFault, HttpFault) as fault:
            self._reply_and_linger(refusal(fault))
            return
        path, query = self._target()
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            response = self._app(Request(self.command, path, query, headers, body))
        except Disconnected:
            self.close_connection = True
            return
        try:
            self._finish(response, body)
        finally:
            response.sent()

    def _finish(self, response: Response, body: SizedBody | ChunkedBody) -> None:
        try:
            in_step = self._in_step(body)
        except Disconnected:
            self.close_connection = True
            return
        finally:
            self._expects = False
        if in_step:
            self._reply(response)
        else:
            self._reply_and_linger(response)

    def _in_step(self, body: SizedBody | ChunkedBody) -> bool:
        """Read what a handler has left of the body; False if the next request cannot follow on this connection,
        because there is too much of it, or because a client that asked first may send it or not."""
        if self._expects:
            return isinstance(body, SizedBody) and body.left == 0
        return body.drain(MAX_BODY)

    @property
    def _app(self) -> App:
        return cast(Server, self.server).app

    def _target(self) -> tuple[str, dict[str, str]]:
        """Path and query; of an absolute URL only these."""
        path, _, query = self.path.partition("?")
        if not path.startswith("/"):
            path = "/" + path.partition("://")[2].partition("/")[2]
        return path.partition("#")[0], parse_query(query.partition("#")[0])

    def _body(self) -> SizedBody | ChunkedBody:
        """Raises HttpFault (400) when it cannot be told where the body ends, BossFault (413) when it is too large."""
        coding = self.headers.get("Transfer-Encoding", "").strip().lower()
        lengths = {text.strip() for text in self.headers.get_all("Content-Length", ["0"])}
        if coding == "chunked":
            return ChunkedBody(self.rfile, self._go_ahead)
        length = lengths.pop()
        if coding or lengths or not (length.isascii() and length.isdigit() and len(length) <= DIGITS_MAX):
            raise HttpFault(400, "The length of the body cannot be understood.")
        if int(length) > MAX_BODY:
            raise too_large(MAX_BODY)
        return SizedBody(self.rfile, int(length), self._go_ahead)

    def _reply(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", response.media_type)
        self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()

    def _reply_and_linger(self, response: Response) -> None:
        """Answer in the middle of a body and close. What still arrives is thrown away for a while: closing at once
        would reset the connection, and the client would lose the answer."""
        self.close_connection = True
        self._reply(response)
        end = time.monotonic() + LINGER_SECONDS
        scratch = bytearray(SCRATCH)
        with suppress(OSError):  # the client is gone, or has stopped sending: either will do
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(QUIET_SECONDS)
            while time.monotonic() < end and self.connection.recv_into(scratch):
                pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses by itself, in JSON."""
        self.command = self.command or "GET"
        self.request_version = self.protocol_version
        self._reply_and_linger(refusal(HttpFault(code, message or explain or "Bad request.")))

    def version_string(self) -> str:
        return self.server_version

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""
