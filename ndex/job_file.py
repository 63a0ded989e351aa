"""Job files and command lines as they come from the user: readable, without secrets, without code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .errors import JobError

MISSING = "???"
"""What is written for a value that must be given."""
INSISTING = "<must be given>"
"""What `???` in a job file becomes: a plain one would not replace a default when Hydra merges."""
NAMES = frozenset(["collection", "experiment", "channel", "name", "owner", "project", "stack"])
"""Keys whose value is a name in a BOSS or a render service, which may look like a number."""
SECRET = re.compile(r"(^|_)(token|password|passwd|secret)(_(?!env$|file$)|$)", re.IGNORECASE)
TOKEN = re.compile(r"[0-9a-f]{40}|xox[a-z]-.+", re.IGNORECASE)
"""What the tokens of a BOSS (boss-api 2) and of Slack look like."""


def read_job_file(path: Path) -> tuple[str, DictConfig]:
    """Text and content of a job file. Raises JobError when it is not YAML, holds a secret or names code."""
    try:
        text = path.read_text(encoding="utf-8")
        config = OmegaConf.create(text)
    except yaml.MarkedYAMLError as error:
        # Without the excerpt that the error carries: the line may hold anything.
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise JobError(f"the job file {path}{line} is not YAML: {error.problem}") from None
    except (OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise JobError(f"cannot read the job file {path}: {' '.join(str(error).split())}") from error
    if not isinstance(config, DictConfig):
        raise JobError(f"the job file {path} must hold keys with values, such as verify: full")
    content = OmegaConf.to_container(config)
    keep_names(yaml.compose(text), content)
    refuse_code_and_secrets(content, f"{path}: ")
    return text, OmegaConf.create(replaced(content, MISSING, INSISTING))


def keep_names(written: Any, content: Any) -> None:
    """Puts names back as they are written, where YAML has read 2018_01 as 201801, 007 as 7 or on as true."""
    if not isinstance(written, yaml.MappingNode) or not isinstance(content, dict):
        return
    for key, value in written.value:
        if key.value in NAMES and isinstance(content.get(key.value), int | float):
            content[key.value] = value.value
        else:
            keep_names(value, content.get(key.value))


def replaced(content: Any, old: str, new: str) -> Any:
    """The content with every value that is `old` being `new`."""
    if isinstance(content, dict):
        return {key: replaced(value, old, new) for key, value in content.items()}
    return new if content == old else content


def refuse_code_and_secrets(values: object, place: str = "") -> None:
    """Raises JobError for a key that would run code or that holds a secret, which is not repeated."""
    for key, value in _walk(values):
        name = key.rpartition(".")[2]
        if name == "_target_":
            raise JobError(f"{place}{key}: a job names no code; source.kind and destination.kind choose what is run")
        if value is not None and (SECRET.search(name) or (name == "token_env" and TOKEN.fullmatch(str(value)))):
            group, variable = ("notify", "SLACK_TOKEN") if key.startswith("notify.") else ("boss", "BOSS_TOKEN")
            raise JobError(
                f"{place}{key}: a secret must not stand in a job or on the command line, whence it gets into files. "
                f"Set the environment variable {variable} ({group}.token_env names another one) or give "
                f"{group}.token_file"
            )


def _walk(values: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys and values of everything inside."""
    items = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        yield f"{prefix}{key}", value
        yield from _walk(value, f"{prefix}{key}.")


def refuse_secrets(arguments: Sequence[str]) -> None:
    """Raises JobError for a secret on the command line, before Hydra writes it to files."""
    pairs = (argument.lstrip("+~").partition("=") for argument in arguments)
    refuse_code_and_secrets({key: value for key, equals, value in pairs if equals})
