"""What people and scripts see of a run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from ndex.events import Event, Note, Pieces, Result, Started, Stopping, TaskDone, TaskFailed
from ndex.geometry import ORIGIN, Box, Span, Tiling, Vec
from ndex.report import facts_of, lines_of, write_result
from ndex.volume import Volume

BOX = Box.of((0, 10), (0, 20), (0, 16))
STARTED = Started(
    "em", "planes in a", "lab/run7/em", ("channel em",), tasks=4, resumed=1, voxels=9600, nbytes=9_600_000
)
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
    again="ndex job=em 'extent.x=[0, 10]'",
)


def test_a_run_with_nothing_left_says_so() -> None:
    done = Result("em", "run", 0, "a", "b", tasks=4, resumed=4, links=("https://look.here",))
    assert lines_of(done) == [
        "em: nothing is left to do, all 4 tasks were done before",
        "  the data is in b",
        "  look at it: https://look.here",
    ]


def test_the_end_says_what_became_of_everything() -> None:
    filled = (*range(20, 36), 40, *range(50, 90, 2))
    ended = replace(RESULT, empty=1200, filled=filled, repaired=2, untried=1, failed=(FAILED,) * 25, tasks=1234)
    assert lines_of(ended) == [
        "em: 1 of 1,232 tasks transferred, 3.2 MB in 2.0 s (1.6 MB/s), 0 verified",
        "  resumed    1 task, done before",
        "  untried    1 task, left alone with retry.only_failed",
        "  empty      1,200 blocks, nothing but zeros",
        "  filled     37 absent planes, now zeros: z 20-35, 40, 50, 52, 54, 56, 58, 60, 62, 64, 66, 68 and 10 more",
        "  repaired   2 tasks, found to differ, and transferred again",
        "  FAILED     25 tasks",
        *["    x 0:10, y 0:20, z 0:16: em_0017.tif is cut short"] * 20,
        "    and 5 more; action=status lists them",
        "  what is done is in lab/run7/em",
        "  1,231 tasks left; go on with: ndex job=em 'extent.x=[0, 10]'",
    ]


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (replace(RESULT, done=3, failed=(), error="the token may not downsample.", exit_code=1), [
            "  resumed    1 task, done before",
            "  the data is in lab/run7/em",
            "  but the token may not downsample",
            "  to try that again: ndex job=em 'extent.x=[0, 10]'",
        ]),
        (replace(RESULT, done=0, resumed=0), [
            "  FAILED     1 task",
            "    x 0:10, y 0:20, z 0:16: em_0017.tif is cut short",
            "  4 tasks left; go on with: ndex job=em 'extent.x=[0, 10]'",
        ]),
        (replace(RESULT, action="verify", failed=(replace(FAILED, differs=True),), again="ndex job=em action=run"), [
            "  resumed    1 task, done before",
            "  FAILED     1 task",
            "    x 0:10, y 0:20, z 0:16: em_0017.tif is cut short",
            "  to transfer again what differs: ndex job=em action=run",
        ]),
        (replace(RESULT, action="verify", resumed=0), [
            "  FAILED     1 task",
            "    x 0:10, y 0:20, z 0:16: em_0017.tif is cut short",
        ]),
    ],
)  # fmt: skip
def test_the_end_says_how_to_go_on(ended: Result, said: list[str]) -> None:
    assert lines_of(ended)[1:] == said


PLAN: dict[str, object] = {
    "extent": {"x": [0, 21504], "y": [0, 10], "z": [-5, 11]},
    "destination_extent": {"x": [0, 21504], "y": [0, 10], "z": [0, 16]},
    "micrometers": [86.016, 0.04, 0.64],
    "times": [0, 1],
    "dtype": "uint16 to uint8",
    "creates": ["experiment lab/run7", "channel lab/run7/em"],
    "voxels": 3440640,
    "bytes": 3440640,
    "tasks": 1200,
    "tasks_of_all_shards": 4800,
    "tasks_done": 200,
    "blocks": 4200,
    "block": {"x": 1024, "y": 1024, "z": 16},
    "workers": 2,
    "requests_in_flight": 8,
    "memory": 4 * 10**9,
    "memory_of_a_worker": 2 * 10**9,
    "bytes_read": 6881280,
    "files_read": 16,
    "files_written": None,
    "shards": 4,
    "seconds": 612_000.0,
    "bottleneck": "latency; more workers would help",
    "latency": 0.1,
    "bandwidth": 125e6,
    "known": {"latency": "given", "bandwidth": "assumed"},
    "workers_of_all_shards": 8,
}


def test_a_plan_is_a_table() -> None:
    planned = Result("em", "plan", 0, "planes in a", "lab/run7/em", tasks=1200, resumed=200, details=PLAN)
    assert lines_of(planned) == [
        "em: a plan; nothing was touched",
        "  from       planes in a",
        "  to         lab/run7/em",
        "  creates    experiment lab/run7",
        "  creates    channel lab/run7/em",
        "  x          0 to 21,504, 21,504 voxels, 86.016 micrometers",
        "  y          0 to 10, 10 voxels, 0.04 micrometers",
        "  z          -5 to 11, 16 voxels, 0.64 micrometers; 0 to 16 at the destination",
        "  voxels     3,440,640 uint16 to uint8, 3.4 MB",
        "  done       200 of 1,200 tasks (of 4,800 of all shards), 1,000 tasks left",
        "  requests   4,200, blocks of 1,024 x 1,024 x 16 voxels",
        "  bytes      6.9 MB to read, 3.4 MB to send, before compression",
        "  files      16 to read",
        "  workers    2, with 8 requests in flight",
        "  memory     up to 4.0 GB, 2.0 GB a worker",
        "  line       0.1 s a request (given), 125.0 MB/s (assumed)",
        "  time       about 7 d 2 h by 8 workers in 4 shards, limited by latency; more workers would help",
    ]


def test_a_plan_leaves_out_what_there_is_not() -> None:
    told = PLAN | {
        "seconds": 0.0,
        "bottleneck": "",
        "latency": None,
        "files_read": None,
        "shards": 1,
        "times": [0, 3],
        "creates": [],
        "micrometers": None,
    }
    lines = lines_of(Result("em", "plan", 0, details=told))
    assert lines[-1] == "  time       under a second by 8 workers"
    assert not [line for line in lines if line.startswith(("  line", "  files"))]
    assert "  creates    nothing: all of it exists" in lines
    assert "  t          0 to 3" in lines
    assert not [line for line in lines if "micrometers" in line]


def test_result_json_holds_everything(tmp_path: Path) -> None:
    write_result(RESULT, tmp_path / "result.json")
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["exit_code"], result["done"], result["failed"][0]["reason"]) == (1, 1, "em_0017.tif is cut short")
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


EVENTS: dict[type, set[str]] = {
    Note: {"text"},
    Started: {
        "name",
        "source",
        "destination",
        "created",
        "tasks",
        "resumed",
        "untried",
        "left",
        "voxels",
        "pieces",
        "nbytes",
        "action",
    },
    TaskDone: {"index", "box", "t", "nbytes", "checksums", "empty", "filled", "verified", "repaired", "line"},
    TaskFailed: {"index", "box", "t", "reason", "fatal", "transient", "bug", "differs"},
    Stopping: {"reason"},
    Result: {
        *("name", "action", "exit_code", "source", "destination", "tasks", "done", "resumed", "untried", "left"),
        *("failed", "voxels", "nbytes", "empty", "filled", "verified", "repaired", "seconds", "error", "links"),
        *("journal", "again", "details"),
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
