"""The command line between Hydra and `execute`: runs what Hydra composes and turns what happens into exit codes."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from .again import program, quoted
from .batch import Batch, time_limit
from .channels import with_channels
from .composing import HYDRA_ERRORS, VERSION_BASE, hydra_to_itself, is_one_job, rewrite, run_one, shared_by_all
from .errors import JobError, NdexError
from .explain import explain, refuse_options
from .jobs import CONF, GROUP, safe_name
from .multirun import (
    BASIC,
    INTERRUPTED,
    Follow,
    Outcome,
    give_up,
    launched,
    leave_signals_to_the_parent,
    outcomes,
    own_command,
    own_overrides,
    stop,
    stoppable,
    stopped,
    table,
    task_overrides,
    worst,
)
from .outputs import log_file, sweep_folders, writes
from .refusals import refuse_secrets
from .topics import page

log = logging.getLogger("ndex")


def run_command(arguments: list[str]) -> int:
    """Runs what the command line says; the exit code."""
    try:
        refuse_options(arguments)
        refuse_secrets(arguments)
        if (text := page(arguments)) is not None:
            print(text)
            return 0
        _begin(arguments)
        with sweep_folders(), stoppable():
            with _lost_jobs():
                _hand_to_hydra(arguments)
            return _closing()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0
    except NdexError as error:
        _say(str(error))
    except HYDRA_ERRORS as error:
        _say(explain(error))
    except OSError as error:
        _say(f"cannot write the output folder {error.filename}: {error.strerror}; choose one with hydra.run.dir=FOLDER")
    except KeyboardInterrupt:
        _let_go()
        _closing()
        return INTERRUPTED
    return 2


def _hand_to_hydra(arguments: list[str]) -> None:
    """Hydra composes a command line twice, to see whether it is a sweep and to run it; one job is composed once."""
    shared = shared_by_all(arguments)
    if shared is not None:
        arguments = with_channels(arguments, shared)
        if is_one_job(arguments, shared):
            run_one(shared, run_composed)
            return
    with _as_command_line(arguments), hydra_to_itself():
        hydra.main(config_path=str(CONF), config_name="config", **VERSION_BASE)(run_composed)()


def run_composed(cfg: DictConfig) -> Outcome:
    """One job as Hydra hands it over, perhaps in another process. Says and records how it ended, raises no error."""
    settings = HydraConfig.get()
    name = safe_name(settings.runtime.choices.get(GROUP))
    sweep = Path(settings.sweep.dir) if settings.mode == RunMode.MULTIRUN else None
    number = int(settings.job.num) if sweep else 0
    overrides = own_overrides(sweep, task_overrides(settings)) if sweep else ""
    command = own_command(sweep, task_overrides(settings)) if sweep else Follow.command
    output = Path(settings.runtime.output_dir) if writes(cfg.action) else None
    started = time.monotonic()
    if sweep and launched():
        leave_signals_to_the_parent()
    if sweep and stopped(sweep):
        return Outcome(number, name, overrides, INTERRUPTED, 0.0)
    with log_file(output), time_limit() as limit:
        code = _exit_code(cfg, name, output, f"#{number} {overrides}".strip() if sweep else "", command)
    outcome = Outcome(number, name, overrides, code, time.monotonic() - started)
    if sweep:
        outcome.save(sweep)
    if sweep and code == INTERRUPTED:
        limit.queue_again()
        if not launched():
            raise KeyboardInterrupt
    return outcome


def _exit_code(cfg: DictConfig, name: str, output: Path | None, label: str, command: list[str]) -> int:
    """Of one job. What keeps it from ending by itself is said and logged here, so that a sweep goes on."""
    # Imported only now: help, completion and refusals of Hydra need neither numpy nor what workers and journals need.
    from .config import job_from

    try:
        job = job_from(cfg, name)
        from .execute import execute

        gc.freeze()  # what there is by now will stay: it need not be looked at again
        gc.enable()
        return execute(job, output, label, command)
    except NdexError as error:
        log.error("%s", error)
        _say(str(error), name, label)
        return 2
    except KeyboardInterrupt:
        log.error("interrupted")
        _say(f"interrupted; go on with: {quoted(command)}", name, label)
        return INTERRUPTED
    except Exception:
        log.exception("a bug in ndex")
        _say("this is a bug in ndex", name, label)
        sys.excepthook(*sys.exc_info())
        return 1


@contextmanager
def _lost_jobs() -> Iterator[None]:
    """What becomes of a sweep when the launcher finds that a job has vanished: the others are waited for, and those of
    which nothing was heard have failed. Raises JobError when it could not start any."""
    try:
        yield
    except RuntimeError as error:  # of submitit, and of the pools of joblib
        sweep = Follow.sweep
        if sweep is None or Follow.launcher == BASIC:
            raise
        batch = Batch(sweep, Follow.launcher)
        if batch.used and not batch.jobs:
            raise JobError(f"the launcher cannot start the jobs: {' '.join(str(error).split())}") from error
        batch.wait()
        for lost in give_up(sweep):
            where = f"; the last it said is in {path}" if (path := batch.log_of(lost.number)) else ""
            _say(f"ended without a word, as when it is killed{where}", lost.name, f"#{lost.number} {lost.overrides}")


def _let_go() -> None:
    """Has no job begin that still waits in the queue of a batch system, and says how to end those that run."""
    if Follow.sweep is not None and (ids := Batch(Follow.sweep, Follow.launcher).ids):
        stop(Follow.sweep)
        _say(f"jobs that have begun go on, those in the queue will not begin; to end them all at once: scancel {ids}")


def _closing() -> int:
    """Exit code of what has run; after a sweep of several jobs also their table."""
    if Follow.sweep is None:
        return Follow.outcome.code if Follow.outcome else 0
    ended = outcomes(Follow.sweep)
    code = worst([*(outcome.code for outcome in ended), *([INTERRUPTED] if stopped(Follow.sweep) else [])])
    if len(ended) > 1:
        print(table(ended))
        if code:
            print(f"all of them once more, which takes what is left: {quoted(Follow.command)}")
    return code


def _say(text: str, name: str = "", label: str = "") -> None:
    """A job is named where it is one of several, which `label` tells apart."""
    job = f"{name} {label}: " if label else ""
    for line in text.splitlines():
        print(f"ndex: {job}{line}", file=sys.stderr)


@contextmanager
def _as_command_line(arguments: list[str]) -> Iterator[None]:
    """Hydra reads `sys.argv`, and passes errors on only when HYDRA_FULL_ERROR is set."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    if {"-sc", "--shell-completion"}.isdisjoint(arguments):
        arguments = rewrite(arguments)
    elif line := os.environ.get("COMP_LINE"):
        *words, last = line.split(" ")
        os.environ["COMP_LINE"] = " ".join([*rewrite(words), last])
    sys.argv = [argv[0], *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        del os.environ["HYDRA_FULL_ERROR"]
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def _begin(arguments: list[str]) -> None:
    """Forgets the command before, and leaves out warnings that tell the user nothing."""
    Follow.command = [*program(), *arguments]
    Follow.sweep = Follow.outcome = None
    # Hydra 1.4 warns of every class that a configuration names; this one stands in our own conf/config.yaml.
    warnings.filterwarnings("ignore", r"[^\n]*_target_='ndex\.multirun\.", UserWarning)
    # Said when a second Ctrl-C breaks off what is under way, which is what was asked for.
    warnings.filterwarnings(
        "ignore", r"\d+ tasks (which were still being processed|have been successfully executed)", UserWarning
    )
