"""What stands on standard output while a job runs: on a terminal, in a pipe, for scripts."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading

import pytest
from test_report import DONE, FAILED, RESULT, STARTED

from ndex.events import Note, Stopping
from ndex.progress import Progress
from ndex.screen import Bar, JsonLines, Lines, every, screen


def said(*events: object, label: str = "") -> list[str]:
    """What plain lines say; "tick" stands for some time that has passed."""
    lines: list[str] = []
    show = Lines(lines.append, label, Progress(clock=lambda: 0.0))
    for event in events:
        show.tick() if event == "tick" else show(event)  # type: ignore[arg-type]  # events of any kind
    return lines


def test_plain_lines_tell_beginning_progress_failures_and_end() -> None:
    assert said(Note("Using the embedded BOSS in here"), "tick", STARTED, DONE, "tick", FAILED, RESULT) == [
        "Using the embedded BOSS in here",
        "preparing, 0 s so far",
        "em: planes in a -> lab/run7/em",
        "  creates channel em",
        "  1 of 4 tasks were done before",
        "em: transferring 3.2 MB of 9.6 MB (33 %), 3.2 GB/s, 0 s left",
        "FAILED x 0:10, y 0:20, z 0:16: em_0017.tif is cut short",
        "em: 1 of 3 tasks transferred, 3.2 MB in 2.0 s (1.6 MB/s), 0 verified",
        "  resumed    1 task, done before",
        "  FAILED     1 task",
        "    x 0:10, y 0:20, z 0:16: em_0017.tif is cut short",
        "  what is done is in lab/run7/em",
        "  2 tasks left; go on with: ndex job=em 'extent.x=[0, 10]'",
    ]


def test_many_failures_are_counted_not_listed() -> None:
    lines = said(STARTED, *[FAILED] * 30)
    assert len([line for line in lines if line.startswith("FAILED")]) == 10
    assert lines[-1] == "More has failed, which is counted here and named in the log."


def test_a_job_of_a_sweep_is_named_on_each_line() -> None:
    label = "#3 resource.channel=em"
    lines = said(Note("so"), STARTED, "tick", DONE, Stopping("so"), RESULT, label=label)
    assert len(lines) == 12
    assert all(line.startswith(f"{label}: ") for line in lines)


def test_json_lines_are_one_event_each() -> None:
    out = io.StringIO()
    show = JsonLines(out)
    for event in (STARTED, DONE, Stopping("interrupted"), RESULT):
        show(event)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["Started", "TaskDone", "Stopping", "Result"]
    assert events[1]["box"] == {"x": [0, 10], "y": [0, 20], "z": [0, 16]}
    assert "job" not in events[1]


def test_json_lines_of_a_sweep_name_the_job() -> None:
    out = io.StringIO()
    with screen("json", "#3 resource.channel=em", out) as show:
        show(DONE)
    assert json.loads(out.getvalue())["job"] == "#3 resource.channel=em"


def test_without_a_terminal_there_are_plain_lines() -> None:
    out = io.StringIO()
    with screen("text", out=out) as show:
        for event in (STARTED, DONE):
            show(event)
    assert out.getvalue().splitlines()[0] == "em: planes in a -> lab/run7/em"
    assert "\x1b" not in out.getvalue()


def test_something_is_done_every_so_often() -> None:
    three = threading.Barrier(2)
    with every(0.001, lambda: three.wait(10)):  # type: ignore[arg-type, return-value]
        for _ in range(3):
            three.wait(10)
        three.abort()


class Terminal:
    """The far end of a pseudo-terminal, and what was written there."""

    def __init__(self) -> None:
        import pty  # not on Windows

        self._master, slave = pty.openpty()
        self.out = os.fdopen(slave, "w", encoding="utf-8")
        self._seen = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                found = os.read(self._master, 4096)
            except OSError:  # how Linux says that the other side is closed
                return
            if not found:
                return
            self._seen += found

    def seen(self) -> str:
        """All that was written, once the other side is closed."""
        self.out.close()
        self._reader.join(10)
        os.close(self._master)
        return self._seen.decode()


def plain(text: str) -> list[str]:
    """Lines as they stand there in the end, without colours and what moves the cursor."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.replace("\r\n", "\n"))
    return [line.rpartition("\r")[2] for line in text.split("\n")]


no_pty = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    return Terminal()


@no_pty
def test_a_terminal_shows_the_progress_and_keeps_the_lines(terminal: Terminal) -> None:
    with screen("text", "", terminal.out) as show:
        for event in (Note("Using the embedded BOSS"), STARTED, DONE, FAILED, RESULT):
            show(event)
    text = terminal.seen()
    assert "preparing" in text
    assert "transferring 0 bytes of 9.6 MB (0 %)" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is back"
    lines = plain(text)
    assert "FAILED x 0:10, y 0:20, z 0:16: em_0017.tif is cut short" in lines
    assert lines[-2] == "  2 tasks left; go on with: ndex job=em 'extent.x=[0, 10]'"


@no_pty
def test_an_error_gives_the_terminal_back(terminal: Terminal) -> None:
    with pytest.raises(KeyboardInterrupt), screen("text", "", terminal.out) as show:  # noqa: PT012
        show(STARTED)
        raise KeyboardInterrupt
    text = terminal.seen()
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


@no_pty
def test_the_bar_moves_with_the_volume(terminal: Terminal) -> None:
    bar = Bar(terminal.out, progress=Progress(clock=lambda: 0.0))
    for event in (STARTED, DONE):
        bar(event)
    (task,) = bar._live.tasks
    assert (task.description, task.completed, task.total) == ("em", pytest.approx(1 / 3), 1.0)
    terminal.seen()


@no_pty
def test_a_dumb_terminal_gets_plain_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with screen("text", "", terminal.out) as show:
        show(STARTED)
    assert "\x1b" not in terminal.seen()
