"""How fast requests may follow each other, over a clock that only moves when somebody sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import yaml
from pydantic import ByteSize
from scripted import Reply, Scripted, Seen, refusal, serving

import ndex
from ndex.boss import pace
from ndex.boss.client import NO_LIMIT, BossClient
from ndex.boss.pace import GLANCE, Pace, divide, pace_of, share
from ndex.boss.records import Channel
from ndex.errors import JobError, TransientError
from ndex.geometry import Box
from ndex.job import Boss, Job, Rate, Retry
from ndex.jobs import CONF

PATIENT = Retry(wait=1, max_wait=60)


class Clock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += max(seconds, 1e-6)  # nobody sleeps for less than the clock can tell


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _undivided() -> Iterator[None]:
    yield
    divide(1)


def paced(clock: Clock, requests: float | None = None, nbytes: int | None = None, retry: Retry = PATIENT) -> Pace:
    return Pace(Rate(requests, nbytes and ByteSize(nbytes)), retry, clock, clock.sleep)


def seconds(clock: Clock, made: Pace, count: int, nbytes: int = 0) -> float:
    """How long so many requests of so many bytes take."""
    begin = clock.now
    for _ in range(count):
        made.wait()
        made.carry(nbytes)
    return clock.now - begin


def test_without_a_limit_nobody_waits(clock: Clock) -> None:
    assert seconds(clock, paced(clock), 1000, 10**9) == 0


@pytest.mark.parametrize(("requests", "parts", "expected"), [(20, 1, 5), (20, 4, 20), (0.5, 1, 200)])
def test_requests(requests: float, parts: int, expected: float, clock: Clock) -> None:
    divide(parts)
    assert seconds(clock, paced(clock, requests), 101) == pytest.approx(expected, abs=pace.SLACK)


@pytest.mark.parametrize(("parts", "expected"), [(1, 10), (5, 50)])
def test_bytes(parts: int, expected: float, clock: Clock) -> None:
    divide(parts)
    assert seconds(clock, paced(clock, nbytes=10_000_000), 101, 1_000_000) == pytest.approx(expected, abs=0.5)


def test_the_tighter_limit_counts(clock: Clock) -> None:
    assert seconds(clock, paced(clock, 10, 1000), 101, 10) == pytest.approx(10, abs=0.2)
    assert seconds(clock, paced(clock, 10, 1000), 101, 1000) == pytest.approx(100, abs=1)


def test_idle_time_is_not_saved_up(clock: Clock) -> None:
    made = paced(clock, 10, 1000)
    clock.now += 3600
    assert seconds(clock, made, 101, 100) == pytest.approx(10, abs=2 * pace.SLACK)


def test_everybody_keeps_the_pause(clock: Clock) -> None:
    made = paced(clock)
    made.answered(503, 30)
    assert seconds(clock, made, 5) == pytest.approx(30)
    assert max(clock.naps) <= GLANCE


def test_a_pause_that_grows_while_somebody_waits(clock: Clock) -> None:
    made = paced(clock)
    made.answered(503, 2)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.naps) == 1:
            made.slow(10)

    made._sleep = sleep  # another thread is refused meanwhile
    assert seconds(clock, made, 1) == pytest.approx(GLANCE + 10)


@pytest.mark.parametrize("status", [429, 503])
def test_without_a_number_pauses_double(status: int, clock: Clock) -> None:
    made = paced(clock)
    waits = []
    for _ in range(8):
        made.answered(status)
        made.answered(status)  # sent before the pause began
        waits.append(seconds(clock, made, 1))
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
    made.answered(200)
    made.answered(status)
    assert seconds(clock, made, 1) == pytest.approx(1)


@pytest.mark.parametrize("status", [200, 201, 404, 500, 502, 504])
def test_other_answers_slow_nobody_down(status: int, clock: Clock) -> None:
    made = paced(clock)
    made.answered(status, 30)
    assert seconds(clock, made, 1) == 0


def test_no_pause_is_longer_than_the_job_allows(clock: Clock) -> None:
    made = paced(clock, retry=Retry(max_wait=7))
    made.answered(503, 86400)
    assert seconds(clock, made, 1) == pytest.approx(7)


def test_threads_share_the_rate() -> None:
    """Over the real clock."""
    made = Pace(Rate(200), Retry())
    begin = time.monotonic()
    threads = [threading.Thread(target=lambda: [made.wait() for _ in range(20)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begin >= 99 / 200 - pace.SLACK


def test_one_for_a_host() -> None:
    """Both ends of a job, and all its threads."""
    one = pace_of("a", Rate(3), Retry())
    assert pace_of("a", Rate(3), Retry()) is one
    assert pace_of("b", Rate(3), Retry()) is not one
    assert pace_of("a", Rate(4), Retry()) is not one


def job(*more: str) -> Job:
    channel = ["resource.collection=c", "resource.experiment=e", "resource.channel=em"]
    return ndex.compose(None, "source=images", "source.path=x", 'source.pattern="{z}.tif"', *channel, *more)


def test_shards_share_the_rate() -> None:
    limits = ["parallel.rate.requests=30", "parallel.rate.bytes=50MB", "shard.count=4", "shard.index=3"]
    assert share(job(*limits)) == Rate(7.5, ByteSize(12_500_000))
    assert share(job()) == Rate()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("requests=0", r"parallel\.rate\.requests=0: must be a number above 0 or null"),
        ("bytes=fast", r"parallel\.rate\.bytes=fast: must be a size such as 4GiB above 0 or null"),
        ("planes=1", r"unknown key parallel\.rate\.planes"),
    ],
)
def test_impossible_rates(given: str, said: str) -> None:
    with pytest.raises(JobError, match=said):
        job(f"+parallel.rate.{given}" if "planes" in given else f"parallel.rate.{given}")


CHANNEL = Channel("c", "e", "em", "image", np.dtype("uint8"))
BOX = Box.of((0, 4), (0, 4), (0, 4))


@pytest.fixture
def boss() -> Iterator[Scripted]:
    with serving() as server:
        yield server


def client_of(boss: Scripted, retry: Retry, rate: Rate = NO_LIMIT) -> BossClient:
    return BossClient.connect(Boss(host=boss.host, protocol="http", token_env="NDEX_TEST_NONE"), retry, rate)


@pytest.mark.parametrize("status", [429, 503])
def test_one_refusal_makes_the_others_wait(status: int, boss: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clients of a job, as its two ends may be."""
    clock = Clock()
    monkeypatch.setattr(pace, "Pace", lambda rate, retry: Pace(rate, retry, clock, clock.sleep))
    retry = Retry(attempts=1, max_wait=40)
    one, other = client_of(boss, retry), client_of(boss, retry)
    boss.script = [Reply(status, headers={"Retry-After": "30"}), Reply(201)]
    with pytest.raises(TransientError):
        one.put_cutout(CHANNEL, 0, BOX, None, np.ones(BOX.shape, np.uint8))
    assert clock.naps == []
    other.put_cutout(CHANNEL, 0, BOX, None, np.ones(BOX.shape, np.uint8))
    assert sum(clock.naps) == pytest.approx(30)


def test_a_used_up_quota_is_not_waited_for(boss: Scripted) -> None:
    boss.script = [refusal(429, 3004, "quota")]
    with pytest.raises(JobError, match="quota"):
        client_of(boss, Retry()).put_cutout(CHANNEL, 0, BOX, None, np.ones(BOX.shape, np.uint8))


def test_bytes_are_counted_as_they_travel(boss: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, sizes = Clock(), []
    monkeypatch.setattr(pace, "Pace", lambda rate, retry: Pace(rate, retry, clock, clock.sleep))

    def answer(request: Seen) -> Reply:
        sizes.append(len(request.body))
        return Reply(201)

    boss.script = answer
    client = client_of(boss, Retry(), Rate(bytes=ByteSize(1000)))
    noise = np.random.default_rng(0).integers(1, 255, (4, 32, 32), np.uint8)
    for _ in range(3):
        client.put_cutout(CHANNEL, 0, Box.of((0, 32), (0, 32), (0, 4)), None, noise)
    assert sum(clock.naps) == pytest.approx(sum(sizes[:2]) / 1000, abs=2 * pace.SLACK)


def test_every_choice_of_workers_has_the_same_keys() -> None:
    keys = {tuple(yaml.safe_load(path.read_text())) for path in (CONF / "parallel").iterdir()}
    assert len(keys) == 1
