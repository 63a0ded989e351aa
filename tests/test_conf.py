"""What conf/ says of its keys: users read these files, and `ndex --help TOPIC` and the schema print them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ndex.jobs import CONF
from ndex.schema import comments

FILES = sorted(path for path in CONF.rglob("*.yaml") if "hydra" not in path.parts)
GIVEN = (
    "such as", "nothing to set", "not needed", "only of", "only\n", "as x", "file with nothing else",
    "image or annotation", "uint8, uint16", "0 red, 1 green", "original:",
)  # fmt: skip
"""Marks of an example, of choices, or of a key that nobody sets here."""


def keys(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        yield prefix + key, value
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}.")


def keys_of(file: Path) -> list[tuple[str, Any]]:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    return [(key, value) for key, value in keys(values) if key.partition(".")[0] not in ("defaults", "hydra")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_key_has_a_comment(file: Path) -> None:
    said = comments(file)
    assert [key for key, _ in keys_of(file) if not said.get(key)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_key_without_a_default_has_an_example(file: Path) -> None:
    said = comments(file)
    unset = [key for key, value in keys_of(file) if value in (None, "???", "")]
    assert [key for key in unset if not any(mark in f"{said[key]}\n" for mark in GIVEN)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_number_has_a_unit(file: Path) -> None:
    unit = re.compile(
        r"second|byte|pixel|voxel|worker|request|plane|resolution|level|attempt|tried|sample|part|job|row|one|-"
    )
    said = comments(file)
    numbers = [key for key, value in keys_of(file) if isinstance(value, int | float) and not isinstance(value, bool)]
    assert [key for key in numbers if not unit.search(said[key])] == []


@pytest.mark.parametrize("group", sorted({file.parent.name for file in FILES} - {CONF.name}))
def test_the_first_page_names_every_choice(group: str) -> None:
    """Where a group has its default, in the list `defaults` of conf/config.yaml."""
    line = re.search(rf"^  - {group}: .+: (.+)$", (CONF / "config.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert line is not None
    assert set(line[1].split(", ")) == {path.stem for path in (CONF / group).glob("*.yaml")}


def test_every_file_says_what_it_is() -> None:
    assert [file for file in CONF.rglob("*.yaml") if not file.read_text(encoding="utf-8").startswith("# ")] == []
