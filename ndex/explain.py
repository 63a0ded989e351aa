"""Hydra's and OmegaConf's refusals, in one or two lines that say what would be valid."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from hydra.errors import MissingConfigException, OverrideParseException

from .errors import JobError
from .jobs import GROUP, GROUPS, job_names
from .wording import nearest

LAUNCHERS = {
    "submitit_slurm": "'ndex[slurm]'",
    "submitit_local": "'ndex[slurm]'",
    "joblib": "hydra-joblib-launcher",
}
"""Hydra's launchers that ndex does not bring along, and what brings them."""


def explain(error: Exception) -> str:
    """What is wrong with a command line or a job file that Hydra does not accept."""
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if isinstance(error, MissingConfigException):
        return _no_such_choice(error)
    text = _one_line(str(error) or str(error.__cause__))
    if ambiguous := re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(\S+?)'", text):
        key, _, value = _without_marks(ambiguous[1]).partition("=")
        return f"{key}={value}: several values need a sweep (add -m); one value with commas needs {_quoted(key, value)}"
    if relative := re.search(r"In '(job/[^']+)': .*override.*'[\w/]*/(\w+)@", text):
        return f"{relative[1]}: the defaults list must name groups from the top, as override /{relative[2]}: ..."
    if unknown := re.search(r"Could not override '(\S+?)'", text):
        return f"unknown key {unknown[1]}{_close(unknown[1], GROUPS)}"
    return text


def _unreadable(override: str) -> str:
    key, equals, value = _without_marks(override).partition("=")
    if not equals:
        hint = f"; for the job of that name: job={key}" if key in job_names() else ""
        return f"{key}: settings are written key=value{hint}"
    return f"{key}={value}: cannot be read; quote the value, as {_quoted(key, value)}, or put it into a job file"


def _quoted(key: str, value: str) -> str:
    """The setting as the shell and Hydra both take it; the shell of Windows knows no single quotes."""
    inner, outer = ("'", '"') if os.name == "nt" else ('"', "'")
    return f"{outer}{key}={inner}{value.strip(inner + outer)}{inner}{outer}"


def _no_such_choice(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").partition("/")
    if group == GROUP:
        return _no_such_job(choice)
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    if choice in LAUNCHERS:
        return f"{group}={choice}: this launcher is not installed; pip install {LAUNCHERS[choice]}"
    options = error.options or []
    return f"{group}={choice}: there is no such choice{_close(choice, options)}" + _all(options)


def _no_such_job(wanted: str) -> str:
    names = job_names()
    inside = [name for name in names if name.startswith(wanted + "/")]
    close = f"; did you mean {' or '.join(inside)}?" if inside else _close(wanted, names)
    return f"job={wanted}: there is no such job in ./jobs or among those that ship{close}" + _all(names)


def _close(word: str, names: Iterable[str]) -> str:
    close = nearest(word, names)
    return close if "did you mean" in close else ""


def _all(names: Iterable[str]) -> str:
    return f"\nthere is {', '.join(sorted(names)) or 'none'}"


def _without_marks(override: str) -> str:
    return override.lstrip("+~")


def _one_line(text: str) -> str:
    return " ".join(text.split())


OPTIONS = (
    *("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun"),
    *("--shell-completion", "--config-path", "--config-name", "--config-dir", "--experimental-rerun", "--info"),
    *("-h", "-c", "-p", "-r", "-m", "-sc", "-cp", "-cn", "-cd", "-i"),
)
"""What Hydra's command line takes besides settings."""


def refuse_options(arguments: Sequence[str]) -> None:
    """Raises JobError for an option that does not exist; the argument parser would print a page."""
    for argument in arguments:
        option = argument.partition("=")[0]
        if option.startswith("-") and not any(known.startswith(option) for known in OPTIONS):
            raise JobError(
                f"there is no option {option}{_close(option, OPTIONS)} Settings are written key=value; see ndex --help"
            )
