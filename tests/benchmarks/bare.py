"""A bare in-memory BOSS: the least that ndex and intern need, with a line of any latency and bandwidth before it.

It stands in for a server that is never the bottleneck: an upload is kept as it came and unpacked only when somebody
reads, and a cutout is packed once, so that all but the first read of it cost nothing but the line.

    python tests/benchmarks/bare.py --latency 0.3 --bandwidth 12.5e6
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import blosc
import numpy as np


class Line:
    """A line that all connections share: one piece after the other in each direction."""

    def __init__(self, bandwidth: float | None) -> None:
        self._bandwidth = bandwidth
        self._lock = threading.Lock()
        self._free = 0.0
        self.nbytes = 0

    def carry(self, nbytes: int) -> None:
        """Takes as long as the line needs, behind those who came before."""
        with self._lock:
            self.nbytes += nbytes
            if self._bandwidth is None:
                return
            now = time.monotonic()
            self._free = max(now, self._free) + nbytes / self._bandwidth
            wait = self._free - now
        time.sleep(wait)


class Boss:
    """Resources, and the voxels of one channel."""

    def __init__(self, latency: float, bandwidth: float | None) -> None:
        self.latency = latency
        self.up, self.down = Line(bandwidth), Line(bandwidth)
        self.resources: dict[str, dict[str, Any]] = {}
        self.arrived: dict[str, bytes] = {}
        self.requests = self.writes = 0
        self._packing = threading.Lock()

    def frame(self, path: str) -> bytes:
        with self._packing:
            return self._frame(path)

    @cache  # noqa: B019 - the server lives as long as its process
    def _frame(self, path: str) -> bytes:
        return blosc.compress(np.ascontiguousarray(self._voxels(box_of(path))), typesize=8, clevel=1, cname="lz4")

    def _voxels(self, box: tuple[slice, ...]) -> np.ndarray:
        """Put together from what has arrived."""
        channel = next(content for path, content in self.resources.items() if "/channel/" in path)
        voxels = np.zeros([span.stop - span.start for span in box], channel["datatype"])
        for path, body in self.arrived.items():
            there = box_of(path)
            common = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, there, strict=True)]
            if all(span.start < span.stop for span in common):
                shape = [span.stop - span.start for span in there]
                block = np.frombuffer(blosc.decompress(body), voxels.dtype).reshape(shape)
                voxels[_inside(common, box)] = block[_inside(common, there)]
        return voxels


def _inside(box: list[slice], of: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, of, strict=True))


def box_of(path: str) -> tuple[slice, ...]:
    """Slices of a (z, y, x) array from the path of a cutout."""
    spans = [part.split(":") for part in path.split("/") if ":" in part]
    x, y, z = (slice(int(start), int(stop)) for start, stop in spans)
    return z, y, x


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    boss: Boss

    def do_GET(self) -> None:
        path = self._path()
        if path == "stats":
            lines = {"up": self.boss.up.nbytes, "down": self.boss.down.nbytes, "requests": self.boss.requests}
            self._json(200, {**lines, "writes": self.boss.writes, "blocks": len(self.boss.arrived)})
        elif path.startswith("cutout/"):
            time.sleep(self.boss.latency)
            self._send_frame(self.boss.frame(path))
        elif path in self.boss.resources:
            self._json(200, self.boss.resources[path])
        else:
            self._json(404, {"status": 404, "code": 4000, "message": "no such resource"})

    def do_POST(self) -> None:
        path = self._path()
        body = self._body()
        if path.startswith("cutout/"):
            self.boss.up.carry(len(body))
            time.sleep(self.boss.latency)
            self.boss.arrived[path] = body
            self.boss.writes += 1
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.boss.resources[path] = {**DEFAULTS, **json.loads(body)}
            self._json(201, self.boss.resources[path])

    def _path(self) -> str:
        self.boss.requests += 1
        return self.path.partition("?")[0].removeprefix("/v1/").rstrip("/")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _send_frame(self, frame: bytes) -> None:
        self.boss.down.carry(len(frame))
        self.send_response(200)
        self.send_header("Content-Type", "application/blosc")
        self.send_header("Content-Length", str(len(frame)))
        self.end_headers()
        self.wfile.write(frame)

    def _json(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    """Of connections that come at once; one that finds no room is tried again only after a second."""


DEFAULTS = {
    **{"description": "", "creator": "bench", "experiments": [], "channels": [], "public": False},
    **{"downsample_status": "NOT_DOWNSAMPLED", "storage_type": "spdb", "bucket": None, "cv_path": None},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each cutout")
    parser.add_argument("--bandwidth", type=float, default=None, help="bytes per second, in each direction")
    options = parser.parse_args()
    Handler.boss = Boss(options.latency, options.bandwidth)
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the parent closes it, or dies


if __name__ == "__main__":
    main()
