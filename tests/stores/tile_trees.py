"""Trees of tiles for the tests of `tiles`: in a folder, in a bucket, behind a web server."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import s3_server
import tifffile
from PIL import Image

from ndex.job import Boss, Job, Retry
from ndex.stores import images, tiles

PATTERN = "{z:04d}/{y}_{x}.png"
TILE = (50, 40)
"""Width and height."""


def cut(volume: np.ndarray, pad: bool = False) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """Plane, row, column and pixels of each tile; with `pad` all of them as large as the first."""
    width, height = TILE
    for z, plane in enumerate(volume):
        for y in range(0, plane.shape[0], height):
            for x in range(0, plane.shape[1], width):
                pixels = plane[y : y + height, x : x + width]
                missing = [(0, height - pixels.shape[0]), (0, width - pixels.shape[1])]
                yield z, y // height, x // width, np.pad(pixels, missing) if pad else pixels


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    buffer = io.BytesIO()
    if suffix == ".tif":
        tifffile.imwrite(buffer, pixels, compression="zlib", rowsperstrip=7)
    else:
        Image.fromarray(pixels).save(buffer, {".png": "PNG", ".jpg": "JPEG"}[suffix], **_options(suffix))
    return buffer.getvalue()


def _options(suffix: str) -> dict[str, Any]:
    return {"quality": 95} if suffix == ".jpg" else {}


def write_tree(
    folder: Path, volume: np.ndarray, first: int = 0, pattern: str = PATTERN, pad: bool = False, base: int = 0
) -> None:
    for z, y, x, pixels in cut(volume, pad):
        path = folder / pattern.format(z=z + first, y=y + base, x=x + base)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(pixels, path.suffix))


def upload_tree(folder: Path, bucket: str, prefix: str) -> None:
    client = s3_server.client()
    for path in folder.rglob("*.*"):
        client.put_object(Bucket=bucket, Key=f"{prefix}/{path.relative_to(folder).as_posix()}", Body=path.read_bytes())


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder; what the server is told to answer first comes before them."""

    protocol_version = "HTTP/1.1"
    server: Web

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        answers = self.server.answers.get(self.path)
        if not answers:
            super().do_GET()
            return
        status, headers, body = answers.pop(0)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


class Web(ThreadingHTTPServer):
    """A web server over a folder, with scripted failures."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.answers: dict[str, list[tuple[int, dict[str, str], bytes]]] = {}
        """By path: status, headers and body."""
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not worth a traceback."""


@contextmanager
def serving(folder: Path) -> Iterator[Web]:
    with Web(folder) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield web
        finally:
            web.shutdown()
            thread.join()


def job_of(path: object, pattern: str = PATTERN, **keys: Any) -> Job:
    of_job = {key: keys.pop(key) for key in ("missing", "extent") if key in keys}
    return Job(
        boss=Boss(host="nowhere"),
        source=tiles.Source(path=str(path), pattern=pattern, tile=keys.pop("tile", TILE), **keys),
        destination=images.Destination(path="nowhere"),
        retry=Retry(attempts=2, wait=0, max_wait=0),
        **of_job,
    )


def reading(path: object, pattern: str = PATTERN, **keys: Any) -> Any:
    return tiles.open_source(job_of(path, pattern, **keys))
