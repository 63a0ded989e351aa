"""Events on standard output: a progress bar on a terminal, plain lines elsewhere, JSON for scripts."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TextIO

from .events import Event, Listener, Note, Result, Started, Stopping, TaskFailed
from .progress import Progress
from .report import facts_of, lines_of
from .summary import started_lines

P = ParamSpec("P")

EVERY = 30.0
"""Seconds between two lines of progress where there is no terminal."""
SHOWN_FAILURES = 10
"""Failed tasks that are named as they happen; all of them are in the log."""


@contextmanager
def screen(format: str, label: str = "", out: TextIO | None = None) -> Iterator[Listener]:
    """The listener that shows events, as `report.format` and the terminal ask for, from any thread.

    `label` names the job on each of its lines, where it is one of several.
    """
    out = out or sys.stdout
    turn = threading.Lock()
    if format == "json":
        yield _in_turn(turn, JsonLines(out, label))
    elif _is_live(out):
        with Bar(out, label) as bar:
            yield _in_turn(turn, bar)
    else:
        lines = Lines(partial(print, file=out, flush=True), label)
        with every(EVERY, _in_turn(turn, lines.tick)):
            yield _in_turn(turn, lines)


def _in_turn(turn: threading.Lock, do: Callable[P, None]) -> Callable[P, None]:
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        with turn:
            do(*args, **kwargs)

    return wrapped


def _is_live(out: TextIO) -> bool:
    """Whether a bar can be drawn: jobs of a sweep in processes of their own would draw over each other's."""
    return out.isatty() and os.environ.get("TERM") != "dumb" and multiprocessing.parent_process() is None


class Lines:
    """Plain lines: for files, pipes and batch systems. Progress is said at every `tick`."""

    def __init__(self, say: Callable[[str], object], label: str = "", progress: Progress | None = None) -> None:
        self._print = say
        self._label = label
        self._progress = progress or Progress()

    def __call__(self, event: Event) -> None:
        self._progress(event)
        match event:
            case Note():
                self._say(event.text)
            case Started():
                self._say(*started_lines(event))
            case TaskFailed() if self._progress.failed <= SHOWN_FAILURES:
                self._say(f"FAILED {event.box}: {event.reason}")
            case TaskFailed() if self._progress.failed == SHOWN_FAILURES + 1:
                self._say("More has failed, which is counted here and named in the log.")
            case Stopping():
                self._say(f"Stopping: {event.reason}")
            case Result():
                self._say(*lines_of(event))

    def tick(self) -> None:
        """Some time has passed."""
        name = f"{self._progress.name}: " if self._progress.name else ""
        self._say(f"{name}{self._progress}")

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._print(f"{self._label}: {line}" if self._label else line)


class Bar:
    """A line that moves, for terminals; everything but the progress is said above it, as in `Lines`."""

    def __init__(self, out: TextIO, label: str = "", progress: Progress | None = None) -> None:
        from rich import progress as rich  # 0.1 s that pipes and batch systems need not wait for
        from rich.console import Console
        from rich.table import Column

        self._progress = progress or Progress()
        self._label = label
        name = rich.TextColumn("{task.description}", markup=False)
        words = rich.TextColumn("{task.fields[progress]}", table_column=Column())  # which wraps
        columns = (rich.SpinnerColumn("line"), name, rich.BarColumn(bar_width=20), words)
        self._live = rich.Progress(*columns, console=Console(file=out), transient=True)
        self._task = self._live.add_task(label, total=None, progress=self._progress)
        say = partial(self._live.console.print, markup=False, highlight=False, soft_wrap=True)
        self._lines = Lines(say, label, self._progress)

    def __enter__(self) -> Bar:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Result):
            self._live.stop()
        self._lines(event)
        if isinstance(event, Started):
            self._live.update(self._task, description=self._label or event.name, total=1.0, refresh=True)
        self._live.update(self._task, completed=self._progress.fraction)


class JsonLines:
    """One JSON object a line and event, for scripts."""

    def __init__(self, out: TextIO, label: str = "") -> None:
        self._out = out
        self._job = {"job": label} if label else {}

    def __call__(self, event: Event) -> None:
        facts = {"event": type(event).__name__, **self._job, **facts_of(event)}
        self._out.write(json.dumps(facts) + "\n")  # in one piece: jobs of a sweep in other processes write here too
        self._out.flush()


@contextmanager
def every(seconds: float, do: Callable[[], None]) -> Iterator[None]:
    """While open, does something again and again, in a thread of its own."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(seconds):
            do()

    thread = threading.Thread(target=beat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
