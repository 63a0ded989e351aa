"""One BOSS for all tests of this folder, and a proxy before it for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from proxy import Proxy, proxied

from ndex.server.process import running


@pytest.fixture(scope="session")
def boss(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    with running(tmp_path_factory.mktemp("boss")) as address:
        yield address


@pytest.fixture
def proxy(boss: str) -> Iterator[Proxy]:
    with proxied(boss) as between:
        yield between


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Its name becomes that of a collection."""
    return tmp_path / tmp_path.name
