"""A stand-in for a render web service, written from its description: stacks of an invented world, served on loopback.

The world is a function of place and channel, so every answer can be computed a second way, and two boxes that should
join do so only if both were asked for at the right place.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import imagecodecs
import numpy as np
import numpy.typing as npt

from ndex.geometry import Box

PREFIX = "/render-ws/v1"
BOX = re.compile(r"z/([^/]+)/box/([^,]+),([^,]+),(\d+),(\d+),([^/]+)/([a-z0-9]+)-image")
NAME = re.compile(r"[A-Za-z0-9]+(_[A-Za-z0-9]+)*")
DEFAULT_LIMIT = 20
"""Tiles in a box, above which outlines are drawn."""
Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Stack:
    """A stack; its tiles cover `tiles` in each section."""

    depth: int = 8
    tiles: tuple[int, int, int, int] = (-53, 12, 611, 340)
    """x0, y0, x1, y1: half-open, full-scale."""
    sections: tuple[float, ...] = (3, 4, 5)
    channels: tuple[str, ...] | None = ()
    state: str = "COMPLETE"
    modified: str = "2024-03-01T10:20:30.456Z"
    default_channel: str | None = None
    tile: int = 64
    """Side of a tile."""

    def values(self, x: Pixels, y: Pixels, z: float, channel: str | None) -> Pixels:
        """Of the world at places, zero outside of the tiles."""
        index = 0 if channel is None else 1 + (self.channels or ()).index(channel)
        columns, rows = np.meshgrid(x, y)
        top = 251 if self.depth == 8 else 65_521
        value = (columns * 7 + rows * 257 + columns * rows + round(10 * z) * 1009 + index * 31) % top + 1
        x0, y0, x1, y1 = self.tiles
        inside = (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
        return np.where(inside & (z in self.sections), value, 0).astype(np.int64)

    def scaled(self, x: range, y: range, z: float, scale: float, channel: str | None = None) -> Pixels:
        """Pixels at a scale, each from the world in its middle."""
        places = (np.floor((np.array(axis) + 0.5) / scale + 1e-9).astype(np.int64) for axis in (x, y))
        return self.values(*places, z, channel)

    def count(self, x: float, y: float, width: int, height: int, z: float) -> int:
        """Tiles that touch a box."""
        x0, y0, x1, y1 = self.tiles
        wide, high = min(x + width, x1) - max(x, x0), min(y + height, y1) - max(y, y0)
        touched = (int(wide) // self.tile + 1) * (int(high) // self.tile + 1)
        return touched if min(wide, high) > 0 and z in self.sections else 0

    def bounds(self) -> dict[str, float]:
        x0, y0, x1, y1 = map(float, self.tiles)
        z = {"minZ": float(min(self.sections)), "maxZ": float(max(self.sections))} if self.sections else {}
        return {"minX": x0, "minY": y0, "maxX": x1, "maxY": y1, **z}

    def metadata(self, name: str) -> dict[str, Any]:
        version = {"stackResolutionX": 4.0, "stackResolutionY": 4.0, "stackResolutionZ": 40.0}
        stats = {"stackBounds": self.bounds(), "sectionCount": len(self.sections)}
        return {
            "stackId": {"owner": "optics", "project": "p1", "stack": name},
            "state": self.state,
            "lastModifiedTimestamp": self.modified,
            "currentVersion": version | ({"defaultChannel": self.default_channel} if self.default_channel else {}),
            **({} if self.state == "LOADING" else {"stats": stats | self._channels()}),
        }

    def _channels(self) -> dict[str, list[str]]:
        return {} if self.channels is None else {"channelNames": sorted(self.channels)}


@dataclass(frozen=True)
class Painted(Stack):
    """A stack that shows an array (z, y, x) where it has tiles."""

    array: Pixels = field(default_factory=lambda: np.zeros((0, 0, 0)))

    def values(self, x: Pixels, y: Pixels, z: float, channel: str | None) -> Pixels:
        x0, y0, x1, y1 = self.tiles
        columns, rows = (x >= x0) & (x < x1), (y >= y0) & (y < y1)
        plane = self.array[self.sections.index(z)]
        result = np.zeros((len(y), len(x)), np.int64)
        result[np.ix_(rows, columns)] = plane[np.ix_(y[rows] - y0, x[columns] - x0)]
        return result


def painted(array: Pixels, box: Box) -> Stack:
    """A stack that shows an array in a box."""
    tiles = (box.start.x, box.start.y, box.stop.x, box.stop.y)
    return Painted(tiles=tiles, sections=tuple(range(*box.z)), array=array)


class Request(NamedTuple):
    path: str
    """Below the project."""
    query: dict[str, str]
    headers: dict[str, str]


class Reply(NamedTuple):
    status: int
    body: bytes
    media: str = "text/plain"
    claimed: int | None = None
    """What Content-Length says; None: the truth."""


def told(content: object) -> Reply:
    return Reply(200, json.dumps(content).encode(), "application/json")


@dataclass
class RenderService:
    port: int
    stacks: dict[str, Stack] = field(default_factory=dict)
    seen: list[Request] = field(default_factory=list)
    script: Callable[[Request], Reply | None] = lambda request: None
    """Asked first; None: answer as a render service does."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def images(self) -> list[Request]:
        """The requests for images."""
        return [request for request in self.seen if request.path.endswith("-image")]

    def answer(self, path: str, query: dict[str, str], headers: dict[str, str]) -> Reply:
        parts = re.fullmatch(rf"{PREFIX}/owner/([^/]+)/project/([^/]+)/(stackIds|stack/([^/]+)/?(.*))", path)
        if parts is None:
            return Reply(404, b"no such path")
        owner, project, last, name, rest = parts.groups()
        request = Request(f"{name}/{rest}".strip("/") if name else last, query, headers)
        self.seen.append(request)
        scripted = self.script(request)
        if scripted is not None:
            return scripted
        known = (owner, project) == ("optics", "p1")
        if last == "stackIds":
            return told([{"owner": owner, "project": project, "stack": one} for one in self.stacks if known])
        if not all(map(NAME.fullmatch, (owner, project, name))):
            return Reply(500 if "box" in rest else 400, b"invalid name")
        if not known or name not in self.stacks:
            return Reply(404, f"no stack {name}".encode())
        return self._about(self.stacks[name], name, rest, query)

    def _about(self, stack: Stack, name: str, rest: str, query: dict[str, str]) -> Reply:
        if not rest:
            return told(stack.metadata(name))
        if rest == "zValues":
            return told(list(stack.sections))
        if bounds := re.fullmatch(r"z/([^/]+)/bounds", rest):
            return told(stack.bounds()) if float(bounds[1]) in stack.sections else Reply(400, b"no tile at z")
        box = BOX.fullmatch(rest)
        return picture(stack, box.groups(), query) if box else Reply(404, b"no such path")


def picture(stack: Stack, box: Any, query: dict[str, str]) -> Reply:
    """A box image: the size truncated, the empty kinds of emptiness, the outlines."""
    z, x, y, scale = (float(box[i]) for i in (0, 1, 2, 5))
    width, height = (int(box[i]) for i in (3, 4))
    across, down = int(scale * width), int(scale * height)
    if not across or not down:
        return Reply(400, b"zero-sized output")
    channel = query.get("channels")
    unknown = channel is not None and channel not in (stack.channels or ())
    tiles = 0 if unknown else stack.count(x, y, width, height, z)
    if tiles > int(query.get("maxTileSpecsToRender", DEFAULT_LIMIT)):
        return outlines(across, down)
    places = (np.floor(a + (np.arange(n) + 0.5) / scale + 1e-9).astype(np.int64) for a, n in ((x, across), (y, down)))
    values = stack.values(*places, z, None if unknown else channel) * (tiles > 0)
    if box[6] == "png16":
        return png(values.astype(np.uint16))
    low, high = float(query.get("minIntensity", 0)), float(query.get("maxIntensity", 255))
    grey = np.rint(np.clip((values - low) * 255 / (high - low), 0, 255)).astype(np.uint8) * (values > 0)
    alpha = np.full_like(grey, 255 if tiles else 0)
    return png(np.dstack([grey, grey, grey, alpha]))


def outlines(width: int, height: int) -> Reply:
    """Green lines on nothing."""
    image = np.zeros((height, width, 4), np.uint8)
    image[::7, :, 1] = image[::7, :, 3] = 255
    return png(image)


def png(image: Pixels) -> Reply:
    return Reply(200, imagecodecs.png_encode(np.ascontiguousarray(image), level=1), "image/png")


@contextmanager
def serving(**stacks: Stack) -> Iterator[RenderService]:
    """A service with these stacks of owner optics, project p1, in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            reply = service.answer(unquote(address.path), dict(parse_qsl(address.query)), dict(self.headers))
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.media)
            if 300 <= reply.status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(reply.body) if reply.claimed is None else reply.claimed))
            self.end_headers()
            self.wfile.write(reply.body)
            self.close_connection = reply.claimed is not None

        def log_message(self, *args: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True  # the test broke it off

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service = RenderService(server.server_address[1], stacks)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def changed(stack: Stack, **fields: Any) -> Stack:
    """The same stack, a day later."""
    return replace(stack, modified="2024-03-02T10:20:30.456Z", **fields)
