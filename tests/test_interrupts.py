"""Ctrl-C on a command whose requests nobody answers: the second time ends it at once, on every backend."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ndex.server.process import TOKEN_ENV, child_environment, running

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to another process on Windows")


class Swallowing(BaseHTTPRequestHandler):
    """Passes questions on to a BOSS, and lets voxels wait."""

    protocol_version = "HTTP/1.1"
    boss = ""
    asked: threading.Event
    released: threading.Event

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "/cutout/" in self.path:
            self.asked.set()
            self.released.wait()
            self.close_connection = True
            return
        onward = HTTPConnection(self.boss)
        onward.request(self.command, self.path, body, dict(self.headers))
        answer = onward.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        onward.close()

    do_POST = do_PUT = do_GET

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[tuple[str, threading.Event]]:
    """A BOSS that answers no cutout, and the event of its being asked for one."""
    with running(tmp_path / "boss") as boss:
        asked, released = threading.Event(), threading.Event()
        handler = type("Handler", (Swallowing,), {"boss": boss, "asked": asked, "released": released})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"127.0.0.1:{server.server_port}", asked
            released.set()
            server.shutdown()


@pytest.mark.parametrize("backend", ["serial", "threads", "processes"])
def test_the_second_interrupt_waits_for_nobody(
    backend: str, silent: tuple[str, threading.Event], tmp_path: Path
) -> None:
    host, asked = silent
    (tmp_path / "in").mkdir()
    for z in range(48):
        tifffile.imwrite(tmp_path / "in" / f"{z:03d}.tif", np.full((9, 9), 7, np.uint8))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ndex", "source=images", "source.path=in", "source.pattern=%03d.tif"),
            *("resource.collection=c", "resource.experiment=e", "resource.channel=em", "resource.voxel_size=[1,1,1]"),
            *("boss=custom", f"boss.host={host}", "boss.protocol=http", f"boss.token_env={TOKEN_ENV}"),
            *(f"parallel={backend}", "parallel.n_jobs=2"),
        ],
        cwd=tmp_path, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert asked.wait(30)
    os.killpg(process.pid, signal.SIGINT)
    assert any("Once more to stop at once" in line for line in process.stdout)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err == "ndex: interrupted; the same command goes on from here\n"
