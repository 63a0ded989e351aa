"""Resources, metadata, downsampling and ids: what is asked, and how answers and failures are taken."""

from __future__ import annotations

import json
import threading
from email.utils import formatdate
from time import time

import numpy as np
import pytest
from conftest import ATTEMPTS, TOKEN
from scripted import Reply, Scripted, Seen, page, refusal, told

from ndex.boss.client import BossClient
from ndex.boss.records import Channel, Collection, CoordinateFrame, Experiment
from ndex.errors import (
    AccessError,
    DamagedData,
    JobError,
    Missing,
    NdexError,
    PermanentError,
    ServerError,
    TransientError,
)
from ndex.geometry import Box
from ndex.retry import seconds_to_wait

COLLECTION = {"name": "lab", "public": False, "description": "", "experiments": ["run7"], "creator": "labuser"}
FRAME = {
    "name": "run7_frame",
    "description": "",
    **{"x_start": 0, "x_stop": 1001, "y_start": 0, "y_stop": 700, "z_start": 2, "z_stop": 50},
    **{"x_voxel_size": 5.0, "y_voxel_size": 5.0, "z_voxel_size": 40.0, "voxel_unit": "nanometers"},
}
EXPERIMENT = {
    **{"channels": ["em"], "name": "run7", "public": False, "description": "", "collection": "lab"},
    **{"coord_frame": "run7_frame", "num_hierarchy_levels": 4, "hierarchy_method": "anisotropic"},
    **{"num_time_samples": 1, "time_step": None, "time_step_unit": None, "creator": "labuser"},
}
CHANNEL = {
    **{"name": "seg", "public": False, "description": "", "experiment": "run7", "default_time_sample": 0},
    **{"type": "annotation", "base_resolution": 0, "datatype": "uint64", "creator": "labuser", "sources": ["em"]},
    **{"downsample_status": "NOT_DOWNSAMPLED", "related": [], "storage_type": "spdb", "bucket": None, "cv_path": None},
}
SEG = Channel("lab", "run7", "seg", "annotation", np.dtype("uint64"), sources=("em",))
CHANNEL_PATH = "/v1/collection/lab/experiment/run7/channel/seg"


def test_reading_records(server: Scripted, client: BossClient) -> None:
    server.script = [told(COLLECTION), told(EXPERIMENT), told(CHANNEL), told(FRAME)]
    assert client.collection("lab") == Collection("lab", "", ("run7",))
    assert client.experiment("lab", "run7") == Experiment("lab", "run7", "run7_frame", 4, False, 1, ("em",))
    assert client.channel("lab", "run7", "seg") == SEG
    box = Box.of((0, 1001), (0, 700), (2, 50))
    assert client.frame("run7_frame") == CoordinateFrame("run7_frame", box, (5, 5, 40), "nanometers")
    assert server.asked == [
        "GET /v1/collection/lab",
        "GET /v1/collection/lab/experiment/run7",
        f"GET {CHANNEL_PATH}",
        "GET /v1/coord/run7_frame",
    ]
    assert {request.headers["Accept"] for request in server.seen} == {"application/json"}


def test_lists(server: Scripted, client: BossClient) -> None:
    server.script = [told({"collections": ["lab"]}), told({"experiments": []}), told({"channels": ["em", "seg"]})]
    assert client.list_collections() == ["lab"]
    assert client.list_experiments("lab") == []
    assert client.list_channels("lab", "run7") == ["em", "seg"]
    assert [line.rstrip("/") for line in server.asked] == [
        "GET /v1/collection",
        "GET /v1/collection/lab/experiment",
        "GET /v1/collection/lab/experiment/run7/channel",
    ]


def test_what_does_not_exist_is_none(server: Scripted, client: BossClient) -> None:
    server.script = [refusal(404, 4000)]
    assert client.collection("lab") is None
    assert client.frame("lab_run7") is None
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("reply", "error", "requests"),
    [
        (refusal(404, 4005), Missing, 1),
        (page(404), PermanentError, 1),
        (told({"detail": f"unknown {TOKEN}"}, 401), AccessError, 1),
        (refusal(403, 3001), AccessError, 1),
        (told({"detail": "throttled"}, 429), JobError, 1),
        (page(406), PermanentError, 1),
        (page(500), ServerError, 4),
        (page(502), TransientError, ATTEMPTS),
        (page(503), TransientError, ATTEMPTS),
        (page(504), TransientError, ATTEMPTS),
        (page(200), TransientError, ATTEMPTS),
        (Reply(200, b"", "text/html"), ServerError, 4),
        (Reply(200, b"{", "application/json"), TransientError, ATTEMPTS),
        (Reply(200, b"{}", "application/json", length=900), TransientError, ATTEMPTS),
        (Reply(reset=True), TransientError, ATTEMPTS),
        (told([1, 2]), DamagedData, 1),
        (told({"name": "seg"}), DamagedData, 1),
        (told({**CHANNEL, "datatype": "float32"}), DamagedData, 1),
        (Reply(307, headers={"Location": "http://127.0.0.1:1/"}), JobError, 1),
    ],
)
def test_failures(server: Scripted, client: BossClient, reply: Reply, error: type[NdexError], requests: int) -> None:
    server.script = [reply]
    with pytest.raises(error, match="GET channel lab/run7/seg") as caught:
        client.channel("lab", "run7", "seg")
    assert type(caught.value) is error
    assert len(server.seen) == requests
    assert TOKEN not in str(caught.value)


def test_the_token_is_in_no_repr(client: BossClient) -> None:
    shown = [repr(thing) for thing in (client, client._connection, client._access, vars(client))]
    assert not any(TOKEN in text for text in shown)


def test_impossible_names_are_not_sent(server: Scripted, client: BossClient) -> None:
    for name in ("my.lab", "", "a/b", "münchen", "x" * 256, "a b"):
        with pytest.raises(JobError, match="names consist of"):
            client.collection(name)
    assert server.seen == []


def test_opening_gives_up_soon(server: Scripted, client: BossClient) -> None:
    server.script = [page(503)]
    with pytest.raises(TransientError):
        client.impatient().collection("lab")
    assert len(server.seen) == 3


# Creating


def test_create(server: Scripted, client: BossClient) -> None:
    server.script = [told(CHANNEL, 201)]
    assert client.create_channel(SEG) == SEG
    assert server.asked == [f"POST {CHANNEL_PATH}"]
    assert json.loads(server.seen[0].body) == {
        **{"name": "seg", "description": "", "type": "annotation", "datatype": "uint64", "base_resolution": 0},
        **{"default_time_sample": 0, "sources": ["em"], "related": []},
    }


def test_experiments_are_created_with_a_time_unit(server: Scripted, client: BossClient) -> None:
    server.script = [told(EXPERIMENT, 201)]
    client.create_experiment(Experiment("lab", "run7", "run7_frame", 4, True, 5))
    assert json.loads(server.seen[0].body) == {
        **{"name": "run7", "description": "", "coord_frame": "run7_frame", "num_hierarchy_levels": 4},
        **{"hierarchy_method": "isotropic", "num_time_samples": 5, "time_step": 0, "time_step_unit": "seconds"},
    }


def test_a_lost_answer_to_a_create(server: Scripted, client: BossClient) -> None:
    """The first POST created it, but nobody heard: the second attempt looks before it asks again."""
    server.script = [Reply(reset=True), told(CHANNEL)]
    assert client.create_channel(SEG) == SEG
    assert server.asked == [f"POST {CHANNEL_PATH}", f"GET {CHANNEL_PATH}"]


def test_a_create_that_never_arrived(server: Scripted, client: BossClient) -> None:
    server.script = [page(503), refusal(404, 4000), told(CHANNEL, 201)]
    client.create_channel(SEG)
    assert server.asked == [f"POST {CHANNEL_PATH}", f"GET {CHANNEL_PATH}", f"POST {CHANNEL_PATH}"]


def test_exists_and_invalid_are_told_apart(server: Scripted, client: BossClient) -> None:
    server.script = [refusal(400, 1003, "exists"), told(CHANNEL), refusal(400, 1003, "bad source"), refusal(404, 4000)]
    assert client.create_channel(SEG) == SEG
    with pytest.raises(PermanentError, match="bad source"):
        client.create_channel(SEG)
    assert len(server.seen) == 4


def test_a_name_that_is_being_deleted(server: Scripted, client: BossClient) -> None:
    server.script = [refusal(400, 1003, "exists"), refusal(404, 4005)]
    with pytest.raises(Missing, match="being deleted"):
        client.create_channel(SEG)


def test_two_threads_create_the_same(server: Scripted, client: BossClient) -> None:
    barrier, lock, created = threading.Barrier(2), threading.Lock(), []

    def script(request: Seen) -> Reply:
        if request.method == "GET":
            return told(CHANNEL)
        barrier.wait()
        with lock:
            created.append(request)
            return told(CHANNEL, 201) if len(created) == 1 else refusal(400, 1003, "exists")

    server.script = script
    results: list[Channel] = []
    threads = [threading.Thread(target=lambda: results.append(client.create_channel(SEG))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [SEG, SEG]
    assert sorted(line.split()[0] for line in server.asked) == ["GET", "POST", "POST"]


# Retry-After


def test_both_forms_of_retry_after() -> None:
    assert seconds_to_wait("7") == 7
    assert seconds_to_wait(formatdate(time() + 100, usegmt=True)) == pytest.approx(100, abs=2)
    assert seconds_to_wait(formatdate(time() - 100, usegmt=True)) == 0
    assert seconds_to_wait("soon") is None
    assert seconds_to_wait(None) is None


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_retry_after_is_passed_on(server: Scripted, client: BossClient, status: int) -> None:
    server.script = [Reply(status, headers={"Retry-After": "999"})]
    with pytest.raises(TransientError) as caught:
        client.collection("lab")
    assert caught.value.retry_after == 999
