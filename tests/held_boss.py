"""A BOSS that holds writes back until a test lets them go, and the command as a process that a test can interrupt."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ndex
from ndex.server.app import App
from ndex.server.http import Server
from ndex.server.messages import Request, Response

TOKEN = "sesame-of-the-held-boss"
PATIENCE = 30.0
"""Seconds for anything that must happen; far more than it takes."""


@dataclass
class Held:
    """Lets `free` writes of voxels through, and the others once `go` is set."""

    app: App
    free: int
    go: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released for each write that is held back or refused."""
    writes: int = 0
    busy: bool = False
    """Answer writes with "come back in a minute"."""
    host: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Response:
        if request.method == "POST" and "/cutout/" in request.path:
            self._hold()
            if self.busy:
                return Response(503, headers={"Retry-After": "60"})
        return self.app(request)

    def _hold(self) -> None:
        with self._lock:
            self.writes += 1
            held = self.writes > self.free and not self.go.is_set()
        if held or self.busy:
            self.waiting.release()
        if held:
            self.go.wait(PATIENCE)

    def wait_for(self, count: int) -> None:
        """Until so many writes are held back."""
        for _ in range(count):
            assert self.waiting.acquire(timeout=PATIENCE)

    def settings(self) -> list[str]:
        return ["boss=custom", f"boss.host={self.host}", "boss.protocol=http", "boss.token_env=NDEX_TEST_HELD"]


@contextmanager
def holding(root: Path, free: int) -> Iterator[Held]:
    held = Held(App(root, TOKEN), free)
    server = Server(held)  # type: ignore[arg-type]  # it is called as an App is
    held.host = server.url.partition("://")[2]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        held.go.set()
        server.shutdown()
        thread.join()
        server.server_close()
        held.app.close()


class Command:
    """`python -m ndex` with events as JSON lines, in a process group of its own, as a shell starts it."""

    def __init__(self, here: Path, *arguments: str) -> None:
        self.lines: list[str] = []
        words = [sys.executable, "-m", "ndex", "report.format=json", *arguments]
        self.typed = shlex.join(words)
        self.process = subprocess.Popen(
            words,
            cwd=here,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(ndex.__file__).parents[1]),
                "NDEX_TEST_HELD": TOKEN,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def until(self, event: str, holding: str = "") -> dict[str, Any]:
        """The next event of this name that has a text in it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if f'"event": "{event}"' in line and holding in line:
                found: dict[str, Any] = json.loads(line)
                return found
        raise AssertionError(f"ended without {event} {holding}\n{''.join(self.lines)}\n{self.process.stderr.read()}")

    def until_done(self, tasks: int) -> None:
        for _ in range(tasks):
            self.until("TaskDone")

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Ctrl-C reaches every process of a terminal; a batch system sends SIGTERM to the one that it has started."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def ended(self, within: float = PATIENCE) -> tuple[int, str]:
        """Exit code, and what was said on standard error."""
        out, err = self.process.communicate(timeout=within)
        self.lines += out.splitlines(keepends=True)
        return self.process.returncode, err

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    @property
    def result(self) -> dict[str, Any]:
        (found,) = (event for event in self.events if event["event"] == "Result")
        return found

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def named(events: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == name]
