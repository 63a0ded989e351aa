"""ndex moves brain volumes into and out of the BOSS.

    job = ndex.compose("demo", "extent.z=[2600,2616]")
    print(ndex.plan(job).nbytes)
    result = ndex.run(job)

Nothing is printed, no signal is taken over, no process is ended: what happens is told to `listeners`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from .events import Listener, Result
    from .job import Job
    from .plans import Plan

__version__ = "2.0.0a1"
__all__ = ["compose", "plan", "run"]

# The imports below wait for the first call, so that `ndex --help` and the server start without them.


def compose(job: str | None = None, *overrides: str) -> Job:
    """The job of this name (looked up in ./jobs, then among the shipped ones) with command-line style overrides.

    Raises JobError when the job does not exist or is wrong.
    """
    from .composing import compose as compose_job

    return compose_job(job, *overrides)


def plan(job: Job) -> Plan:
    """Which blocks the job would transfer. Asks both ends for their facts, and changes nothing at either.

    Raises NdexError when the job is wrong or an end cannot be reached.
    """
    from .runner import plan_of

    return plan_of(job)


def run(job: Job, listeners: Sequence[Listener] = (), stop: threading.Event | None = None) -> Result:
    """Do what `job.action` says, and say how it ended.

    `listeners` are called with every event (`ndex.events`), `job.notify` is told as well; once `stop` is set no further
    task is begun.
    Raises NdexError when the job is wrong or an end cannot be reached before the first task.
    """
    from .notifications import notifications
    from .runner import run as run_job

    with notifications(job) as told:
        return run_job(job, (*listeners, *told), stop)
