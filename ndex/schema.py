"""A JSON Schema of job files, with which editors complete keys and mark wrong ones."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from .ends import ROLES
from .job import Job
from .job_file import NAMES
from .jobs import CONF, names_in
from .stores import KINDS, settings_of

Schema = dict[str, Any]

OPEN = {"type": "string", "pattern": r"^\?\?\?$|\$\{"}
"""What may stand in place of any value: `???`, to be given on the command line, and `${...}`, taken from elsewhere."""
NUMBER = {"type": "number"}
"""A name such as 2017 need not be quoted."""
GROUPS = ("boss", "parallel", "notify")
COMMENT_COLUMN = 20
"""Comments that begin further right go on from the line above."""
KEY = re.compile(r" *(?P<choice>- )?(?P<key>\w+):(?P<value>.*)")


def job_schema() -> Schema:
    """Of a job file: every key is optional, since defaults and the command line may give it."""
    whole = TypeAdapter(Job).json_schema()
    definitions: Schema = whole.pop("$defs")
    del whole["properties"]["name"]
    _describe(whole, definitions, comments(CONF / "config.yaml"))
    for group in GROUPS:
        _describe(definitions[group.capitalize()], definitions, _of_choices(group))
    for role in ROLES:
        ends = [_end(role, kind, definitions) for kind in KINDS if settings_of(kind, role)]
        whole["properties"][role] = {"description": whole["properties"][role]["description"], "anyOf": ends}
    for unused in ("End", "Described"):
        definitions.pop(unused, None)
    for schema in (whole, *definitions.values()):
        _loosen(schema)
    whole["properties"] |= {"defaults": _defaults(), "hydra": {"description": "Hydra's own settings", "type": "object"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A job of ndex",
        "description": "Where a volume is, where it goes, which part of it and how parallel.",
        **{key: value for key, value in whole.items() if key not in ("title", "description")},
        "$defs": definitions,
    }


def _end(role: str, kind: str, definitions: Schema) -> Schema:
    """A reference to the settings of a kind, which become one of the definitions."""
    settings = settings_of(kind, role)
    assert settings is not None
    schema = TypeAdapter(settings).json_schema()
    for name, definition in schema.pop("$defs", {}).items():
        definitions.setdefault(name, definition)
    texts = comments(CONF / role / f"{kind}.yaml")
    _describe(schema, {}, texts)
    schema["description"] = texts.get("", "")
    definitions[f"{role}_{kind}"] = schema
    return {"$ref": f"#/$defs/{role}_{kind}"}


def _describe(schema: Schema, definitions: Schema, texts: dict[str, str], prefix: str = "") -> None:
    """Gives every property the comment that stands beside its key in conf/, else that of what it is in."""
    for key, inner in schema.get("properties", {}).items():
        inner["description"] = texts.get(prefix + key) or texts.get(prefix.removesuffix("."), "")
        for option in inner.get("anyOf", [inner]):
            name = option.get("$ref", "").rpartition("/")[2]
            if name in definitions:
                _describe(definitions[name], definitions, texts, f"{prefix}{key}.")


def _loosen(schema: Schema) -> None:
    """Nothing must be given, nothing unknown may be, and any value may be left open."""
    schema.pop("required", None)
    schema["additionalProperties"] = False
    for key, inner in schema["properties"].items():
        if "$ref" in inner:
            continue
        kept = {name: inner.pop(name) for name in ("description", "default") if name in inner}
        inner.pop("title", None)
        options = inner.get("anyOf", [inner])
        schema["properties"][key] = {**kept, "anyOf": [*options, *([NUMBER] if key in NAMES else []), OPEN]}


def _defaults() -> Schema:
    """Hydra's defaults list: which choice of each group a job takes."""
    groups = {path.name: names_in(path) for path in sorted(CONF.iterdir()) if path.is_dir() and path.name != "hydra"}
    return {
        "description": "Which choice of each group the job takes",
        "type": "array",
        "items": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {f"override /{group}": {"enum": choices} for group, choices in groups.items()},
                    "patternProperties": {r"^(override )?/?(hydra|job)\b": {}},
                    "additionalProperties": False,
                },
            ]
        },
    }


def _of_choices(group: str) -> dict[str, str]:
    """The comments of all choices of a group; the last of them that explains a key is heard."""
    found: dict[str, str] = {}
    for choice in names_in(CONF / group):
        found |= comments(CONF / group / f"{choice}.yaml")
    return found


def comments(path: Path) -> dict[str, str]:
    """What a file of conf/ says of each of its keys, which are dotted; "" stands for the file itself.

    It is said above the key, beside it, and below that in the same column. What the defaults list says of a group is
    said of its key.
    """
    found: dict[str, str] = {}
    above: list[str] = []
    parents: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("#"):
            if indent > COMMENT_COLUMN and parents:
                dotted = ".".join(parents)
                found[dotted] = f"{found.get(dotted, '')} {line.strip(' #')}".strip()
            elif not indent:
                above.append(line.strip(" #"))
        elif match := KEY.fullmatch(line):
            parents = [*([] if match["choice"] else parents[: indent // 2]), match["key"]]
            if not found and path.stem != "config":
                found[""], above = " ".join(above), []
            beside = match["value"].partition(" # ")[2].strip()
            found[".".join(parents)] = " ".join([*above, beside]).strip()
            above = []
        else:
            above = []
    return {key: text for key, text in found.items() if text}


def main() -> int:
    """Prints the schema."""
    json.dump(job_schema(), sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
