"""Requests that no client sends: each is answered or hung up on, none finds a bug, and nothing is left of them."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psutil
import pytest
from caller import TOKEN, Caller

from ndex.boss import wire
from ndex.server import http
from ndex.server.app import App
from ndex.server.gate import Gate
from ndex.server.http import Server
from ndex.server.process import TOKEN_ENV, running
from ndex.server.scratch import SLOTS

BATCH, BATCHES = 30, 5
"""Requests under way at once, and how often in each of ten tests: 1500 of each kind."""
SENT = {"requests": 0, "answers": 0}


class Target:
    """A server in a process of its own."""

    def __init__(self, address: str) -> None:
        host, _, port = address.partition(":")
        self._place = host, int(port)
        self.boss = Caller(f"http://{address}", os.environ[TOKEN_ENV])
        children = psutil.Process().children(recursive=True)  # tests that ran before may have servers of their own
        servers = (child for child in children if "ndex.server" in child.cmdline())
        (self.process,) = (
            child for child in servers if any(line.laddr.port == int(port) for line in child.net_connections("tcp"))
        )
        self.process_start = self.usage()

    def usage(self) -> tuple[int, int, float]:
        """Threads, open files, MiB."""
        process = self.process
        return process.num_threads(), process.num_fds() if os.name == "posix" else 0, process.memory_info().rss / 2**20

    def send(self, *requests: bytes) -> list[bytes]:
        """The answers to these bytes, each on a connection of its own and after which nothing follows; empty where the
        server hangs up. All are under way before the first answer is awaited."""
        SENT["requests"] += len(requests)
        with ExitStack() as stack:
            open_ones = [stack.enter_context(socket.create_connection(self._place, 20)) for _ in requests]
            for connection, data in zip(open_ones, requests, strict=True):
                with suppress(OSError):  # the server has hung up
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
            return [everything(connection) for connection in open_ones]


def everything(connection: socket.socket) -> bytes:
    try:
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))
    except OSError:  # the server has hung up
        return b""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running(tmp_path_factory.mktemp("boss") / "root") as address:
        found = Target(address)
        found.boss.make_experiment(num_hierarchy_levels=2)
        found.boss.make_channel()
        found.boss.make_channel("seg", "uint64", "annotation")
        found.boss.write(np.ones((8, 8, 8), np.uint8), [(0, 8)] * 3)
        found.send(b"GET /ping HTTP/1.1\r\n\r\n")
        found.process_start = found.usage()
        yield found


def statuses(answer: bytes) -> list[int]:
    """Of all answers in a stream of them, which must begin with one."""
    found = [int(status) for status in re.findall(rb"(?:^|\n|\})HTTP/1\.[01] (\d{3}) ", answer)]
    assert not answer or answer.startswith(b"HTTP/1."), answer
    SENT["answers"] += len(found)
    return found


NASTY = [
    *("", ".", "..", "%2e%2e", "%2f", "..%2f..%2fetc%2fpasswd", "%00", "a%00b", "%", "%zz", "con", "NUL", "com1.txt"),
    *("a" * 255, "a" * 256, "a" * 5000, "lab ", "lab.", "C:", "\\\\host\\share", "%5c..%5c", "%ff%fe", "\xc3\xbc"),
    *("-1:5", "5:1", "0:0", "0:9999999999999999999", "0:1e3", "::", "9" * 400 + ":1", "0:8:2", "x", "*", "?", "1.5"),
    *("%20", "null"),
]  # fmt: skip
GOOD = ["lab", "run7", "em", "seg", "0", "1", "0:8", "xy", "512", "run7_frame", "channel", "experiment", "collection"]
SERVICES = ["collection", "coord", "meta", "cutout", "cutout/to_black", "downsample", "reserve", "ids", "boundingbox"]
SERVICES += ["image", "tile", "nothing", "../v1/collection"]


def some(random: Random, choices: list[Any], most: int) -> list[Any]:
    return random.choices(choices, k=random.randint(0, most))


def odd_path(random: Random) -> str:
    """Either anything, or a path to a cutout, often with one part spoilt."""
    if random.random() < 0.5:
        version = random.choice(["v1", "v1", "v1", "latest", "v0.8", "v9", ""])
        parts = [random.choice(random.choice([GOOD, GOOD, NASTY])) for _ in range(random.randint(0, 8))]
        return f"/{version}/{random.choice(SERVICES)}/" + "/".join(parts)
    parts = f"v1/cutout/lab/run7/{random.choice(['em', 'seg'])}/0/0:8/0:8/0:8".split("/")
    at = random.randint(0, 2 * len(parts))
    return "/" + "/".join(random.choice(NASTY) if index == at else part for index, part in enumerate(parts))


KEYS = ["key", "value", "filter", "iso", "access-mode", "no-cache", "format", "type", "%00", ""]
VALUES = [*NASTY, "1,2,x", "18446744073709551616", "true", "json", "jpg", "raw", "tight", "k", "a=b"]


def odd_query(random: Random) -> str:
    return "&".join(f"{random.choice(KEYS)}={value}" for value in some(random, VALUES, 3))


FRAME = wire.encode(np.ones((8, 8, 8), np.uint8))
FRAMES = [
    *(FRAME, FRAME[:-1], FRAME[:16], FRAME + b"x", b"", b"\0" * 16, b"\xff" * 64),
    *(FRAME[:4] + struct.pack("<I", size) + FRAME[8:] for size in (0, 511, 513, 1 << 20, (1 << 31) - 1, (1 << 32) - 1)),
    *(FRAME[:at] + bytes([value]) + FRAME[at + 1 :] for at in (0, 1, 2, 3, 8, 12) for value in (0, 1, 0x7F, 0xFF)),
    *(b"{}", b"[", b'{"public": "yes"}', b'{"name": "\\ud800"}', b'{"x_start": 1e999}', b"[" * 9999, b'{"a":' * 9999),
    *(b"\x80\x04cos\nsystem\n", b"\x93NUMPY\x01\x00\x10\x00{'descr': 'O'}   ", b"x\x9c\x03\x00\x00\x00\x00\x01"),
]


def odd_body(random: Random) -> bytes:
    return random.choice(FRAMES) if random.random() < 0.5 else random.randbytes(random.randint(0, 200))


MEDIA = [
    "application/blosc",
    "application/blosc",
    "application/blosc",
    "application/npygz",
    "application/blosc-python",
    "application/json",
    "text/plain",
    "",
    "image/jpeg",
]
HEADERS = [
    *("Accept: image/png", "Accept: */*;q=x", "Accept: " + "a/b," * 500, "Expect: 100-continue", "Expect: x"),
    *("Connection: close", "Connection: upgrade", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip"),
    *("Content-Length: -1", "Content-Length: 1e3", "Content-Length: 99999999999999999999", "Content-Length: 5"),
    *("Content-Length: 576716801", "Content-Length: 600", "Host: x", "X: " + "y" * 9000, "Range: bytes=0-1"),
    *("Authorization: Token x", "Authorization: Token \xff", "Authorization: ", "no colon", " folded"),
    "\0: \0",
]
METHODS = ["GET", "GET", "POST", "POST", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "get", "X" * 50]


def odd_request(random: Random) -> tuple[bytes, bool]:
    """A request of the right form, and whether it must be answered: its body is as long as it says."""
    method, path, body, more = random.choice(METHODS), odd_path(random), odd_body(random), some(random, HEADERS, 3)
    if method == "DELETE" and path.rstrip("/").endswith(("/em", "/seg")) and "channel" in path:
        method = "GET"  # the others need them
    lines = [f"{method} {path}?{odd_query(random)} HTTP/1.1", f"Content-Type: {random.choice(MEDIA)}", *more]
    lines += [f"Authorization: Token {os.environ[TOKEN_ENV]}"] if random.random() < 0.8 else []
    honest = random.random() < 0.8
    lines += [f"Content-Length: {len(body)}"] if honest else []
    plain = not any(line.startswith((" ", "Content-L", "Transfer", "Expect", "\0", "no ")) for line in more)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, plain and honest


@pytest.mark.parametrize("seed", range(10))
def test_requests_of_the_right_form(seed: int, target: Target) -> None:
    random = Random(seed)
    for _ in range(BATCHES):
        batch = [odd_request(random) for _ in range(BATCH)]
        for (data, must_be_answered), answer in zip(batch, target.send(*(data for data, _ in batch)), strict=True):
            found = statuses(answer)
            assert not [status for status in found if status >= 500], data
            assert found or not must_be_answered, data


PIECES = [
    *(b"GET ", b"POST ", b"/v1/collection", b" HTTP/1.1", b" HTTP/9", b"\r\n", b"\n", b"\r", b"\0", b": "),
    *(b"Transfer-Encoding: chunked", b"Content-Length: 3", b"\r\n\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n"),
    *(b"ffffffffffffffff\r\n", b"-1\r\n", b"\x16\x03\x01\x02\x00", b"X: y\r\n" * 120, b"A" * 70_000),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def odd_bytes(random: Random) -> bytes:
    return random.randbytes(random.randint(0, 300)) if random.random() < 0.3 else b"".join(some(random, PIECES, 12))


@pytest.mark.parametrize("seed", range(10))
def test_bytes_of_no_form(seed: int, target: Target) -> None:
    random = Random(seed)
    for _ in range(BATCHES):
        batch = [odd_bytes(random) for _ in range(BATCH)]
        for data, answer in zip(batch, target.send(*batch), strict=True):
            if answer.startswith(b"HTTP/"):
                assert not [status for status in statuses(answer) if status >= 500 and status not in (501, 505)], data


def test_nothing_is_left_of_them(target: Target) -> None:
    """After both of the above: as many threads and files as before, and no memory that was not given back but
    what cuboids are worked on in."""
    threads, files, mebibytes = target.process_start
    for _ in range(100):
        now = target.usage()
        if now[0] <= threads + 2 and now[1] <= files + 2:
            break
        threading.Event().wait(0.1)  # a connection lingers for a moment after its answer
    assert now[0] <= threads + 2
    assert now[1] <= files + 2
    assert now[2] <= mebibytes + 40 + SLOTS * 32
    np.testing.assert_array_equal(target.boss.read([(0, 8)] * 3), 1)
    print(f"{SENT['requests']} requests sent, {SENT['answers']} answers")


@pytest.mark.parametrize("name", ["con", "NUL", "aux", "com1", "lpt9", "-", "_", "__proto__", "a" * 255, "0"])
def test_names_are_no_paths(name: str, boss: Caller, tmp_path: Path) -> None:
    """What a system takes for a device is a name like any other: files are called by numbers."""
    boss.make(f"collection/{name}")
    boss.make("coord/f", x_start=0, x_stop=8, y_start=0, y_stop=8, z_start=0, z_stop=8, x_voxel_size=1, y_voxel_size=1,
              z_voxel_size=1, voxel_unit="nanometers")  # fmt: skip
    boss.make(f"collection/{name}/experiment/{name}", coord_frame="f")
    boss.make(f"collection/{name}/experiment/{name}/channel/{name}", datatype="uint8", type="image")
    path = f"/v1/cutout/{name}/{name}/{name}/0/0:8/0:8/0:8"
    body = wire.encode(np.ones((8, 8, 8), np.uint8))
    assert boss("POST", path, data=body, headers={"Content-Type": "application/blosc"}).status_code == 201
    files = [path.relative_to(tmp_path / "root") for path in (tmp_path / "root").rglob("*")]
    assert [path for path in files if path.suffix == ".blosc"] == [Path("voxels/1/0/0/0/0/0.blosc")]
    assert not [path for path in files if name in path.parts and name != "0"]


PATHS = [
    ".",
    "..",
    "%2e",
    "%2e%2e",
    "a%2fb",
    "%2fetc",
    "a%5cb",
    "a%00",
    "con.txt",
    "a.",
    "a%20b",
    "c:",
    "%c3%a4",
    "%ff",
]


@pytest.mark.parametrize("name", [*PATHS, "a" * 256])
def test_paths_are_no_names(name: str, boss: Caller, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with closing(socket.create_connection((boss.host.split(":")[0], int(boss.host.split(":")[1])), 20)) as connection:
        head = f"POST /v1/collection/{name} HTTP/1.1\r\nAuthorization: Token {TOKEN}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert statuses(answer)[0] in (400, 404, 405), answer
    assert boss("GET", "/v1/collection/").json() == {"collections": []}
    assert [path for path in sorted(tmp_path.rglob("*")) if "sqlite" not in path.name] == [
        path for path in before if "sqlite" not in path.name
    ]


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with room for three connections and for one answer of 32 MiB."""
    monkeypatch.setattr(http, "CONNECTIONS", 3)
    app = App(tmp_path / "root", TOKEN)
    app.site = replace(app.site, gate=Gate(2 * SIZE))
    with Server(app) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
    app.close()


SIZE = 16 * 1024 * 1024
NOISE = np.random.default_rng(0).integers(1, 256, (16, 1024, 1024), np.uint8)


def connect(server: Server) -> socket.socket:
    return socket.create_connection(server.server_address[:2], 20)


def test_slow_clients_cannot_take_every_thread(narrow: Server) -> None:
    """Who sends a byte now and then keeps one of a bounded number of connections."""
    slow = [connect(narrow) for _ in range(3)]
    for connection in slow:
        connection.sendall(b"GET /ping HTTP/1.1\r\nX: ")
    with closing(connect(narrow)) as beyond:
        beyond.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: beyond.recv(4096), b"")) == http.BUSY
    slow.pop().close()
    while True:  # until the server has seen it
        with closing(connect(narrow)) as next_one:
            next_one.sendall(b"GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n")
            if next_one.recv(4096).startswith(b"HTTP/1.1 200"):
                break
    for connection in slow:
        connection.close()


def test_an_answer_that_nobody_takes_is_memory_in_use(narrow: Server) -> None:
    boss = Caller(narrow.url)
    boss.make("collection/lab")
    boss.make("coord/f", x_start=0, x_stop=1024, y_start=0, y_stop=1024, z_start=0, z_stop=16, x_voxel_size=1,
              y_voxel_size=1, z_voxel_size=1, voxel_unit="nanometers")  # fmt: skip
    boss.make("collection/lab/experiment/run7", coord_frame="f")
    boss.make_channel()
    box = [(0, 1024), (0, 1024), (0, 16)]
    assert boss.write(NOISE, box).status_code == 201
    boss.session.close()
    with closing(connect(narrow)) as slow:
        slow.sendall(f"GET {boss.cutout(box)} HTTP/1.1\r\nAuthorization: Token {TOKEN}\r\n\r\n".encode())
        assert slow.recv(10) == b"HTTP/1.1 2"
        other: list[np.ndarray] = []
        reader = threading.Thread(target=lambda: other.append(Caller(narrow.url).read(box)))
        reader.start()
        reader.join(0.2)
        assert other == []
    reader.join(20)
    np.testing.assert_array_equal(other[0], NOISE)
