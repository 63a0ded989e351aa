"""A plain client: requests as any program would send them, and the resources that most tests need."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import blosc
import numpy as np
import requests

from ndex.server.app import App
from ndex.server.http import Server

TOKEN = "a-secret"
FRAME = {
    **{"x_start": 0, "x_stop": 1001, "y_start": 0, "y_stop": 700, "z_start": 0, "z_stop": 50},
    **{"x_voxel_size": 5, "y_voxel_size": 5, "z_voxel_size": 40, "voxel_unit": "nanometers"},
}
Ranges = Sequence[tuple[int, int]]


class Caller:
    """Calls one server; with its token unless told otherwise."""

    def __init__(self, url: str, token: str | None = TOKEN) -> None:
        self.url = url
        self.host = url.partition("://")[2]
        self.session = requests.Session()
        self.session.trust_env = False
        self.authorization = {} if token is None else {"Authorization": f"Token {token}"}

    def __call__(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> Any:
        headers = self.authorization | (headers or {})
        return self.session.request(method, f"{self.url}{path}", headers=headers, timeout=60, **options)

    def make(self, path: str, **content: Any) -> Any:
        response = self("POST", f"/v1/{path}", json=content)
        assert response.status_code == 201, response.text
        return response.json()

    def make_experiment(self, frame: dict[str, Any] = FRAME, **content: Any) -> None:
        """lab/run7"""
        self.make("collection/lab")
        self.make("coord/run7_frame", **frame)
        self.make("collection/lab/experiment/run7", coord_frame="run7_frame", **content)

    def make_channel(self, name: str = "em", datatype: str = "uint8", type: str = "image", **content: Any) -> Any:
        return self.make(f"collection/lab/experiment/run7/channel/{name}", datatype=datatype, type=type, **content)

    def change(self, path: str, **content: Any) -> Any:
        return self("PUT", f"/v1/{path}", json=content)

    def cutout(self, ranges: Ranges, channel: str = "em", level: int = 0) -> str:
        """Path of a cutout; ranges along x, y, z and perhaps t."""
        return f"/v1/cutout/lab/run7/{channel}/{level}/" + "/".join(f"{a}:{b}" for a, b in ranges) + "/"

    def write(self, array: np.ndarray, ranges: Ranges, channel: str = "em", level: int = 0, query: str = "") -> Any:
        return self.send(blosc.compress(array.tobytes(), array.itemsize), ranges, channel, level, query)

    def send(self, body: Any, ranges: Ranges, channel: str = "em", level: int = 0, query: str = "") -> Any:
        """A cutout in whatever form."""
        headers = {"Content-Type": "application/blosc"}
        return self("POST", self.cutout(ranges, channel, level) + query, data=body, headers=headers)

    def read(
        self, ranges: Ranges, channel: str = "em", level: int = 0, dtype: str = "uint8", query: str = ""
    ) -> np.ndarray:
        response = self("GET", self.cutout(ranges, channel, level) + query)
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == "application/blosc"
        shape = [b - a for a, b in reversed(ranges[:3])]
        times = [b - a for a, b in ranges[3:]]
        return np.frombuffer(blosc.decompress(response.content), dtype).reshape(*times, *shape)

    def fault(self, method: str, path: str, **options: Any) -> tuple[int, int | None]:
        """Status and code of a refusal, which must be JSON."""
        response = self(method, path, **options)
        assert response.headers["Content-Type"] == "application/json", response.text
        content = response.json()
        if "code" in content:
            assert content["status"] == response.status_code
            assert isinstance(content["message"], str)
        else:
            assert list(content) == ["detail"]
        return response.status_code, content.get("code")


@contextmanager
def serving(root: Path, *, read_only: bool = False) -> Iterator[str]:
    """The application on a socket of its own, in a thread of this process; gives its URL."""
    app = App(root, TOKEN, read_only=read_only)
    server = Server(app)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.close()
