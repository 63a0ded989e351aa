"""Runs a job for the command line: signals, the screen, the log, result.json and an exit code."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from .errors import NdexError
from .events import Listener, Note, Result
from .job import Job
from .report import LogFile, screen, write_result
from .runner import run


def execute(job: Job, output: Path | None) -> Result:
    """Run a job and show how it goes. With an `output` folder, ndex.log and result.json are written there.

    Never raises NdexError: a job that cannot work ends as a result with exit code 2 and its `error`.
    """
    show = screen(job.report.format)
    log = LogFile(output / "ndex.log") if output is not None else None
    listeners: list[Listener] = [show] if log is None else [show, log]
    try:
        with _interruptible(show) as stop:
            result = run(job, listeners, stop)
    except NdexError as error:
        result = Result(job.name, job.action, 2, error=str(error))
        if log is not None:
            log.error(str(error))
    finally:
        if log is not None:
            log.close()
    if output is not None:
        write_result(result, output / "result.json")
    return result


@contextmanager
def _interruptible(show: Listener) -> Iterator[threading.Event]:
    """The first Ctrl-C or SIGTERM sets the event, the second ends the process.

    Signals can be taken over in the main thread only; elsewhere they keep their meaning.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        show(Note("Interrupted: tasks under way are finished. Once more to stop at once."))

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
