"""Cutouts: what travels, and what each failure becomes, counted in requests (boss-api 7, 12.3)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version

import blosc
import numpy as np
import pytest
from conftest import ATTEMPTS, TOKEN
from scripted import Reply, Scripted, page, refusal, told

from ndex.boss import connection
from ndex.boss.client import BossClient
from ndex.boss.records import Channel
from ndex.errors import (
    AccessError,
    JobError,
    Missing,
    NdexError,
    PermanentError,
    ServerError,
    TransientError,
    Unreachable,
)
from ndex.geometry import Box
from ndex.job import Boss, Retry

EM = Channel("lab", "run7", "em", "image", np.dtype("uint8"))
SEG = replace(EM, name="seg", type="annotation", dtype=np.dtype("uint64"))
BOX = Box.of((1, 33), (2, 18), (5, 9))
VOXELS = np.zeros(BOX.shape, np.uint8)
VOXELS[1, 2] = np.arange(32)
PATH = "/v1/cutout/lab/run7/em/0/1:33/2:18/5:9/"


def framed(array: np.ndarray) -> bytes:
    """As intern and the BOSS write it: the bits where the bytes of an item belong."""
    return blosc.compress(array.tobytes(), typesize=array.itemsize * 8)


def blosc_reply(array: np.ndarray, **changes: object) -> Reply:
    return replace(Reply(200, framed(array), "application/blosc"), **changes)


def read(client: BossClient) -> object:
    return client.get_cutout(EM, 0, BOX)


def write(client: BossClient) -> object:
    return client.put_cutout(EM, 0, BOX, None, VOXELS)


def erase(client: BossClient) -> object:
    return client.erase(EM, 0, BOX)


def test_reading(server: Scripted, client: BossClient) -> None:
    server.script = [blosc_reply(VOXELS)]
    got = client.get_cutout(EM, 0, BOX)
    np.testing.assert_array_equal(got, VOXELS)
    assert got.flags.writeable
    assert server.asked == [f"GET {PATH}?access-mode=no-cache"]
    headers = server.seen[0].headers
    assert headers["Authorization"] == f"Token {TOKEN}"
    assert headers["Accept"] == "application/blosc"
    assert headers["Accept-Encoding"] == "identity"


def test_reading_a_time_sample_with_options(server: Scripted, client: BossClient) -> None:
    labels = VOXELS.astype(np.uint64)
    server.script = [blosc_reply(labels, chunked=True)]
    got = client.get_cutout(SEG, 2, BOX, 3, iso=True, filter=[5, 6])
    np.testing.assert_array_equal(got, labels)
    path, _, query = server.seen[0].path.partition("?")
    assert path == "/v1/cutout/lab/run7/seg/2/1:33/2:18/5:9/3:4/"
    assert sorted(query.split("&")) == ["access-mode=no-cache", "filter=5,6", "iso=true"]


def test_writing_and_erasing(server: Scripted, client: BossClient) -> None:
    server.script = [Reply(201, media="text/html"), Reply(200, media="text/html")]
    client.put_cutout(EM, 0, BOX, 4, VOXELS)
    client.erase(EM, 0, BOX)
    assert server.asked == [f"POST {PATH}4:5/", "PUT /v1/cutout/to_black/lab/run7/em/0/1:33/2:18/5:9/"]
    assert server.seen[0].headers["Content-Type"] == "application/blosc"
    assert blosc.decompress(server.seen[0].body) == VOXELS.tobytes()


def test_labels_that_add_up_to_nothing_are_sent(server: Scripted, client: BossClient) -> None:
    """Two voxels of 2^63: their sum wraps to 0, where intern would send nothing (boss-api 13.6)."""
    server.script = [Reply(201)]
    labels = np.zeros(BOX.shape, np.uint64)
    labels[0, 0, :2] = 1 << 63
    client.put_cutout(SEG, 0, BOX, None, labels)
    assert blosc.decompress(server.seen[0].body) == labels.tobytes()


def test_connections_are_kept(server: Scripted, client: BossClient) -> None:
    server.script = lambda request: blosc_reply(VOXELS) if request.method == "GET" else Reply(201)
    for _ in range(3):
        read(client)
        write(client)
    assert len({request.peer for request in server.seen}) == 1
    assert {request.headers["User-Agent"] for request in server.seen} == {f"intern-py-{version('intern')}"}


FAILURES = [
    # what is answered, the error it becomes, requests of the operation, words in the text
    (refusal(401, 0), AccessError, 1, "BOSS_TOKEN"),
    (refusal(403, 3001, "no permission"), AccessError, 1, "no permission"),
    (refusal(404, 4000), Missing, 1, "404, code 4000"),
    (refusal(404, 4005), Missing, 1, "being deleted"),
    (page(404), PermanentError, 1, "404"),
    (refusal(400, 1001, "outside"), PermanentError, 1, "outside"),
    (refusal(409, 2006), PermanentError, 1, "409"),
    (refusal(413, 2000), PermanentError, 1, "smaller blocks"),
    (page(413), PermanentError, 1, "413"),
    (told({"detail": "unsupported"}, 415), PermanentError, 1, "unsupported"),
    (refusal(429, 3004), JobError, 1, "quota"),
    (Reply(301, headers={"Location": "http://127.0.0.1:1/x"}), JobError, 1, "boss.host"),
    (Reply(302, headers={"Location": "/elsewhere"}), JobError, 1, "boss.host"),
    (page(502), TransientError, ATTEMPTS, "502"),
    (page(503), TransientError, ATTEMPTS, "503"),
    (page(504), TransientError, ATTEMPTS, "504"),
    (page(200), TransientError, ATTEMPTS, "maintenance"),
    (Reply(reset=True), TransientError, ATTEMPTS, "broke"),
]


@pytest.mark.parametrize("operation", [read, write, erase])
@pytest.mark.parametrize(("reply", "error", "requests", "words"), FAILURES)
def test_failures(
    server: Scripted,
    client: BossClient,
    operation: Callable[[BossClient], object],
    reply: Reply,
    error: type[NdexError],
    requests: int,
    words: str,
) -> None:
    server.script = [reply]
    with pytest.raises(error) as caught:
        operation(client)
    assert type(caught.value) is error
    assert len(server.seen) == requests
    text = str(caught.value)
    assert words in text
    assert "lab/run7/em" in text
    assert "x 1:33, y 2:18, z 5:9" in text
    assert "\n" not in text
    assert TOKEN not in text


@pytest.mark.parametrize("operation", [read, write, erase])
def test_a_500_is_tried_a_few_times(
    server: Scripted, client: BossClient, operation: Callable[[BossClient], object]
) -> None:
    server.script = lambda request: page(500) if "cutout" in request.path else told({})
    with pytest.raises(ServerError):
        operation(client)
    assert sum("cutout" in line for line in server.asked) == 4
    assert sum("cutout" not in line for line in server.asked) == 1


@pytest.mark.parametrize("operation", [read, write, erase])
def test_a_refused_token_shows_as_500(
    server: Scripted, client: BossClient, operation: Callable[[BossClient], object]
) -> None:
    server.script = lambda request: page(500) if "cutout" in request.path else told({"detail": f"bad {TOKEN}"}, 401)
    with pytest.raises(AccessError, match="BOSS_TOKEN") as caught:
        operation(client)
    assert TOKEN not in str(caught.value)
    assert [line.split("?")[0] for line in server.asked][1:] == ["GET /v1/collection/lab/experiment/run7/channel/em"]


@pytest.mark.parametrize(
    ("reply", "error", "requests"),
    [
        (blosc_reply(VOXELS, length=len(framed(VOXELS)) + 1), TransientError, ATTEMPTS),
        (blosc_reply(VOXELS, length=BOX.voxels + 16), TransientError, ATTEMPTS),
        (blosc_reply(VOXELS, body=framed(VOXELS)[:-9]), ServerError, 4),
        (blosc_reply(VOXELS, body=b""), ServerError, 4),
        (blosc_reply(VOXELS, body=b"\0" * 700), ServerError, 4),
        (blosc_reply(VOXELS[:-1]), ServerError, 4),
        (blosc_reply(VOXELS.astype(np.uint16)), ServerError, 4),
        (blosc_reply(VOXELS, length=BOX.voxels + 17), ServerError, 4),
        (blosc_reply(VOXELS, length=1 << 40), ServerError, 4),
        (blosc_reply(VOXELS, body=b"\1" * (BOX.voxels + 17), chunked=True), ServerError, 4),
        (blosc_reply(VOXELS, media="application/octet-stream"), ServerError, 4),
        (told({"a": 1}), ServerError, 4),
        (Reply(204), PermanentError, 1),
    ],
)
def test_damaged_answers(
    server: Scripted, client: BossClient, reply: Reply, error: type[NdexError], requests: int
) -> None:
    server.script = [reply]
    with pytest.raises(error) as caught:
        read(client)
    assert type(caught.value) is error
    assert len(server.seen) == requests


def test_random_damage_is_never_taken_for_voxels_of_another_size(server: Scripted, client: BossClient) -> None:
    rng = random.Random(5)
    for _ in range(30):
        body = bytearray(framed(VOXELS))
        body[rng.randrange(16)] ^= 1 << rng.randrange(8)
        server.script = [blosc_reply(VOXELS, body=bytes(body))]
        try:
            assert client.get_cutout(EM, 0, BOX).shape == BOX.shape
        except TransientError:
            continue


@pytest.mark.parametrize("operation", [read, write])
def test_a_failure_that_passes(server: Scripted, client: BossClient, operation: Callable[[BossClient], object]) -> None:
    good = blosc_reply(VOXELS) if operation is read else Reply(201)
    server.script = [Reply(reset=True), page(503), page(200), good]
    operation(client)
    assert len(server.seen) == 4


def test_a_storage_exception_may_pass(server: Scripted, client: BossClient) -> None:
    server.script = [refusal(400, 9001, "timed out"), Reply(201)]
    write(client)
    assert len(server.seen) == 2


@pytest.mark.parametrize("marker", ["Resolution Mismatch", "Resource Locked"])
def test_a_storage_exception_that_lasts(server: Scripted, client: BossClient, marker: str) -> None:
    server.script = [refusal(400, 9001, f"Error: {marker} for channel")]
    with pytest.raises(PermanentError, match=marker):
        write(client)
    assert len(server.seen) == 1


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSS_TOKEN", TOKEN)
    client = BossClient.connect(Boss(host="127.0.0.1:1", protocol="http"), Retry(attempts=2, wait=0))
    with pytest.raises(Unreachable, match=r"nobody answers at http://127\.0\.0\.1:1"):
        read(client)


def test_a_host_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSS_TOKEN", TOKEN)
    client = BossClient.connect(Boss(host="localhost:99999", protocol="http"), Retry(attempts=2, wait=0))
    with pytest.raises(JobError, match=r"boss\.host=localhost:99999"):
        read(client)


def test_a_server_that_does_not_speak_tls(server: Scripted) -> None:
    client = BossClient.connect(Boss(host=server.host), Retry(attempts=2, wait=0))
    with pytest.raises(TransientError, match=r"boss\.protocol"):
        read(client)


def test_a_slow_reader_is_given_the_timeout_of_the_job(
    server: Scripted, client: BossClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """urllib3 would give it that of connecting: the body is larger than what the system takes in between."""
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 0.1)
    server.script = [Reply(201)]
    server.stall = 0.4
    box = Box.of((0, 4096), (0, 4096), (0, 1))
    client.put_cutout(EM, 0, box, None, np.random.default_rng(1).integers(0, 255, box.shape, np.uint8))
    assert len(server.seen) == 1


def test_impossible_requests_are_not_sent(server: Scripted, client: BossClient) -> None:
    huge = Box.of((0, 1 << 14), (0, 1 << 14), (0, 4))
    with pytest.raises(PermanentError, match="smaller blocks"):
        client.get_cutout(EM, 0, huge)
    with pytest.raises(PermanentError, match="negative"):
        client.get_cutout(EM, 0, Box.of((-1, 3), (0, 1), (0, 1)))
    with pytest.raises(PermanentError, match="uint16"):
        client.put_cutout(EM, 0, BOX, None, VOXELS.astype(np.uint16))
    with pytest.raises(PermanentError, match="does not fit"):
        client.put_cutout(EM, 0, BOX, None, VOXELS[1:])
    with pytest.raises(PermanentError, match="filter"):
        client.get_cutout(SEG, 0, BOX, filter=range(1000, 2000))
    assert server.seen == []


def test_a_long_message_is_cut(server: Scripted, client: BossClient) -> None:
    server.script = [refusal(400, 1001, "word \n" * 500)]
    with pytest.raises(PermanentError) as caught:
        read(client)
    assert len(str(caught.value)) < 400
