"""Events as people and scripts see them: progress, lines, a log, result.json."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from .events import Event, Listener, Note, Result, Started, Stopping, TaskDone, TaskFailed
from .summary import megabytes, plan_lines, started_lines, status_lines, summary_lines, tree_lines

EVERY = 30.0
"""Seconds between two lines of progress where there is no terminal."""
_log = logging.getLogger("ndex")

SHOWN_FAILURES = 10
"""Failed tasks that are named as they happen; all of them are in the log."""


class Lines:
    """Plain lines: for files, pipes and batch systems."""

    def __init__(self, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._failed = 0
        self._nbytes = 0

    def __call__(self, event: Event) -> None:
        match event:
            case Note():
                self._say(event.text)
            case Started():
                self._started = self._last = self._clock()
                self._left, self._done = event.left, 0
                self._say_all(started_lines(event))
            case TaskDone():
                self._done += 1
                self._nbytes += event.nbytes
                self._now_and_then()
            case TaskFailed():
                self._failed += 1
                if self._failed <= SHOWN_FAILURES:
                    self._say(f"FAILED {event.box}: {event.reason}")
            case Stopping():
                self._say(f"Stopping: {event.reason}")
            case Result():
                self._say_all(lines_of(event))

    def _now_and_then(self) -> None:
        now = self._clock()
        if now - self._last >= EVERY:
            self._last = now
            rate = self._nbytes / (now - self._started)
            ahead = (now - self._started) / self._done * (self._left - self._done)
            self._say(
                f"{self._done} of {self._left} tasks, {megabytes(self._nbytes)}, {megabytes(rate)}/s, "
                f"{self._failed} failed, about {ahead / 60:.0f} min left"
            )

    def _say_all(self, lines: list[str]) -> None:
        for line in lines:
            self._say(line)


class Bar:
    """A progress bar for terminals; everything but the progress is said as in `Lines`."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        rate = TextColumn("{task.fields[rate]}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate)
        self._progress = Progress(*columns, TimeRemainingColumn(), console=Console(file=out), transient=True)
        say = partial(self._progress.console.print, markup=False, highlight=False, soft_wrap=True)
        self._lines = Lines(say, clock=lambda: 0.0)  # the bar shows the progress; time stands still for the lines
        self._nbytes = self._failed = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._lines(event)
            self._begin = time.monotonic()
            self._task = self._progress.add_task(event.name, total=event.left, rate="")
            self._progress.start()
            return
        if isinstance(event, TaskDone | TaskFailed):
            self._advance(event)
        if isinstance(event, Result):
            self._progress.stop()
        self._lines(event)

    def _advance(self, event: TaskDone | TaskFailed) -> None:
        if isinstance(event, TaskDone):
            self._nbytes += event.nbytes
        else:
            self._failed += 1
        rate = f"{megabytes(self._nbytes / max(1e-3, time.monotonic() - self._begin))}/s"
        self._progress.update(self._task, advance=1, rate=f"{rate}, {self._failed} failed" if self._failed else rate)


class JsonLines:
    """One JSON object a line and event, for scripts."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, event: Event) -> None:
        print(json.dumps({"event": type(event).__name__, **facts_of(event)}), file=self._out, flush=True)


def log(event: Event) -> None:
    """Every event as a line of the log; the command decides where that goes."""
    match event:
        case TaskDone():
            _log.info("done task %d (%s)%s", event.index, event.box, ", verified" if event.verified else "")
        case TaskFailed():
            _log.error("failed task %d (%s): %s%s", event.index, event.box, event.reason, _indented(event.bug))
        case Note():
            _log.info("%s", event.text)
        case Stopping():
            _log.warning("stopping: %s", event.reason)
        case Started():
            _log.info("%s", " | ".join(started_lines(event)))
        case Result():
            _log.info("%s", " | ".join(lines_of(event)))


def screen(format: str, out: TextIO | None = None) -> Listener:
    """The listener that shows events on standard output, as `report.format` and the terminal ask for."""
    out = out or sys.stdout
    if format == "json":
        return JsonLines(out)
    return Bar(out) if out.isatty() else Lines(partial(print, file=out, flush=True))


def lines_of(result: Result) -> list[str]:
    """What is said at the end."""
    show = {"plan": plan_lines, "status": status_lines, "describe": tree_lines}.get(result.action, summary_lines)
    return show(result)


def write_result(result: Result, path: Path) -> None:
    """result.json, complete or not there at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(facts_of(result), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def facts_of(event: Event) -> dict[str, Any]:
    """An event as JSON values, as README.md describes them under *For scripts*."""
    facts: dict[str, Any] = plain(event)
    return facts | {"left": event.left} if isinstance(event, Started | Result) else facts


def plain(value: Any) -> Any:
    """An event as JSON values; a box as its intervals."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        if value.keys() == {"start", "stop"} and isinstance(value["start"], tuple):
            bounds = zip(value["start"], value["stop"], strict=True)
            return {axis: list(interval) for axis, interval in zip("xyz", bounds, strict=True)}
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _indented(traceback: str | None) -> str:
    return "" if traceback is None else "\n    " + traceback.strip().replace("\n", "\n    ")
