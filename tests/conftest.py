"""Settings for the tests that talk to real services: environment variables, or a git-ignored file `.env`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import s3_server

os.environ.update(s3_server.SETTINGS)

ENV_FILE = Path(__file__).parents[1] / ".env"


def read_env(text: str) -> dict[str, str]:
    """`NAME=value` a line; blank lines and # comments, `export` before a name and quotes around a value are allowed."""
    pairs = (line.partition("=") for line in map(str.strip, text.splitlines()) if not line.startswith("#"))
    return {name.removeprefix("export ").strip(): value.strip().strip("'\"") for name, equals, value in pairs if equals}


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The values of these variables, which are set for the test; it is skipped when one of them is not given."""
    written = read_env(ENV_FILE.read_text(encoding="utf-8")) if ENV_FILE.is_file() else {}

    def values(*names: str) -> list[str]:
        found = {name: os.environ.get(name) or written.get(name, "") for name in names}
        if missing := [name for name, value in found.items() if not value]:
            pytest.skip(f"not set: {', '.join(missing)}")
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        return list(found.values())

    return values
