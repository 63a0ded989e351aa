"""File names and the plane numbers in them, in both directions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath, PureWindowsPath
from typing import Literal, NamedTuple

from ...errors import JobError

TOKEN = re.compile(
    r"%(?P<percent>0\d+)?d"
    r"|\{(?P<name>[^{}:]*)(:(?P<width>[^{}]*))?\}"
    r"|<(p(:(?P<pad>\d+))?)?>"
    r"|(?P<wild>[*?])"
)
"""printf, str.format, and what the first ndex used."""


Axis = Literal["x", "y", "z", "t"]


class Number(NamedTuple):
    """A number in a name: of a plane, a time sample, or a row or column of tiles. It is padded with zeros to `width`;
    0: not padded, read with any padding."""

    axis: Axis
    width: int

    @property
    def regex(self) -> str:
        return rf"(\d{{{self.width}}}|[1-9]\d{{{self.width},}})" if self.width else r"(\d+)"

    def __str__(self) -> str:
        return f"{{{self.axis}:0{self.width}d}}" if self.width else f"{{{self.axis}}}"


class Wildcard(NamedTuple):
    """`*` or `?`."""

    sign: str

    @property
    def regex(self) -> str:
        return ".*" if self.sign == "*" else "."

    def __str__(self) -> str:
        return self.sign


Part = str | Number | Wildcard


@dataclass(frozen=True)
class Pattern:
    """The names of the files of one volume."""

    parts: tuple[Part, ...]

    def __str__(self) -> str:
        """The same text for the same names, in whichever notation they were given."""
        return "".join(map(str, self.parts))

    def has(self, axis: Axis) -> bool:
        return any(isinstance(part, Number) and part.axis == axis for part in self.parts)

    @property
    def wild(self) -> bool:
        return any(isinstance(part, Wildcard) for part in self.parts)

    def name(self, z: int, t: int = 0) -> str:
        """The name of plane number `z` of time sample `t`."""
        return self.filled({"z": z, "t": t})

    def filled(self, numbers: Mapping[Axis, int]) -> str:
        """The name with these numbers."""
        return "".join(
            f"{numbers[part.axis]:0{part.width}d}" if isinstance(part, Number) else str(part) for part in self.parts
        )

    def match(self, name: str) -> tuple[int, int] | None:
        """The numbers (t, z) in a name, 0 for one that the pattern lacks; None as `numbers` says."""
        numbers = self.numbers(name)
        return None if numbers is None else (numbers.get("t", 0), numbers.get("z", 0))

    def numbers(self, name: str) -> dict[Axis, int] | None:
        """The numbers in a name; None for a name of another pattern, or one that gives the same number twice with
        different values."""
        found = self._regex.fullmatch(name)
        if found is None:
            return None
        numbers: dict[Axis, int] = {}
        for axis, text in zip(self._axes, found.groups(), strict=True):
            if numbers.setdefault(axis, int(text)) != int(text):
                return None
        return numbers

    @cached_property
    def _axes(self) -> list[Axis]:
        return [part.axis for part in self.parts if isinstance(part, Number)]

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        pieces = (re.escape(part) if isinstance(part, str) else part.regex for part in self.parts)
        return re.compile("".join(pieces), re.DOTALL | re.ASCII)


def with_channel(text: str, channel: str | None, key: str) -> str:
    """`text` with the name of the channel in the place of `{channel}` and `<ch>`. Raises JobError for one that would
    lead to another folder."""
    if "{channel}" not in text and "<ch>" not in text:
        return text
    if channel is None:
        raise JobError(f"{key}={text}: the job names no channel. Set resource.channel, or write the name itself.")
    if channel in (".", "..") or set(channel) & set("/\\\0"):
        raise JobError(f"{key}={text}: resource.channel={channel} is no name but a path; write it into {key} itself.")
    return text.replace("{channel}", channel).replace("<ch>", channel)


def split(text: str, key: str) -> tuple[str, str]:
    """A pattern as folder below the path and file name. Raises JobError for one that leads out of the path."""
    parts = inside(text, key)
    if any(TOKEN.search(part) for part in parts[:-1]):
        raise JobError(f"{key}={text}: numbers and wildcards can stand in the file name only, not in its folder.")
    return "/".join(parts[:-1]), parts[-1]


def inside(text: str, key: str) -> tuple[str, ...]:
    """The parts of a pattern between slashes. Raises JobError for one that leads out of the path."""
    parts = PurePosixPath(text.replace("\\", "/")).parts
    if not parts or PureWindowsPath(text).drive or parts[0] == "/" or ".." in parts:
        raise JobError(f"{key}={text}: a pattern names files inside the folder. Name another folder in the path.")
    return parts


FIELDS: dict[Axis, str] = {"z": "{z} or {z:04d} for the plane", "t": "{t} for the time sample"}
"""Of the names of planes, and what they stand for."""


def parse(text: str, key: str, fields: Mapping[Axis, str] = FIELDS) -> Pattern:
    """The pattern of a file name. Raises JobError for fields that do not exist."""
    parts: list[Part] = []
    end = 0
    for match in TOKEN.finditer(text):
        parts += [text[end : match.start()], _part(match, text, key, fields)]
        end = match.end()
    parts.append(text[end:])
    return Pattern(tuple(part for part in parts if part != ""))


def _part(match: re.Match[str], text: str, key: str, fields: Mapping[Axis, str]) -> Part:
    if match["wild"]:
        return Wildcard(match["wild"])
    if match["name"] is None:
        return Number("z", int(match["percent"] or match["pad"] or 0))
    width = re.fullmatch(r"0(\d+)d?|d?", match["width"] or "")
    axis = next((axis for axis in fields if axis == match["name"]), None)
    if axis is None or width is None:
        known = ", ".join([*fields.values(), "{channel} for the channel"])
        raise JobError(f"{key}={text}: {match[0]} is not known. Use {known}.")
    return Number(axis, int(width[1] or 0))


def natural(name: str) -> tuple[list[str | int], str]:
    """Sorts names with numbers as people do: 2 before 10."""
    pieces = re.split(r"(\d+)", name.casefold())
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], name
