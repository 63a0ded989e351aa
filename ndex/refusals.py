"""What a job must not say: secrets, which would get into files, and code, because a job file is data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf.resolvers import oc

from .errors import JobError
from .resolvers import register

SECRET = re.compile(r"(^|_)(token|password|passwd|secret)(_(?!env$|file$)|$)", re.IGNORECASE)
TOKEN = re.compile(r"[0-9a-f]{40}|xox[a-z]-.+", re.IGNORECASE)
"""What the tokens of a BOSS (boss-api 2) and of Slack look like."""
WITH_USER = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]*@", re.IGNORECASE)
"""An address with a name or a password in it."""
SECRET_VARIABLE = re.compile(r"token|secret|passw|credential|api_?key|private_?key|access_?key", re.IGNORECASE)

LAUNCHER = (
    *("n_jobs", "backend", "partition", "account", "qos", "constraint", "timeout_min", "nodes", "tasks_per_node"),
    *("cpus_per_task", "gpus_per_node", "mem_gb", "mem_per_cpu", "array_parallelism", "name", "verbose"),
    *("max_num_timeout", "signal_delay_s"),
)
HYDRA_KEYS = re.compile(
    rf"hydra\.(mode|run\.dir|sweep\.(dir|subdir)|sweeper\.params\.(?![+~]*hydra\b).+|launcher\.({'|'.join(LAUNCHER)}))"
)
"""What a job file may set of Hydra: folders, a sweep, the size of its jobs. All else can run code: it names classes,
sets environment variables, or writes a line into the script of a batch job."""
HYDRA_GROUPS = ("hydra/launcher", "hydra/sweeper")
CHOICE = re.compile(r"/?[\w-]+(/[\w-]+)*(\.yaml)?")
PACKAGE = re.compile(r"(?!hydra\b)[\w.]+")


def refuse_code_and_secrets(values: object, place: str = "") -> None:
    """Raises JobError for a key that would run code, and for a secret, which is not repeated."""
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
        if isinstance(value, str) and (WITH_USER.search(value) or (name == "host" and "@" in value)):
            raise JobError(
                f"{place}{key}: an address must hold no name or password, which would get into files. For a BOSS set "
                "the environment variable BOSS_TOKEN, for another web server write them into ~/.netrc"
            )


def refuse_secrets(arguments: Sequence[str]) -> None:
    """Raises JobError for a secret on the command line, before Hydra writes it to files."""
    for argument in arguments:
        key, equals, value = argument.lstrip("+~").partition("=")
        if equals:
            refuse_code_and_secrets({key: value})
            refuse_code_and_secrets({key: _parsed(argument)})


def _parsed(argument: str) -> Any:
    """The value as Hydra reads it, which may be a mapping; None when it cannot be read, or stands for several."""
    try:
        override = OverridesParser.create().parse_override(argument)
        return None if override.is_sweep_override() else override.value()
    except HydraException:
        return None


def refuse_power(content: Mapping[Any, Any], package: str, place: str) -> None:
    """Raises JobError for settings of Hydra in a job file that could run code or read other files; `package` is the
    key below which its content goes."""
    for entry in content.get("defaults") or ():
        _check_default(entry, place)
    prefix = "" if package == "_global_" else f"{package}."
    for key, value in _walk(content, prefix):
        if key.partition(".")[0] != "hydra" or isinstance(value, Mapping):
            continue
        if not HYDRA_KEYS.fullmatch(key):
            raise JobError(
                f"{place}{key}: a job file may set hydra.run.dir, hydra.sweep.dir, hydra.sweeper.params and the "
                "size of a launcher's jobs; give this on the command line"
            )


def _check_default(entry: object, place: str) -> None:
    """Raises JobError for an entry of the defaults list that could lead out of the folders of ndex."""
    pairs = entry.items() if isinstance(entry, Mapping) else [(entry, None)]
    for key, choice in pairs:
        words = str(key).split()
        group, _, package = words[-1].partition("@") if words else ("", "", "")
        choices = [group, *(choice if isinstance(choice, list) else [] if choice is None else [choice])]
        fits = all(CHOICE.fullmatch(str(text)) for text in choices) and (not package or PACKAGE.fullmatch(package))
        power = group.lstrip("/").startswith("hydra") and group.lstrip("/") not in HYDRA_GROUPS
        if not fits or power or set(words[:-1]) - {"override", "optional"}:
            raise JobError(
                f"{place}defaults: {key}{'' if choice is None else f': {choice}'} is refused; a job file chooses by "
                "name, among the groups that ndex --help shows and the jobs"
            )


@contextmanager
def no_secret_variables() -> Iterator[None]:
    """While open, `${oc.env:...}` gives no variable that holds a secret, which a job would put where all see it."""

    def variable(name: str, *default: Any) -> Any:
        if SECRET_VARIABLE.search(name):
            raise JobError(
                f"${{oc.env:{name}}}: a variable with a secret cannot stand in a job, whence it gets into files. "
                "boss.token_env and notify.token_env name the variable, without ${}"
            )
        return oc.env(name, *default)

    register("oc.env", variable)
    try:
        yield
    finally:
        register("oc.env", oc.env)


def _walk(values: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys and values of everything inside."""
    items = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        yield f"{prefix}{key}", value
        yield from _walk(value, f"{prefix}{key}.")
