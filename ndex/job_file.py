"""Job files as they come from the user: readable, of a sane size, without secrets, without code."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .errors import JobError
from .refusals import refuse_code_and_secrets, refuse_power

MISSING = "???"
"""What is written for a value that must be given."""
INSISTING = "<must be given>"
"""What `???` in a job file becomes: a plain one would not replace a default when Hydra merges."""
NAMES = frozenset(["collection", "experiment", "channel", "name", "owner", "project", "stack"])
"""Keys whose value is a name in a BOSS or a render service, which may look like a number."""
LARGEST = 1 << 20
"""Bytes of a job file: far more than anybody writes."""
MOST = 100_000
"""Values in it, once its anchors are followed."""
PACKAGE = re.compile(r"^# *@package +(\S+)", re.MULTILINE)


def read_job_file(path: Path) -> tuple[str, DictConfig]:
    """Text and content of a job file. Raises JobError when it is not YAML, holds a secret or names code."""
    text = _text(path)
    try:
        written = yaml.compose(text)
        if _size(written) > MOST:
            raise JobError(f"the job file {path} holds more than {MOST:,} values, or anchors that hold themselves")
        config = OmegaConf.create(text)
    except yaml.MarkedYAMLError as error:
        # Without the excerpt that the error carries: the line may hold anything.
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise JobError(f"the job file {path}{line} is not YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise JobError(f"the job file {path} is not YAML: it has characters that no text has") from None
    except (OmegaConfBaseException, ValueError) as error:
        raise JobError(f"cannot read the job file {path}: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise JobError(f"the job file {path} is nested too deeply") from None
    if not isinstance(config, DictConfig):
        raise JobError(f"the job file {path} must hold keys with values, such as verify: full")
    content: dict[Any, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]  # of a DictConfig
    keep_names(written, content)
    refuse_code_and_secrets(content, f"{path}: ")
    package = PACKAGE.search(text)
    refuse_power(content, package[1] if package else "_global_", f"{path}: ")
    return text, OmegaConf.create(replaced(content, MISSING, INSISTING))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise JobError(f"the job file {path} is larger than {LARGEST:,} bytes, which no job is")
        return data.decode("utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise JobError(f"cannot read the job file {path}: {' '.join(str(error).split())}") from error


def _size(written: Any) -> float:
    """How many values there are when every anchor is replaced by what it stands for; without end, if one holds itself.

    OmegaConf would make a copy for each, and a few lines can stand for more of them than there is memory.
    """
    sizes: dict[int, float] = {}

    def size(node: Any) -> float:
        if isinstance(node, tuple):
            return size(node[0]) + size(node[1])
        if not isinstance(node, yaml.CollectionNode):
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = math.inf  # until it is known: who comes back here goes in circles
            sizes[id(node)] = 1 + sum(map(size, node.value))
        return sizes[id(node)]

    return size(written)


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
