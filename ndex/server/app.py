"""The application: one request in, one response out; no sockets here."""

from __future__ import annotations

import hmac
import logging
import sqlite3
from dataclasses import replace
from pathlib import Path

from . import routes
from .bodies import Disconnected
from .catalog import Catalog
from .faults import BossFault, Code, HttpFault
from .formats import accepted
from .gate import Gate
from .messages import Request, Response, json_response
from .site import Site
from .volume import Volume
from .worker import Worker

LOG = logging.getLogger(__name__)

VERSIONS = ("v1", "latest")
OLD_VERSIONS = tuple(f"v0.{minor}" for minor in range(1, 9))
WRITES = ("POST", "PUT", "DELETE")
BINARY = ("cutout", "image", "tile")
"""Services that negotiate their media types themselves."""

PUBLIC_TOKEN = "public"
"""What intern sends when it has no token (boss-api 2.1)."""

MEMORY = 2 << 30
"""Bytes of voxels in memory at once."""

CORS = {"Access-Control-Allow-Origin": "*"}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "DELETE, GET, OPTIONS, PATCH, POST, PUT",
    "Access-Control-Allow-Headers": "accept, accept-encoding, authorization, content-type, dnt, origin, user-agent, "
    "x-csrftoken, x-requested-with",
    "Access-Control-Max-Age": "86400",
}


class App:
    """An embedded BOSS over one folder. With `read_only` nothing on disk is made or changed; it may be absent."""

    def __init__(self, root: Path, token: str, *, read_only: bool = False) -> None:
        self._token = token
        self._read_only = read_only
        if not read_only:
            root.mkdir(parents=True, exist_ok=True)
        catalog, volume = Catalog(root / "catalog.sqlite", read_only=read_only), Volume(root)
        self.site = Site(catalog, volume, Gate(MEMORY), Worker(root, catalog, volume))
        if not read_only:
            self.site.worker.wake_if_pending()

    def close(self) -> None:
        self.site.worker.close()
        self.site.catalog.close()

    def __call__(self, request: Request) -> Response:
        """The answer, whatever happens; every error is JSON (boss-api 3.1)."""
        try:
            response = self._answer(request)
        except (BossFault, HttpFault) as fault:
            return refusal(fault)
        except Disconnected:
            raise
        except sqlite3.OperationalError:
            LOG.exception("%s %s", request.method, request.path)
            return refusal(HttpFault(503, "The catalogue is busy or cannot be written; try again."))
        except Exception:  # a bug; the client still gets an answer that it can read
            LOG.exception("%s %s", request.method, request.path)
            return refusal(HttpFault(500, "The server has failed; its log says how."))
        return replace(response, headers={**response.headers, **CORS})

    def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(200, headers=PREFLIGHT)
        version, *segments = request.segments or [""]
        if version == "ping" and not segments and request.method in ("GET", "HEAD"):
            return json_response(200, {"ip": "127.0.0.1"})
        if version in OLD_VERSIONS:
            raise BossFault(Code.UNSUPPORTED_VERSION, f"Version {version} of the API is no longer served: use v1.")
        if version not in VERSIONS:
            raise BossFault(Code.INVALID_REQUEST, "There is nothing under this URL.")
        return self._route(replace(request, trusted=self._authenticate(request)), segments)

    def _route(self, request: Request, segments: list[str]) -> Response:
        verbs, names = routes.match(segments)
        verb = "GET" if request.method == "HEAD" else request.method
        handler = verbs.get(verb)
        if handler is None:
            allowed = ", ".join([*verbs, "OPTIONS"])
            raise HttpFault(405, f'Method "{request.method}" not allowed.', Allow=allowed)
        if self._read_only and (verb in WRITES or handler in routes.WRITING_GETS):
            raise BossFault(Code.MISSING_ROLE, "This server is read-only.")
        if segments[0] not in BINARY:
            check_json_accepted(request)
        return handler(self.site, request, **names)

    def _authenticate(self, request: Request) -> bool:
        """True for the holder of the token, False for a reader of what is public. Raises HttpFault (401)."""
        header = request.headers.get("authorization")
        if header is None:
            if request.method in WRITES:
                raise unauthorized("Authentication credentials were not provided.")
            return False
        scheme, _, token = header.partition(" ")
        if scheme.lower() in ("token", "bearer"):
            if hmac.compare_digest(token.strip().encode(), self._token.encode()):
                return True
            if token.strip() == PUBLIC_TOKEN:
                return False
        raise unauthorized("Invalid token.")


def refusal(fault: BossFault | HttpFault) -> Response:
    headers = fault.headers if isinstance(fault, HttpFault) else {}
    return json_response(fault.status, fault.as_json(), {**headers, **CORS})


def unauthorized(detail: str) -> HttpFault:
    return HttpFault(401, detail, WWW_Authenticate='Bearer realm="api"')


def check_json_accepted(request: Request) -> None:
    """A browser that asks for HTML gets JSON too. Raises HttpFault (406)."""
    ranges = accepted(request.headers.get("accept", ""))
    known = ("application/json", "application/*", "*/*", "text/html", "text/*")
    if ranges and request.query.get("format") != "json" and not any(wanted in known for wanted in ranges):
        raise HttpFault(406, "Could not satisfy the request Accept header; the answer is application/json.")
