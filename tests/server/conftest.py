"""Servers for the tests, all on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from caller import Caller, serving


@pytest.fixture
def boss(tmp_path: Path) -> Iterator[Caller]:
    """An empty BOSS, and its owner."""
    with serving(tmp_path / "root") as url:
        yield Caller(url)


@pytest.fixture
def public(boss: Caller) -> Caller:
    """Somebody without a token at the same BOSS."""
    return Caller(boss.url, token=None)
