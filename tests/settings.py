"""What the tests that talk to real services are given: environment variables, or lines of a git-ignored file `.env`."""

from __future__ import annotations

import os
from pathlib import Path

ENV_FILE = Path(__file__).parents[1] / ".env"


def read_env(text: str) -> dict[str, str]:
    """`NAME=value` a line; blank lines and # comments, `export` before a name and quotes around a value are allowed."""
    pairs = (line.partition("=") for line in map(str.strip, text.splitlines()) if not line.startswith("#"))
    return {name.removeprefix("export ").strip(): value.strip().strip("'\"") for name, equals, value in pairs if equals}


def given(*names: str, env_file: Path = ENV_FILE) -> dict[str, str]:
    """These variables, "" for one that is set nowhere; the environment wins over the file."""
    written = read_env(env_file.read_text(encoding="utf-8")) if env_file.is_file() else {}
    return {name: os.environ.get(name) or written.get(name, "") for name in names}
