"""A scripted server and a client of it, with the waiting between attempts taken out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina
from scripted import Scripted, serving

from ndex.boss.client import BossClient
from ndex.job import Boss, Retry

TOKEN = "s3cr%t-t0ken"
ATTEMPTS = 6


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    stamina.set_testing(True, attempts=ATTEMPTS, cap=True)
    yield
    stamina.set_testing(False)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with serving() as scripted:
        yield scripted


@pytest.fixture
def client(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[BossClient]:
    monkeypatch.setenv("BOSS_TOKEN", TOKEN)
    boss = Boss(host=server.host, protocol="http", timeout=5)
    client = BossClient.connect(boss, Retry(attempts=ATTEMPTS, wait=0, max_wait=1))
    yield client
    client.close()
