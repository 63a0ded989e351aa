"""The composed configuration to a frozen `Job`. OmegaConf ends here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import omegaconf
import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from .ends import ROLES, absolute, check_ends, complete, settings_class
from .errors import JobError
from .job import End, Job
from .validation import MISSING, check, marked_missing

T = TypeVar("T")

INSISTING = "<must be given>"
"""What `???` in a job file becomes: a plain one would not replace a default when Hydra merges."""
SHOWN_PROBLEMS = 5
SECRET = re.compile(r"(^|_)(token|password|passwd|secret)(_(?!env$|file$)|$)", re.IGNORECASE)
TOKEN = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)
"""What the tokens of a BOSS look like (boss-api 2)."""
ENDS_RESOURCE = re.compile(r"^(source|destination)\.(?=resource\.)")


def job_from(cfg: DictConfig, name: str) -> Job:
    """The job that a composed configuration describes; `name` is that of the job file.

    Raises JobError with one line for each thing that is unknown or wrong, and one for all that is missing.
    """
    plain = _plain(cfg)
    refuse_code_and_secrets(plain)
    values = complete(plain)
    problems, missing, ends = [], [], {}
    for role in ROLES:
        end = check(settings_class(role, values[role]), values[role], f"{role}.")
        problems += end.problems
        missing += [ENDS_RESOURCE.sub("", key) for key in end.missing]
        ends[role] = end.value or End(kind=values[role]["kind"])
    job = check(Job, {**values, **ends, "name": name})
    _refuse(problems + job.problems, missing + job.missing)
    assert job.value is not None
    found = _absolute(job.value)
    check_ends(found)
    return found


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
    refuse_code_and_secrets(content, f"{path}: ")
    return text, OmegaConf.create(_replaced(content, MISSING, INSISTING))


def _replaced(content: Any, old: str, new: str) -> Any:
    """The content with every value that is `old` being `new`."""
    if isinstance(content, dict):
        return {key: _replaced(value, old, new) for key, value in content.items()}
    return new if content == old else content


def refuse_code_and_secrets(values: object, place: str = "") -> None:
    """Raises JobError for a key that would run code or that holds a secret, which is not repeated."""
    for key, value in _walk(values):
        name = key.rpartition(".")[2]
        if name == "_target_":
            raise JobError(f"{place}{key}: a job names no code; source.kind and destination.kind choose what is run")
        if value is not None and (SECRET.search(name) or (name == "token_env" and TOKEN.fullmatch(str(value)))):
            raise JobError(
                f"{place}{key}: a secret must not stand in a job or on the command line, whence it gets into files. "
                "Set the environment variable BOSS_TOKEN (boss.token_env names another one) or give boss.token_file"
            )


def _walk(values: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys and values of everything inside."""
    items = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        yield f"{prefix}{key}", value
        yield from _walk(value, f"{prefix}{key}.")


def _plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain values with all interpolations resolved; what is missing is still `???`."""
    try:
        return _container(cfg, resolve=True)
    except InterpolationToMissingValueError:
        _refuse([], list(marked_missing(_container(cfg, resolve=False))))
        raise
    except OmegaConfBaseException as error:
        reason = str(error).partition("\n")[0].rpartition("while resolving interpolation: ")[2]
        raise JobError(f"{error.full_key}: {reason}") from error


def _container(cfg: DictConfig, resolve: bool) -> dict[str, Any]:
    values: dict[str, Any] = _replaced(OmegaConf.to_container(cfg, resolve=resolve), INSISTING, MISSING)
    return values


def _refuse(problems: list[str], missing: list[str]) -> None:
    """Raises JobError when there is anything to say."""
    lines = problems[:SHOWN_PROBLEMS]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"and {len(problems) - SHOWN_PROBLEMS} more")
    if missing:
        lines.append(f"missing: {', '.join(dict.fromkeys(missing))}; give it in the job file or on the command line")
    if lines:
        raise JobError("\n".join(lines))


def _absolute(value: T) -> T:
    """A copy in which every path is seen from the directory of the command."""
    if isinstance(value, Path):
        return type(value)(absolute(str(value)))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: _absolute(field) for name, field in fields.items()})
    return value


def register(name: str, function: Callable[..., object], use_cache: bool = False) -> None:
    """Makes `${name:...}` known. With `use_cache` a configuration asks once, and so do the jobs of a sweep."""
    since = tuple(map(int, omegaconf.__version__.split(".")[:2]))
    resolver = getattr(OmegaConf, "register_resolver" if since >= (2, 4) else "register_new_resolver")
    resolver(name, function, replace=True, use_cache=use_cache)
