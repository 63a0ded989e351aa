"""Nested facts as indented lines that a person reads; what is empty is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Facts = Mapping[str, Any]

SHOWN = 60
"""Entries of a list that are named; a collection may hold thousands of experiments."""


def tree(facts: Facts) -> list[str]:
    """The lines of a tree: a mapping under its key and its `name`, with what it holds indented below."""
    lines: list[str] = []
    kept = {key: value for key, value in facts.items() if value not in (None, "", [], {})}
    width = max((len(_words(key)) for key, value in kept.items() if _is_line(key, value)), default=0)
    for key, value in kept.items():
        if _is_line(key, value):
            first, *others = _text(key, value)
            lines += [f"{_words(key):<{width}}  {first}", *(f"{'':<{width}}  {line}" for line in others)]
        else:
            inner = _rows(value) if key == "resolutions" else tree({k: v for k, v in value.items() if k != "name"})
            lines += [_clean(f"{_words(key)} {value.get('name', '')}").rstrip(), *(f"  {line}" for line in inner)]
    return lines


def _rows(levels: Facts) -> list[str]:
    """A line for each resolution, in columns."""
    rows = [(level, *("; ".join(_text(key, value)) for key, value in facts.items())) for level, facts in levels.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _is_line(key: str, value: object) -> bool:
    return key == "extent" or not isinstance(value, Mapping)


def _text(key: str, value: Any) -> list[str]:
    """A value in the lines it takes."""
    if key == "extent":
        return [", ".join(f"{axis} {'?' if start is None else start}:{stop}" for axis, (start, stop) in value.items())]
    if key == "voxel_size":
        return [" x ".join(f"{side:g}" for side in value)]
    if isinstance(value, list):
        rest = f" and {len(value) - SHOWN:,} more" if len(value) > SHOWN else ""
        return [_clean(", ".join(map(str, value[:SHOWN])) + rest)]
    return [_clean(line) for line in str(value).splitlines()] or [""]


def _words(key: str) -> str:
    return _clean(key.replace("_", " "))


def _clean(text: str) -> str:
    """Without what would move the cursor or colour the terminal: descriptions come from anybody."""
    return "".join(c if c.isprintable() else " " for c in text)
