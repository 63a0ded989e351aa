"""What people and scripts see of a run."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from ndex.events import Event, Note, Pieces, Result, Started, Stopping, TaskDone, TaskFailed
from ndex.geometry import ORIGIN, Box, Span, Tiling, Vec
from ndex.report import EVERY, Bar, JsonLines, Lines, facts_of, screen, write_result
from ndex.volume import Volume

BOX = Box.of((0, 10), (0, 20), (0, 16))
STARTED = Started("em", "planes in a", "lab/run7/em", ("channel em",), tasks=4, resumed=1, voxels=12800)
DONE = TaskDone(1, BOX, 0, 3_200_000, (5,), verified=True)
FAILED = TaskFailed(2, BOX, 0, "em_0017.tif is cut short")
RESULT = Result(
    "em",
    "run",
    1,
    "planes in a",
    "lab/run7/em",
    tasks=4,
    done=1,
    resumed=1,
    failed=(FAILED,),
    nbytes=3_200_000,
    seconds=2,
)


def lines_for(*events: object, times: tuple[float, ...] = ()) -> list[str]:
    said: list[str] = []
    clock = iter([0.0, *times])
    lines = Lines(said.append, clock=lambda: next(clock, 0.0))
    for event in events:
        lines(event)  # type: ignore[arg-type]  # events of any kind
    return said


def test_plain_lines_tell_beginning_failures_and_end() -> None:
    assert lines_for(Note("Using the embedded BOSS in here"), STARTED, DONE, FAILED, RESULT) == [
        "Using the embedded BOSS in here",
        "em: planes in a -> lab/run7/em",
        "  creates channel em",
        "  1 of 4 tasks were done before",
        "FAILED x 0:10, y 0:20, z 0:16: em_0017.tif is cut short",
        "em: 1 of 3 tasks transferred, 3.2 MB in 2.0 s (1.6 MB/s), 0 verified, 1 done before, 1 FAILED",
        "  failed x 0:10, y 0:20, z 0:16: em_0017.tif is cut short",
        "  2 tasks are left; the same command goes on from here",
    ]


def test_progress_is_said_every_now_and_then() -> None:
    said = lines_for(STARTED, DONE, DONE, times=(EVERY / 2, EVERY + 1))
    assert said[-1] == "2 of 3 tasks, 6.4 MB, 206.5 kB/s, 0 failed, about 0 min left"
    assert len(said) == 4


def test_a_run_with_nothing_left_says_so() -> None:
    done = Result("em", "run", 0, "a", "b", tasks=4, resumed=4)
    assert lines_for(done) == ["em: nothing is left to do, all 4 tasks were done before", "  the data is in b"]


def test_many_failures_are_counted_not_listed() -> None:
    said = lines_for(STARTED, *[FAILED] * 30)
    assert len([line for line in said if line.startswith("FAILED")]) == 10


def test_json_lines_are_one_event_each() -> None:
    out = io.StringIO()
    show = JsonLines(out)
    for event in (STARTED, DONE, Stopping("interrupted"), RESULT):
        show(event)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["Started", "TaskDone", "Stopping", "Result"]
    assert events[1]["box"] == {"x": [0, 10], "y": [0, 20], "z": [0, 16]}


def test_the_bar_ends_with_the_same_lines() -> None:
    out = io.StringIO()
    bar = Bar(out)
    for event in (STARTED, DONE, FAILED, RESULT):
        bar(event)
    assert "FAILED x 0:10, y 0:20, z 0:16: em_0017.tif is cut short" in out.getvalue()
    assert "2 tasks are left" in out.getvalue()


def test_without_a_terminal_there_are_plain_lines() -> None:
    assert isinstance(screen("text", io.StringIO()), Lines)
    assert isinstance(screen("json", io.StringIO()), JsonLines)


def test_result_json_holds_everything(tmp_path: Path) -> None:
    write_result(RESULT, tmp_path / "result.json")
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["exit_code"], result["done"], result["failed"][0]["reason"]) == (1, 1, "em_0017.tif is cut short")
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


EVENTS: dict[type, set[str]] = {
    Note: {"text"},
    Started: {"name", "source", "destination", "created", "tasks", "resumed", "untried", "left", "voxels", "pieces"},
    TaskDone: {"index", "box", "t", "nbytes", "checksums", "empty", "filled", "verified", "repaired"},
    TaskFailed: {"index", "box", "t", "reason", "fatal", "transient", "bug", "differs"},
    Stopping: {"reason"},
    Result: {
        *("name", "action", "exit_code", "source", "destination", "tasks", "done", "resumed", "untried", "left"),
        *("failed", "voxels", "nbytes", "empty", "filled", "verified", "repaired", "seconds", "error", "links"),
        *("journal", "details"),
    },
}
"""What scripts rely on: keys may be added here, none may go."""


def test_the_keys_of_events_are_those_that_the_readme_describes() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for event in (Note("so"), STARTED, DONE, FAILED, Stopping("so"), RESULT):
        keys = EVENTS[type(event)]
        assert set(facts_of(event)) == keys
        (row,) = [line for line in readme.splitlines() if line.startswith(f"| `{type(event).__name__}` |")]
        assert [key for key in sorted(keys) if f"`{key}`" not in row] == []
    assert set(EVENTS) == set(get_args(Event))


def test_a_started_event_tells_how_the_volume_is_cut() -> None:
    tiling = Tiling(BOX, Vec(8, 8, 16))
    volume = Volume(BOX, np.dtype("uint8"), Span(0, 1), False, ORIGIN, "stamp", Vec(8, 8, 16))
    pieces = facts_of(replace(STARTED, pieces=Pieces(volume, tiling, tiling, tiling, Span(0, 6), (Span(0, 2),))))[
        "pieces"
    ]
    assert json.loads(json.dumps(pieces)) == pieces
    assert (pieces["volume"]["dtype"], pieces["resumed"]) == ("uint8", [[0, 2]])
    assert pieces["blocks"] == {
        "box": {"x": [0, 10], "y": [0, 20], "z": [0, 16]},
        "step": [8, 8, 16],
        "origin": [0, 0, 0],
    }
