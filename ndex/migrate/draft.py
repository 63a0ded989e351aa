"""A job file that is being written: defaults, keys and the comments beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import TextWrapper
from typing import Any
from urllib.parse import urlsplit

import yaml

KNOWN_HOSTS = {"api.boss.neurodata.io": "neurodata", "api.bossdb.io": "bossdb"}
_WRAPPER = TextWrapper(width=110, break_long_words=False, break_on_hyphens=False)


@dataclass
class Draft:
    """Keys are dotted, as on the command line of ndex; those that are set to None are left out."""

    choices: dict[str, str] = field(default_factory=dict)
    """Of the groups boss, source, destination, notify."""
    keys: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    """Beside a key."""
    notes: list[str] = field(default_factory=list)
    """At the top: what a key cannot say."""

    def set(self, key: str, value: Any, comment: str = "") -> None:
        if value is None:
            return
        self.keys[key] = value
        if comment:
            self.comments[key] = comment

    def reach(self, url: str | None, config_file: str | None) -> None:
        """How the BOSS is reached. A configuration file held the address as well, and won."""
        parts = urlsplit(url or "https://api.boss.neurodata.io")
        host = parts.netloc.rpartition("@")[2]
        self.choices["boss"] = "neurodata" if config_file else KNOWN_HOSTS.get(host, "custom")
        if config_file:
            self.set("boss.config_file", config_file, "[Default] protocol, host, token")
        elif self.choices["boss"] == "custom":
            self.set("boss.host", host)
            self.set("boss.protocol", parts.scheme)

    def text(self, program: str) -> str:
        """The job file."""
        first = f"From a command line of {program}, the first ndex. Look at its plan: ndex job=NAME action=plan"
        lines = [f"# {line}" for note in (first, *self.notes) for line in _WRAPPER.wrap(note)]
        if self.choices:
            lines += ["", "defaults:", *(f"  - override /{group}: {choice}" for group, choice in self.choices.items())]
        sections: dict[str, list[str]] = {}
        for key in self.keys:
            sections.setdefault(key.partition(".")[0], []).append(key)
        for keys in sections.values():
            lines += ["", *self._section(keys)]
        return "\n".join(lines) + "\n"

    def _section(self, keys: list[str]) -> list[str]:
        lines: list[str] = []
        open_keys: list[str] = []
        for key in keys:
            *parents, name = key.split(".")
            for depth, parent in enumerate(parents):
                if open_keys[: depth + 1] != parents[: depth + 1]:
                    lines.append(f"{'  ' * depth}{parent}:")
                    open_keys = parents[: depth + 1]
            comment = f"  # {self.comments[key]}" if key in self.comments else ""
            lines.append(f"{'  ' * len(parents)}{name}: {_scalar(self.keys[key])}{comment}")
        return lines


def _scalar(value: Any) -> str:
    """A value on one line of YAML, quoted where it has to be."""
    if value == "???":
        return "???"
    dumped: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return dumped.removesuffix("...\n").strip()
