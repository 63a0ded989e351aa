"""Lower resolutions after an upload: asked for once, waited for where that is wanted; links to look at the result."""

from __future__ import annotations

import json
from urllib.parse import unquote

import numpy as np
import pytest
from scripted import Reply, Scripted, Seen, refusal, told

from ndex.boss.client import BossClient
from ndex.boss.downsampling import SAID_EVERY, ask_for_levels, await_levels
from ndex.boss.links import View, links_to
from ndex.boss.records import Channel
from ndex.errors import AccessError, PermanentError
from ndex.geometry import Box

EM = Channel("lab", "run7", "em", "image", np.dtype("uint8"))
SEG = Channel("lab", "run7", "seg", "annotation", np.dtype("uint64"))
GET, POST = "GET /v1/downsample/lab/run7/em", "POST /v1/downsample/lab/run7/em"


def being(status: str) -> Reply:
    sizes = {"extent": {"0": [9, 9, 9]}, "voxel_size": {"0": [4, 4, 40]}}
    return told({"status": status, "num_hierarchy_levels": 1, **sizes})


class Diary:
    """What the user was told, and how often and how long the job waited."""

    def __init__(self, stop_after: int = 10**6) -> None:
        self.said: list[str] = []
        self.waited: list[float] = []
        self.stop_after = stop_after

    def pause(self, seconds: float) -> bool:
        self.waited.append(seconds)
        return len(self.waited) >= self.stop_after


@pytest.mark.parametrize(
    ("status", "asked", "under_way"),
    [
        ("NOT_DOWNSAMPLED", [GET, POST], True),
        ("FAILED", [GET, POST], True),
        ("QUEUED", [GET], True),
        ("IN_PROGRESS", [GET], True),
        ("DOWNSAMPLED", [GET], False),
    ],
)
def test_it_is_asked_for_where_that_makes_sense(
    status: str, asked: list[str], under_way: bool, client: BossClient, server: Scripted
) -> None:
    server.script = [being(status), Reply(201)]
    diary = Diary()
    assert ask_for_levels(client, EM, diary.said.append) is under_way
    assert server.asked == asked
    assert len(diary.said) == (POST in asked) + (not under_way)


@pytest.mark.parametrize(("after", "under_way"), [("QUEUED", True), ("DOWNSAMPLED", False)])
def test_another_shard_may_have_asked_first(after: str, under_way: bool, client: BossClient, server: Scripted) -> None:
    server.script = [being("NOT_DOWNSAMPLED"), refusal(409, 2006), being(after)]
    assert ask_for_levels(client, EM, Diary().said.append) is under_way
    assert server.asked == [GET, POST, GET]


@pytest.mark.parametrize(
    ("answer", "error"),
    [(refusal(409, 2006, "the frame is too large"), PermanentError), (refusal(403, 3001), AccessError)],
)
def test_a_refusal_is_said(answer: Reply, error: type[Exception], client: BossClient, server: Scripted) -> None:
    server.script = lambda seen: answer if seen.method == "POST" else being("NOT_DOWNSAMPLED")
    with pytest.raises(error, match=r"POST downsample of lab/run7/em"):
        ask_for_levels(client, EM, Diary().said.append)


def test_waiting_tells_how_it_goes(client: BossClient, server: Scripted) -> None:
    server.script = [being("QUEUED")] * 2 + [being("IN_PROGRESS")] * (SAID_EVERY + 1) + [being("DOWNSAMPLED")]
    diary = Diary()
    await_levels(client, EM, diary.said.append, diary.pause, poll=30)
    assert diary.waited == [30] * (SAID_EVERY + 3)
    assert [line.removeprefix("The lower resolutions of lab/run7/em are ") for line in diary.said] == [
        "queued, 0 min so far.",
        "in progress, 1 min so far.",
        "in progress, 10 min so far.",
        "there.",
    ]


def test_a_job_that_is_stopped_waits_no_longer(client: BossClient, server: Scripted) -> None:
    server.script = [being("IN_PROGRESS")]
    diary = Diary(stop_after=2)
    await_levels(client, EM, diary.said.append, diary.pause)
    assert len(diary.waited) == len(server.seen) == 2
    assert "Not waiting any longer" in diary.said[-1]


@pytest.mark.parametrize("status", ["FAILED", "NOT_DOWNSAMPLED"])
def test_a_failure_is_one(status: str, client: BossClient, server: Scripted) -> None:
    server.script = [being("IN_PROGRESS"), being(status)]
    with pytest.raises(PermanentError, match=f"lab/run7/em were not built: the BOSS says {status}"):
        await_levels(client, EM, Diary().said.append, Diary().pause)


def test_a_short_outage_does_not_end_the_waiting(client: BossClient, server: Scripted) -> None:
    answers = iter([being("IN_PROGRESS"), Reply(503), being("DOWNSAMPLED")])

    def script(seen: Seen) -> Reply:
        return next(answers)

    server.script = script
    diary = Diary()
    await_levels(client, EM, diary.said.append, diary.pause)
    assert diary.said[-1].endswith("are there.")


def state_of(link: str) -> dict[str, object]:
    """What a link tells neuroglancer."""
    state: dict[str, object] = json.loads(unquote(link.partition("/#!")[2]))
    return state


VIEW = View(EM, Box.of((100, 201), (0, 80), (7, 17)), (4, 4, 40), "nanometers")


def test_a_link_shows_the_middle_of_what_was_uploaded() -> None:
    (link,) = links_to(VIEW, "https", "boss.example.org")
    assert link.startswith("https://neuroglancer-demo.appspot.com/#!%7B")
    assert state_of(link) == {
        "dimensions": {"x": [4e-9, "m"], "y": [4e-9, "m"], "z": [4e-8, "m"]},
        "position": [150.5, 40, 12],
        "layers": [{"type": "image", "source": "boss://https://boss.example.org/lab/run7/em", "name": "em"}],
        "layout": "xy",
    }


def test_annotations_are_shown_as_labels_in_the_viewer_of_their_boss() -> None:
    view = View(SEG, VIEW.box, (0.25, 0.25, 1), "micrometers")
    (link,) = links_to(view, "https", "api.bossdb.io")
    assert link.startswith("https://neuroglancer.bossdb.io/#!")
    assert '"type": "segmentation"' in unquote(link)
    assert state_of(link)["dimensions"] == {"x": [2.5e-7, "m"], "y": [2.5e-7, "m"], "z": [1e-6, "m"]}


def test_neurodata_has_a_page_of_its_own() -> None:
    page, link = links_to(VIEW, "https", "api.boss.neurodata.io")
    assert page == "https://ndwebtools.neurodata.io/ndviz_url/lab/run7/em/"
    assert "boss://https://api.boss.neurodata.io/lab/run7/em" in unquote(link)


def test_there_are_no_links_without_https() -> None:
    assert links_to(VIEW, "http", "127.0.0.1:8000") == ()
