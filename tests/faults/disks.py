"""Small and read-only disks: file systems mounted for one test, where the tests run as root on Linux."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    """Skips the test where nothing can be mounted."""
    place.mkdir(parents=True, exist_ok=True)
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root can mount")
    done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def small(place: Path, kilobytes: int) -> Iterator[Path]:
    """An empty disk of this size."""
    with mounted(place, "-t", "tmpfs", "-o", f"size={kilobytes}k", "none"):
        yield place


def enlarge(place: Path) -> None:
    """Make room on a small disk."""
    subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)


@contextmanager
def read_only(place: Path) -> Iterator[Path]:
    """What is there, not to be changed."""
    place.mkdir(parents=True, exist_ok=True)
    with mounted(place, "--bind", "-o", "ro", str(place)):
        yield place
