"""Runs a job for the command line: signals, the screen, the log, result.json and an exit code."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from .errors import NdexError
from .events import Listener, Note, Result
from .job import Job
from .notifications import notifications
from .report import log, write_result
from .runner import run
from .screen import screen


def execute(job: Job, output: Path | None, label: str = "", command: Sequence[str] = ()) -> int:
    """Run a job, show how it goes, and return the exit code. An `output` folder gets result.json, however it ends.

    `label` tells the job from the others of a sweep, `command` is what was typed to run it. Raises
    NdexError when the job cannot work, before anything was transferred.
    """
    try:
        with (
            screen(job.report.format, label) as show,
            _interruptible(show) as stop,
            notifications(job) as told,
        ):
            try:
                result = run(job, (*_pages(job, output, show), show, log, *told), stop, command)
            except NdexError as error:
                if job.report.format == "json":  # for people, the error is said on standard error
                    show(_wrong(job, error))
                raise
    except NdexError as error:
        _keep(_wrong(job, error), output)
        raise
    _keep(result, output)
    return result.exit_code


def _wrong(job: Job, error: NdexError) -> Result:
    return Result(job.name, job.action, 2, error=str(error))


def _pages(job: Job, output: Path | None, show: Listener) -> list[Listener]:
    """Who writes report.html, before the closing lines are shown."""
    if output is None or not job.report.html:
        return []
    from .page import Page  # only for actions that leave one

    return [Page(job, output / "report.html", say=show)]


def _keep(result: Result, output: Path | None) -> None:
    if output is not None:
        write_result(result, output / "result.json")


@contextmanager
def _interruptible(show: Listener) -> Iterator[threading.Event]:
    """The first Ctrl-C or SIGTERM sets the event, the second ends the process.

    Signals can be taken over in the main thread only; elsewhere they keep their meaning. They come between any two
    steps of it, where it may hold the very lock that setting an event or printing needs: a thread does both.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    asked = False
    answers: SimpleQueue[bool] = SimpleQueue()

    def on_signal(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        answers.put(True)

    def answer() -> None:
        if answers.get():
            stop.set()
            show(Note("Interrupted: tasks under way are finished. Once more to stop at once."))

    thread = threading.Thread(target=answer, name="interrupts", daemon=True)
    thread.start()
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        answers.put(False)
        thread.join()
