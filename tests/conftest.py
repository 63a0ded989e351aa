"""What all tests share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from settings import given


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Sets these variables for a test and answers their values; skips the test when one of them is not given."""

    def values(*names: str) -> list[str]:
        found = given(*names)
        if missing := [name for name, value in found.items() if not value]:
            pytest.skip(f"not set: {', '.join(missing)}")
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        return list(found.values())

    return values
