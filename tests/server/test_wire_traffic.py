"""HTTP as it comes: keep-alive, chunks, go-aheads, oversize, halves of requests and plain nonsense."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from caller import TOKEN, Caller, serving
from hypothesis import given, settings
from hypothesis import strategies as st

from ndex.boss import wire
from ndex.server.routes import TABLE

RUN7 = "collection/lab/experiment/run7"
CUTOUT = "/v1/cutout/lab/run7/em/0/0:8/0:8/0:8/"
VOXELS = np.full((8, 8, 8), 5, "uint8")
AUTHORIZED = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/blosc"}


@pytest.fixture(scope="module")
def boss(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with serving(tmp_path_factory.mktemp("boss")) as url:
        boss = Caller(url)
        boss.make_experiment()
        boss.make_channel()
        boss.make_channel("seg", "uint64", "annotation", sources=["em"])  # so that no odd request deletes em
        yield boss


@pytest.fixture
def line(boss: Caller) -> Iterator[socket.socket]:
    host, port = boss.host.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        yield line


def head(verb: str, path: str, **headers: object) -> bytes:
    lines = [f"{verb} {path} HTTP/1.1", "Host: x", f"Authorization: Token {TOKEN}", "Content-Type: application/blosc"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer_to(line: socket.socket) -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(line)
    response.begin()
    return response


def test_a_connection_stays_usable_after_an_upload_that_is_refused(boss: Caller) -> None:
    host, port = boss.host.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    body = bytes(5_000_000)
    for path, status in (("/v1/nothing", 404), (CUTOUT.replace("em", "no"), 404), (CUTOUT, 400)):
        connection.request("POST", path, body, AUTHORIZED)
        response = connection.getresponse()
        assert (response.status, response.headers["Connection"]) == (status, None)
        assert json.loads(response.read())
    connection.request("POST", CUTOUT, body, {"Content-Type": "application/blosc"})
    response = connection.getresponse()
    assert response.status == 401
    response.read()
    mine = connection.sock
    connection.request("GET", CUTOUT, headers=AUTHORIZED)
    assert connection.getresponse().status == 200
    assert connection.sock is mine
    connection.close()


def test_chunked_uploads(boss: Caller) -> None:
    frame = wire.encode(VOXELS)
    pieces = [frame[:1], frame[1:20], frame[20:]]
    assert boss.send(iter(pieces), [(0, 8)] * 3).status_code == 201
    assert boss.read([(0, 8)] * 3).min() == 5
    assert boss("POST", "/v1/nothing", data=iter([b"x" * 100_000] * 30)).status_code == 404
    assert boss("GET", CUTOUT).status_code == 200


def test_a_go_ahead_is_given_for_a_body_that_is_wanted(line: socket.socket) -> None:
    frame = wire.encode(VOXELS)
    line.sendall(head("POST", CUTOUT, Content_Length=len(frame), Expect="100-continue"))
    assert line.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    line.sendall(frame)
    assert answer_to(line).status == 201
    line.sendall(head("GET", "/ping/"))
    assert answer_to(line).status == 200


def test_no_go_ahead_for_a_body_that_is_not_wanted(line: socket.socket) -> None:
    line.sendall(head("POST", CUTOUT.replace("em", "no"), Content_Length=10**8, Expect="100-continue"))
    response = answer_to(line)
    assert (response.status, response.headers["Connection"]) == (404, "close")


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize("length", [(550 << 20) + 1, 10**17])
def test_an_oversize_body_is_refused_before_it_is_sent(line: socket.socket, verb: str, length: int) -> None:
    line.sendall(head(verb, CUTOUT, Content_Length=length))
    response = answer_to(line)
    assert (response.status, json.loads(response.read())["code"]) == (413, 2000)


def test_a_client_that_sends_an_oversize_body_at_once_gets_to_read_the_answer(line: socket.socket) -> None:
    line.sendall(head("POST", CUTOUT, Content_Length=(550 << 20) + 1))
    line.sendall(bytes(30_000_000))
    assert answer_to(line).status == 413


def test_an_oversize_form_is_refused(boss: Caller) -> None:
    assert boss.fault("PUT", "/v1/collection/lab", data=b"[" * 2_000_000) == (413, 2000)


def test_a_frame_that_claims_gigabytes_is_refused(boss: Caller) -> None:
    frame = bytearray(wire.encode(VOXELS))
    frame[4:8] = (2_000_000_000).to_bytes(4, "little")
    assert boss.fault("POST", CUTOUT, data=bytes(frame), headers=AUTHORIZED)[0] == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Length": "-1"},
        {"Content_Length": "1_0"},
        {"Content_Length": "9" * 30},
        {"Content_Length": "5\r\nContent-Length: 6"},
        {"Transfer_Encoding": "gzip, chunked"},
    ],
)
def test_bodies_without_a_clear_end(line: socket.socket, headers: dict[str, str]) -> None:
    line.sendall(head("POST", CUTOUT, **headers))
    response = answer_to(line)
    assert (response.status, response.headers["Connection"]) == (400, "close")
    assert list(json.loads(response.read())) == ["detail"]


@pytest.mark.parametrize("body", [b"zz\r\n", b"-5\r\nhello\r\n", b"5\r\nhelloworld", b"5" * 2000, b"5\r\nhe"])
def test_broken_chunks_end_the_connection(boss: Caller, line: socket.socket, body: bytes) -> None:
    line.sendall(head("POST", CUTOUT, Transfer_Encoding="chunked") + body)
    line.shutdown(socket.SHUT_WR)
    assert line.recv(100) == b""
    assert boss("GET", "/ping/").status_code == 200


def test_half_a_body_changes_nothing(boss: Caller, line: socket.socket) -> None:
    frame = wire.encode(VOXELS)
    path = CUTOUT.replace("0:8/0:8/0:8", "8:16/8:16/8:16")
    line.sendall(head("POST", path, Content_Length=len(frame)) + frame[:-1])
    line.shutdown(socket.SHUT_WR)
    assert line.recv(100) == b""
    assert not boss.read([(8, 16)] * 3).any()


def test_absolute_urls_and_old_http(line: socket.socket) -> None:
    line.sendall(head("GET", "http://boss.example/v1/collection/?format=json"))
    assert json.loads(answer_to(line).read()) == {"collections": ["lab"]}
    line.sendall(b"GET /ping/ HTTP/1.0\r\n\r\n")
    assert answer_to(line).status == 200
    assert line.recv(1) == b""


nonsense = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda junk: b"GET /v1/" + junk + b" HTTP/1.1\r\n\r\n"),
    st.binary(max_size=60).map(lambda junk: b"POST /v1/collection/x HTTP/1.1\r\n" + junk + b"\r\n\r\n"),
    st.sampled_from([b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 9, b"GET\r\n\r\n"]),
    st.just(b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n"),
    st.just(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n"),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(junk=nonsense)
def test_nonsense_never_hangs_nor_breaks_the_server(boss: Caller, junk: bytes) -> None:
    host, port = boss.host.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(junk)
        line.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert b" 500 " not in answer[:20]
    assert b"<html" not in answer.lower()


odd = st.one_of(
    st.sampled_from(["..", "%2e%2e", "%00", "%ff", "", "512", "0:5:6", "8:0", "0:99999999999", "-1", "to_black"]),
    st.text(max_size=5).map(lambda text: quote(text.encode("utf-8", "replace"))),
)
likely = {"c": "lab", "e": "run7", "ch": "em", "f": "run7_frame", "R": "0", "n": "5", "id": "7", "plane": "xy"}
likely |= dict.fromkeys(("x", "y", "z", "px", "py", "t"), "0:8") | {"pz": "3", "size": "9"}


@st.composite
def paths(draw: st.DrawFn) -> str:
    """A path that the server knows, with something odd in it, or nothing like it at all."""
    elements = draw(st.sampled_from([template.split("/") for template in TABLE]) | st.lists(odd, max_size=10))
    filled = [likely.get(element.strip("{}"), element) if element.startswith("{") else element for element in elements]
    for place in draw(st.lists(st.integers(0, 9), max_size=2)):
        if place < len(filled):
            filled[place] = draw(odd)
    return "/v1/" + "/".join(filled)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
known_fields = st.sampled_from(
    [
        *["description", "public", "coord_frame", "num_hierarchy_levels", "x_start", "x_voxel_size", "voxel_unit"],
        *["type", "datatype", "sources", "related", "base_resolution", "time_step", "time_step_unit", "bucket"],
    ]
)
queries = st.dictionaries(
    st.sampled_from(["key", "value", "filter", "iso", "access-mode", "no-cache", "format", "type", "owner", "window"]),
    st.text(max_size=6),
    max_size=2,
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]),
    path=paths(),
    query=queries,
    content=st.dictionaries(known_fields, values, max_size=6) | values,
    media=st.sampled_from(["application/json", "application/blosc", "application/npygz", "multipart/form-data", ""]),
)
def test_odd_requests_are_refused_in_json(
    boss: Caller, method: str, path: str, query: dict[str, str], content: object, media: str
) -> None:
    answer = _ask(boss, method, path, query, content, media)
    assert answer.status_code not in (500, 503), answer.text
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json().keys() in ({"detail"}, {"status", "code", "message"})


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    method=st.sampled_from(["POST", "PUT"]),
    path=st.sampled_from(["collection/a", "coord/a", "collection/lab/experiment/a", f"{RUN7}/channel/a"]),
    content=st.dictionaries(known_fields | st.just("name"), values, max_size=8),
)
def test_odd_resources_are_refused_in_json(boss: Caller, method: str, path: str, content: dict[str, object]) -> None:
    complete = {"coord_frame": "run7_frame", "type": "image", "datatype": "uint8"} | content
    answer = _ask(boss, method, f"/v1/{path}", {}, complete, "application/json")
    assert answer.status_code in (200, 201, 400, 404), answer.text
    boss("DELETE", f"/v1/{path}")


def _ask(boss: Caller, method: str, path: str, query: dict[str, str], content: object, media: str) -> Any:
    body = json.dumps(content).encode()
    return boss(method, path, params=query, data=body, headers={"Content-Type": media})
