"""The embedded BOSS of a job: a child process that ends with the job, however the job ends."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from ..errors import JobError

TOKEN_ENV = "NDEX_EMBEDDED_TOKEN"
"""Environment variable with the token of the server; workers inherit it."""

STOP_SECONDS = 10.0
PACKAGE_PARENT = Path(__file__).resolve().parents[2]


@contextmanager
def running(root: Path, *, read_only: bool = False) -> Iterator[str]:
    """A server over `root` on a free port of this machine; gives "host:port".

    With `read_only` nothing is created, and an absent folder is an empty BOSS. Raises JobError when it does not start.
    """
    with starting(root, read_only=read_only) as address:
        yield address()


@contextmanager
def starting(root: Path, *, read_only: bool = False) -> Iterator[Callable[[], str]]:
    """As `running`, without waiting for the server: the call that it gives waits, and answers with the address."""
    os.environ.setdefault(TOKEN_ENV, secrets.token_urlsafe(32))
    with tempfile.TemporaryFile() as stderr:  # a file, because nobody would empty a pipe
        process = start(root, stderr, read_only=read_only)
        try:
            yield partial(address_of, process, root, stderr)
        finally:
            stop(process)


def start(root: Path, stderr: IO[bytes], *, read_only: bool) -> subprocess.Popen[bytes]:
    """The child in a process group of its own, so that Ctrl-C reaches only the job, which then ends the child."""
    command = [sys.executable, "-P", "-m", "ndex.server", "--root", str(root.absolute()), "--port", "0"]
    command += ["--token-env", TOKEN_ENV, "--until-eof", *(["--read-only"] if read_only else [])]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=child_environment(), **own_group()
    )


def own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def child_environment() -> dict[str, str]:
    """The environment of this process; from a checkout, with the way to the package."""
    environment = dict(os.environ)
    if PACKAGE_PARENT.name not in ("site-packages", "dist-packages"):
        paths = [str(PACKAGE_PARENT), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment


def address_of(process: subprocess.Popen[bytes], root: Path, stderr: IO[bytes]) -> str:
    """What the child says on its first line, which it prints when it listens. Raises JobError."""
    assert process.stdout is not None
    scheme, _, address = process.stdout.readline().decode().strip().partition("://")
    if scheme == "http" and address:
        return address
    process.wait(STOP_SECONDS)
    stderr.seek(0)
    lines = stderr.read().decode(errors="replace").split("\n")
    reason = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    raise JobError(f"The embedded BOSS over boss.root={root} does not start: {reason}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the child: it stops when its standard input ends; if it does not, it is killed."""
    try:
        process.communicate(timeout=STOP_SECONDS)  # closes the pipe to it, and sees at once when the one from it closes
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
