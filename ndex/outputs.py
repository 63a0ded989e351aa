"""Where a command leaves its output: a folder for actions that write; those that only read leave nothing."""

from __future__ import annotations

import logging
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from .jobs import safe_name
from .resolvers import register

RUNS = ".ndex/runs"
WRITING = ("run", "create", "verify")


def writes(action: object) -> bool:
    """Whether an action has an output folder."""
    return action in WRITING


def run_folder(action: object, job: str | None) -> str:
    """Folder of a single run. One that only reads gets the working directory itself, in which nothing is made."""
    return _dated(job) if writes(action) else "."


def hydra_folder(action: object) -> str | None:
    """Where Hydra keeps the composed configuration, below the output folder."""
    return ".hydra" if writes(action) else None


def _dated(job: str | None) -> str:
    """A new folder each time: shards that start in the same second differ in the last part."""
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return f"{RUNS}/{safe_name(job)}/{now}_{secrets.token_hex(2)}"


@contextmanager
def sweep_folders() -> Iterator[None]:
    """While open, a sweep of actions that only read has a temporary folder, because Hydra wants one."""
    with ExitStack() as stack:

        def sweep_folder(action: object, job: str | None) -> str:
            if writes(action):
                return _dated(job)
            return stack.enter_context(tempfile.TemporaryDirectory(prefix="ndex-", ignore_cleanup_errors=True))

        # Cached, so that all jobs of the sweep share it; Hydra hands the cache on to other processes.
        register("ndex.sweep_folder", sweep_folder, use_cache=True)
        yield


WIRE = ("botocore", "boto3", "s3transfer", "urllib3", "slack_sdk")
"""Libraries that log the headers of requests when they are asked for all, as by hydra.verbose=true."""


@contextmanager
def log_file(output: Path | None) -> Iterator[None]:
    """While open, log records go to `ndex.log` in the output folder: ndex from INFO, libraries from WARNING on."""
    # Without any handler Python would print warnings in the middle of what is shown.
    handler = logging.FileHandler(output / "ndex.log", encoding="utf-8") if output else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("ndex").setLevel(logging.INFO)
    logging.getLogger("stamina").setLevel(logging.ERROR)  # ndex.retry says more of what is tried again
    for name in WIRE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


register("ndex.run_folder", run_folder)
register("ndex.hydra_folder", hydra_folder)
