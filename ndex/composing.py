"""Job files and overrides to a `Job`: what the command line and the Python API have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from . import job_source as job_source  # tells Hydra of the jobs
from .errors import JobError
from .explain import explain
from .job_file import INSISTING, NAMES
from .jobs import CONF, GROUP, GROUPS, safe_name
from .refusals import no_secret_variables, refuse_secrets

if TYPE_CHECKING:
    from .job import Job

SWEEP = ("-m", "--multirun")
SETTING = re.compile(r"\+{0,2}(?P<key>[A-Za-z_][\w.]*)=(?P<value>.*)", re.DOTALL)

# Hydra 1.4 warns when it is given a version_base, 1.3 behaves like 1.1 when it is not.
VERSION_BASE: dict[str, Any] = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}

HYDRA_ERRORS = (HydraException, OmegaConfBaseException, ValueError)
"""ValueError: how Hydra refuses flags that exclude each other and defaults lists that it cannot read."""


def compose(job: str | None = None, *overrides: str) -> Job:
    """The job of that name, as the command line would compose it with these overrides. Raises JobError."""
    from .config import job_from

    arguments = [*([f"job={job}"] if job else []), *overrides]
    refuse_secrets(arguments)
    try:
        cfg = composed(arguments)
        listed = channels_file(cfg, arguments)
    except HYDRA_ERRORS as error:
        raise JobError(explain(error)) from error
    if listed is not None:
        raise JobError(
            f"resource.channels_file={listed} stands for a job for each channel; compose them one by one, with "
            "resource.channel=NAME (ndex.channels.read_names(path) gives the names)"
        )
    name = safe_name(cfg.hydra.runtime.choices.get(GROUP))
    with open_dict(cfg):
        del cfg["hydra"]
    return job_from(cfg, name)


def composed(arguments: Sequence[str]) -> DictConfig:
    """What Hydra makes of settings, its own part included. Raises HYDRA_ERRORS, JobError for a wrong job file."""
    with hydra_to_itself(), hydra.initialize_config_dir(str(CONF), job_name="ndex", **VERSION_BASE):
        cfg: DictConfig = hydra.compose("config", rewrite(arguments), return_hydra_config=True)
    return cfg


def shared_by_all(arguments: Sequence[str]) -> DictConfig | None:
    """What all jobs of a command line have in common, which may be one job; Hydra's own part included.

    None when there are other options of Hydra than that for a sweep, and when Hydra refuses the settings: why, it says
    when it runs them. Raises JobError for a wrong job file.
    """
    try:
        return composed(_without_sweeps(arguments)) if _options(arguments) <= set(SWEEP) else None
    except HYDRA_ERRORS:
        return None


def is_one_job(arguments: Sequence[str], shared: DictConfig) -> bool:
    """Whether what the jobs of a command line share is all there is to run."""
    return _without_sweeps(arguments) == list(arguments) and shared.hydra.mode is not RunMode.MULTIRUN


def run_one(cfg: DictConfig, task: Callable[[DictConfig], object]) -> None:
    """Runs a configuration that `composed` has made as Hydra runs those that it composes itself."""
    with hydra_to_itself(), hydra.initialize_config_dir(str(CONF), job_name="ndex", **VERSION_BASE):
        application: Any = GlobalHydra.instance().hydra
        application.config_loader.load_configuration = lambda **_: deepcopy(
            cfg
        )  # Hydra takes parts out of what it shows
        application.run("config", task, [])


def _options(arguments: Sequence[str]) -> set[str]:
    return {argument for argument in arguments if argument.startswith("-")}


def _without_sweeps(arguments: Sequence[str]) -> list[str]:
    """The settings that have one value for all jobs."""
    parse = OverridesParser.create().parse_override
    settings = [argument for argument in arguments if argument not in _options(arguments)]
    return [setting for setting in settings if not parse(*rewrite([setting])).is_sweep_override()]


def channels_file(cfg: DictConfig, arguments: Sequence[str]) -> str | None:
    """The file that names the channels; None when there is none, or when the arguments themselves name a channel."""
    settings = filter(None, map(SETTING.fullmatch, arguments))
    if any(match["key"] == "resource.channel" for match in settings):
        return None
    path = OmegaConf.select(cfg, "resource.channels_file")
    return None if path in (None, INSISTING) else str(path)


@contextmanager
def hydra_to_itself() -> Iterator[None]:
    """Hydra can be at one application at a time; a notebook that has another one open gets it back."""
    other = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with no_secret_variables():
            yield
    finally:
        GlobalHydra.instance().hydra = other


def rewrite(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra should read them.

    `job=x` becomes `+job=x`, because `job` has no default that it could replace. Other keys become `++key=value`, so
    that a wrong one reaches our own check, which names the nearest valid ones, and so that a key can be given of a
    `kind` that only the job file names. Settings come last: Hydra's argument parser takes none after an option.
    """
    return sorted(map(_rewritten, arguments), key=lambda argument: "=" in argument and not argument.startswith("-"))


def _rewritten(argument: str) -> str:
    match = SETTING.fullmatch(argument)
    if not match or match["key"].startswith("hydra.") or match["key"] in GROUPS - {GROUP}:
        return argument
    key, value = match["key"], match["value"]
    if key.rpartition(".")[2] in NAMES and re.fullmatch(r"[\d_,]+", value):
        # Hydra would read the name 2018_01 as the number 201801.
        value = ",".join(f"'{name}'" for name in value.split(","))
    return f"{'+' if key == GROUP else '++'}{key}={value}"
