"""Where live tests get their settings from, and that they are skipped without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import settings
from settings import given, read_env


def test_a_file_of_variables_is_read() -> None:
    text = "# mine\n\nBOSS_TOKEN=abc=\nexport BOSS_HOST = 'api.bossdb.io'\nSLACK_TOKEN=\"xoxb-1\"\nnonsense\n#NO=1\n"
    assert read_env(text) == {"BOSS_TOKEN": "abc=", "BOSS_HOST": "api.bossdb.io", "SLACK_TOKEN": "xoxb-1"}


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("NDEX_A=file\nNDEX_B=file\n")
    monkeypatch.setenv("NDEX_A", "environment")
    found = given("NDEX_A", "NDEX_B", "NDEX_C", env_file=tmp_path / ".env")
    assert found == {"NDEX_A": "environment", "NDEX_B": "file", "NDEX_C": ""}
    assert given("NDEX_B", env_file=tmp_path / "nowhere") == {"NDEX_B": ""}


def test_a_live_test_without_its_settings_is_skipped(
    live: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NDEX_A", "1")
    assert live("NDEX_A") == ["1"]
    with pytest.raises(pytest.skip.Exception, match="not set: NDEX_B, NDEX_C"):
        live("NDEX_A", "NDEX_B", "NDEX_C")


def test_the_file_is_not_in_git() -> None:
    assert "/.env" in (settings.ENV_FILE.parent / ".gitignore").read_text().splitlines()
