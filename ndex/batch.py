"""Jobs of a sweep in the hands of a batch system, through submitit.

Which they are, what becomes of them when one is killed, and what a job does when its time is up.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import submitit

FOLDER = ".submitit"
"""Below the folder of the sweep, unless hydra.launcher.submitit_folder names another one."""
SUBMITTED = "_submitted.pkl"
LAUNCHERS = {"SlurmLauncher": "SlurmJob", "LocalLauncher": "LocalJob"}
"""Classes of the launcher and of submitit."""


class Batch:
    """The jobs that a launcher of submitit has handed on, as submitit's files say."""

    def __init__(self, sweep: Path, launcher: str) -> None:
        self.sweep = sweep
        self._kind = LAUNCHERS.get(launcher.rpartition(".")[2])

    @property
    def used(self) -> bool:
        """Whether the launcher is one of submitit's at all."""
        return self._kind is not None

    @cached_property
    def jobs(self) -> dict[int, submitit.Job[Any]]:
        """By number in the sweep."""
        if self._kind is None:
            return {}
        import submitit

        kind = getattr(submitit, self._kind)
        ids = [path.name.removesuffix(SUBMITTED) for path in (self.sweep / FOLDER).glob(f"*/*{SUBMITTED}")]
        jobs = [kind(self.sweep / FOLDER / "%j", one) for one in ids]
        return {job.submission().args[2]: job for job in jobs}

    @property
    def ids(self) -> str:
        """What `scancel` is told to end them all: an array job once."""
        return " ".join(sorted({job.job_id.partition("_")[0] for job in self.jobs.values()}))

    def wait(self) -> None:
        """Until all have ended: the launcher itself stops waiting at the first that was killed."""
        for job in self.jobs.values():
            if self._kind == "SlurmJob":
                job.wait()
            else:
                with suppress(ChildProcessError):  # of a child that was waited for before
                    os.waitpid(int(job.job_id), 0)

    def log_of(self, number: int) -> Path | None:
        """What a job has said on standard error."""
        return self.jobs[number].paths.stderr if number in self.jobs else None


@contextmanager
def time_limit() -> Iterator[TimeLimit]:
    """In a job of submitit, the signal that warns of the end of its time, or of being preempted, ends the job in order,
    as SIGTERM does. Elsewhere nothing is changed."""
    limit = TimeLimit()
    number = getattr(signal, f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}", None)
    in_a_job = "SUBMITIT_EXECUTOR" in os.environ and threading.current_thread() is threading.main_thread()
    if number is None or not in_a_job:
        yield limit
        return
    limit.requeue = signal.signal(number, limit.warn)
    try:
        yield limit
    finally:
        signal.signal(number, limit.requeue)


class TimeLimit:
    """Whether a warning has come, and how to be queued again after it."""

    requeue: Any = signal.SIG_DFL
    warned: tuple[Any, ...] | None = None

    def warn(self, *event: Any) -> None:
        if self.warned is None:
            self.warned = event
            signal.raise_signal(signal.SIGTERM)

    def queue_again(self) -> None:
        """Has submitit queue the job once more, which ends this process; without a warning, or where
        hydra.launcher.max_num_timeout allows no other attempt, nothing happens."""
        if self.warned is not None and callable(self.requeue):
            with suppress(RuntimeError):
                self.requeue(*self.warned)
