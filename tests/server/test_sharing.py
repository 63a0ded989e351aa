"""Several writers: threads, servers and kills lose and damage nothing."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from caller import Caller

from ndex.server.process import TOKEN_ENV, running

NOISE = np.random.default_rng(0).integers(0, 256, (16, 700, 1001), "uint16") << np.uint16(8)
"""Makes files that take a while to write."""
CUBOID = [(0, 512), (0, 512), (0, 16)]


def owner(address: str) -> Caller:
    return Caller(f"http://{address}", os.environ[TOKEN_ENV])


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two over one folder, with lab/run7/em and seg."""
    root = tmp_path_factory.mktemp("boss")
    with running(root) as one, running(root) as other:
        owner(one).make_experiment()
        owner(other).make_channel()
        owner(one).make_channel("seg", "uint64", "annotation")
        yield one, other


def test_two_servers_and_ten_threads_fill_one_cuboid(servers: tuple[str, str]) -> None:
    expected = np.random.default_rng(0).integers(1, 255, (16, 512, 512), "uint8")

    def write(part: int) -> None:
        start, stop = part * 16, part * 16 + 16
        answer = owner(servers[part % 2]).write(expected[:, start:stop], [CUBOID[0], (start, stop), CUBOID[2]])
        assert answer.status_code == 201

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(write, range(32)))
    for address in servers:
        np.testing.assert_array_equal(owner(address).read(CUBOID), expected)


def test_ids_are_reserved_once(servers: tuple[str, str]) -> None:
    def reserve(turn: int) -> int:
        answer = owner(servers[turn % 2])("GET", "/v1/reserve/lab/run7/seg/5").json()
        assert answer["count"] == "5"
        return int(answer["start_id"])

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(reserve, range(24))) == [1 + 5 * turn for turn in range(24)]


def test_a_name_is_given_once(servers: tuple[str, str]) -> None:
    def create(turn: int) -> int:
        name = ("new", "NEW", "New")[turn % 3]
        return int(owner(servers[turn % 2])("POST", f"/v1/collection/{name}").status_code)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(create, range(12))) == [201, *[400] * 11]


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_server_leaves_every_cuboid_whole(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    box = [(0, 1001), (0, 700), (0, 16)]
    with running(tmp_path / "root") as address:
        boss = owner(address)
        boss.make_experiment()
        boss.make_channel(datatype="uint16")
        written = threading.Event()
        writer = threading.Thread(target=_write_until_killed, args=(address, box, written))
        writer.start()
        assert written.wait(20)
        threading.Event().wait(choose.uniform(0, 0.1))
        _server_of(address).kill()
        writer.join()
    with running(tmp_path / "root") as address:
        boss = owner(address)
        values = boss.read(box, dtype="uint16") - NOISE
        for y, x in ((0, 0), (0, 512), (512, 0), (512, 512)):
            assert len(np.unique(values[:, y : y + 512, x : x + 512])) == 1
        boss.write(NOISE + np.uint16(255), box)
        np.testing.assert_array_equal(boss.read(box, dtype="uint16"), NOISE + 255)


def _write_until_killed(address: str, box: list[tuple[int, int]], written: threading.Event) -> None:
    """The whole box, one value after the other in the low byte."""
    boss = owner(address)
    for value in range(1, 250):
        try:
            boss.write(NOISE + np.uint16(value), box)
        except OSError:  # the kill that the test is about
            return
        written.set()


def _server_of(address: str) -> psutil.Process:
    port = int(address.rpartition(":")[2])
    for child in psutil.Process().children():
        if any(c.laddr.port == port for c in child.net_connections() if c.status == psutil.CONN_LISTEN):
            return child
    raise AssertionError(f"nothing listens on {address}")
