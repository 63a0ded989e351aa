"""How the jobs of a sweep tell their parent how they ended, whatever launcher ran them: by a small file each."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from .again import program
from .jobs import GROUP, GROUPS, safe_name
from .outputs import writes

FOLDER = ".jobs"
"""Below the folder of the sweep."""
INTERRUPTED = 130
MEANING = {0: "done", 1: "failed", 2: "wrong job", INTERRUPTED: "interrupted"}
"""Exit codes, from good to bad."""
BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
"""Runs one job after the other in this process."""


@dataclass(frozen=True)
class Outcome:
    """How one job ended."""

    number: int
    """In the sweep; 0 for a single job."""
    name: str
    overrides: str
    """What the command line said for this job and not for all of the sweep."""
    code: int
    """Exit code, were it a command of its own."""
    seconds: float

    def save(self, sweep: Path) -> None:
        _write(sweep / FOLDER / f"{self.number}.json", asdict(self))


def outcomes(sweep: Path) -> list[Outcome]:
    """Of all jobs of a sweep that have ended, by number."""
    files = (sweep / FOLDER).glob("[0-9]*.json")
    found = [Outcome(**json.loads(file.read_text(encoding="utf-8"))) for file in files]
    return sorted(found, key=lambda outcome: outcome.number)


def own_overrides(sweep: Path, overrides: Sequence[str]) -> str:
    """Of one job's overrides those that the sweep as a whole was not given."""
    shared = _shared(sweep)["overrides"]
    return " ".join(override.lstrip("+") for override in overrides if override not in shared)


def own_command(sweep: Path, overrides: Sequence[str]) -> list[str]:
    """What to type for one job of a sweep alone."""
    return [*_shared(sweep)["program"], *(override.lstrip("+") for override in overrides)]


def _shared(sweep: Path) -> Any:
    """What all jobs of a sweep have in common."""
    return json.loads((sweep / FOLDER / "shared.json").read_text(encoding="utf-8"))


def _write(path: Path, content: object) -> None:
    """Complete or not there at all: others look at the same time, in other processes and on other machines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)


def worst(codes: Sequence[int]) -> int:
    """The exit code of a sweep."""
    return max(codes, key=list(MEANING).index, default=0)


def table(found: Sequence[Outcome]) -> str:
    """The jobs of a sweep and how they ended, a line each."""
    rows = [("#", "job", "result", "time", "with")]
    rows += [(str(o.number), o.name, MEANING[o.code], f"{o.seconds:.1f} s", o.overrides) for o in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)] + [0]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def task_overrides(settings: Any) -> list[str]:
    """The overrides as given. Unresolved: one may take a value from the environment, which is not ours to show."""
    return [str(override) for override in OmegaConf.to_container(settings.overrides.task) or ()]


def _params_as_settings(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The sweep of a job file with its keys as `composing.rewrite` makes those of the command line, which replace them
    then. Otherwise a key that is in both would be swept twice."""
    plain = (key for key in params or {} if key[0] not in "+~" and key not in GROUPS)
    marked = {key: f"++{key}" for key in plain if not key.startswith("hydra.")}
    return {marked.get(key, key): value for key, value in (params or {}).items()}


def _overrides(settings: Any) -> list[Override]:
    """What a sweep was given, by its job file and on the command line, which wins."""
    params = [f"{key}={value}" for key, value in (settings.sweeper.get("params") or {}).items()]
    parsed = OverridesParser.create().parse_overrides([*params, *task_overrides(settings)])
    return list({override.get_key_element(): override for override in parsed}.values())


def _swept(overrides: Sequence[Override]) -> list[str]:
    """Of each job in turn what `own_overrides` will say of it."""
    swept = [override for override in overrides if override.is_sweep_override()]
    keys = [override.get_key_element().lstrip("+") for override in swept]
    jobs = product(*(override.sweep_string_iterator() for override in swept))
    return [" ".join(f"{key}={value}" for key, value in zip(keys, job, strict=True)) for job in jobs]


def give_up(sweep: Path) -> list[Outcome]:
    """Counts the jobs that left no outcome as failed, and answers them: whoever ran them was killed."""
    known = {outcome.number for outcome in outcomes(sweep)}
    jobs = enumerate(Follow.expected)
    lost = [Outcome(number, Follow.name, overrides, 1, 0.0) for number, overrides in jobs if number not in known]
    for outcome in lost:
        outcome.save(sweep)
    return lost


def stop(sweep: Path) -> None:
    """Have no further job begin, in whatever process or queue it is."""
    (sweep / FOLDER / "stopped").touch()


def stopped(sweep: Path) -> bool:
    """Whether no further job of the sweep is to begin."""
    return (sweep / FOLDER / "stopped").exists()


def launched() -> bool:
    """Whether this process was started for a job of a sweep: it is not the one that has begun the sweep."""
    return Follow.sweep is None


def leave_signals_to_the_parent() -> None:
    """Before and after a job in a process that a launcher has started; the sweep would lose the process, and the jobs
    that the others have begun."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stoppable() -> Iterator[None]:
    """Where a launcher runs jobs in child processes, the first Ctrl-C or SIGTERM lets them finish their tasks and
    begins no other, the second ends them. Without such children it ends the command, as between two jobs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def on_signal(number: int, _: object) -> None:
        nonlocal asked
        children = multiprocessing.active_children()
        if asked or not children or Follow.sweep is None:
            raise KeyboardInterrupt
        asked = True
        stop(Follow.sweep)
        if number == signal.SIGTERM:  # Ctrl-C has reached them already
            for child in children:
                child.terminate()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Follow(Callback):  # type: ignore[misc, unused-ignore]
    """Hydra returns nothing to the caller of a command; its callbacks say where the sweep is and how a run ended."""

    command: ClassVar[list[str]] = ["ndex"]
    """What was typed, word by word."""
    sweep: ClassVar[Path | None] = None
    name: ClassVar[str] = ""
    """Of the job file."""
    expected: ClassVar[list[str]] = []
    """What distinguishes each job of the sweep; empty where another sweeper than Hydra's own decides on them."""
    launcher: ClassVar[str] = ""
    """The class that starts them."""
    outcome: ClassVar[Outcome | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        if not writes(config.action):  # such jobs take seconds, and what they say is wanted here, not in a log
            OmegaConf.update(config, "hydra.launcher", {"_target_": BASIC}, merge=False)
        params = _params_as_settings(config.hydra.sweeper.get("params"))
        OmegaConf.update(config, "hydra.sweeper.params", params, merge=False)
        overrides = _overrides(config.hydra)
        Follow.sweep = Path(config.hydra.sweep.dir).absolute()
        Follow.name = safe_name(config.hydra.runtime.choices.get(GROUP))
        Follow.launcher = config.hydra.launcher._target_
        Follow.expected = _swept(overrides) if config.hydra.sweeper._target_.endswith(".BasicSweeper") else []
        fixed = [
            f"{o.get_key_element()}={o.get_value_element_as_str()}" for o in overrides if not o.is_sweep_override()
        ]
        shared = {"program": program(), "overrides": fixed}
        _write(Follow.sweep / FOLDER / "shared.json", shared)

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        job_return = kwargs["job_return"]
        # Of a job that Hydra could not even start, asking for the value would raise.
        Follow.outcome = job_return.return_value if job_return.status is JobStatus.COMPLETED else None
