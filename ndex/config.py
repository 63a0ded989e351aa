"""The composed configuration to a frozen `Job`. OmegaConf ends here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from .ends import ROLES, absolute, check_ends, complete, names_to_describe, settings_class
from .errors import JobError
from .job import Described, End, Job, Resource
from .job_file import INSISTING, MISSING, replaced
from .refusals import no_secret_variables, refuse_code_and_secrets
from .validation import check, marked_missing

T = TypeVar("T")

SHOWN_PROBLEMS = 5
ENDS_RESOURCE = re.compile(r"^(source|destination)\.(?=resource\.)")


def job_from(cfg: DictConfig, name: str) -> Job:
    """The job that a composed configuration describes; `name` is that of the job file.

    Raises JobError with one line for each thing that is unknown or wrong, and one for all that is missing.
    """
    plain = _plain(cfg)
    refuse_code_and_secrets(plain)
    values = complete(plain)
    problems = ["unknown key name; a job is called as its file is"] if "name" in plain else []
    missing, ends = [], {}
    for role in ROLES:
        end = check(settings_class(role, values[role]), values[role], f"{role}.")
        problems += end.problems
        missing += [ENDS_RESOURCE.sub("", key) for key in end.missing]
        ends[role] = end.value or End(kind=values[role]["kind"])
    if values.get("action") == "describe":
        problems += _only_described(values, plain.get("resource"), ends)
        missing = []
    job = check(Job, {**values, **ends, "name": name})
    _refuse(problems + job.problems, missing + job.missing)
    assert job.value is not None
    found = _absolute(job.value)
    check_ends(found)
    return found


def _only_described(values: dict[str, Any], resource: object, ends: dict[str, End]) -> list[str]:
    """Puts what is to be described in place of the ends and the resource, of which it needs neither whole; what is
    wrong with it."""
    values["resource"] = None
    described = check(Described, names_to_describe(values, resource), "resource.")
    ends.update(dict.fromkeys(ROLES, described.value or Described()))
    wrong = check(Resource, resource, "resource.").problems if isinstance(resource, Mapping) else []
    return list(dict.fromkeys([*wrong, *described.problems]))


def _plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain values with all interpolations resolved; what is missing is still `???`."""
    try:
        with no_secret_variables():
            return _container(cfg, resolve=True)
    except InterpolationToMissingValueError:
        _refuse([], list(marked_missing(_container(cfg, resolve=False))))
        raise
    except OmegaConfBaseException as error:
        reason = str(error).partition("\n")[0].rpartition("while resolving interpolation: ")[2]
        raise JobError(f"{error.full_key}: {reason}") from error


def _container(cfg: DictConfig, resolve: bool) -> dict[str, Any]:
    values: dict[str, Any] = replaced(OmegaConf.to_container(cfg, resolve=resolve), INSISTING, MISSING)
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
