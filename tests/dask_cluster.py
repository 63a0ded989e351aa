"""A Dask scheduler and workers as a site runs them: processes of their own, on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from distributed import Client

from ndex.server.process import child_environment

PATIENCE = 60.0
"""Seconds for anything that must happen; far more than it takes."""


@dataclass
class Cluster:
    """A scheduler, and workers by name."""

    folder: Path
    """Working directory of the workers: another one than that of any job."""
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def file(self) -> Path:
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        return str(json.loads(self.file.read_text())["address"])

    def start(self, *arguments: str, path: Path | None = None) -> subprocess.Popen[bytes]:
        """`path` comes before everything else that Python imports from."""
        environment = child_environment()
        if path is not None:
            environment["PYTHONPATH"] = os.pathsep.join([str(path), environment.get("PYTHONPATH", "")])
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
                cwd=self.folder, env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def hire(self, *names: str, path: Path | None = None) -> None:
        """Workers of one thread each, once they are there."""
        options = ["--scheduler-file", str(self.file), "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        for name in names:
            self.workers[name] = self.start("worker", *options, "--name", name, path=path)
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=PATIENCE)

    def fire(self, name: str) -> None:
        self.workers[name].terminate()
        self.workers.pop(name).wait()

    def kill(self, name: str) -> None:
        self.workers[name].kill()
        self.workers.pop(name).wait()

    @property
    def said(self) -> bytes:
        return (self.folder / "log").read_bytes()


@contextmanager
def running(folder: Path, *names: str) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    with cluster._stack:
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(cluster.file)]
        cluster.start("scheduler", *options)
        with Client(scheduler_file=str(cluster.file), set_as_default=False):  # it waits for the file
            cluster.hire(*names)
        yield cluster


@contextmanager
def overheard(address: str) -> Iterator[tuple[str, list[bytes]]]:
    """The address of a relay to a scheduler, and all that goes through it."""
    host, port = address.removeprefix("tcp://").split(":")
    heard: list[bytes] = []
    sockets: list[socket.socket] = []

    def pass_on(one: socket.socket, other: socket.socket) -> None:
        while data := _received(one):
            heard.append(data)
            other.sendall(data)

    def accept() -> None:
        while True:
            try:
                one, _ = listening.accept()
            except OSError:
                return
            other = socket.create_connection((host, int(port)))
            sockets.extend([one, other])
            for pair in ((one, other), (other, one)):
                threading.Thread(target=pass_on, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield f"tcp://127.0.0.1:{listening.getsockname()[1]}", heard
        _shut([listening, *sockets])


def _received(one: socket.socket) -> bytes:
    try:
        return one.recv(1 << 16)
    except OSError:
        return b""


def _shut(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
        finally:
            one.close()
