"""Whole runs over a bad network: each fault is survived, or reported and not repeated; with exact counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
import wire_faults as wire
from proxy import Answer, Exchange, Fault, Kind, Proxy, first, nothing, one_each, seeded
from routes import ATTEMPTS, SIDE, Route, route, uploaded
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from ndex import run
from ndex.errors import TransientError, Unreachable
from ndex.events import Result, TaskFailed
from ndex.job import Job, Parallel, Retry
from ndex.report import lines_of
from ndex.retry import SERVER_ERROR_TRIES
from ndex.runner import FAILURES_IN_A_ROW

TASKS = 6
DIRECTIONS: tuple[Kind, ...] = ("read", "write")


def job(made: Route, direction: Kind) -> Job:
    """A download, or an upload to another channel."""
    return made.download() if direction == "read" else made.upload("again")


@contextmanager
def told_of_retries(hook: Callable[[RetryDetails], None]) -> Iterator[None]:
    set_on_retry_hooks([hook])
    try:
        yield
    finally:
        set_on_retry_hooks(None)


def holds(made: Route) -> bool:
    """Whether the channel holds the volume."""
    assert run(made.download("look")).exit_code == 0
    return np.array_equal(made.back("look"), made.volume)


def outcome(result: Result) -> tuple[int, int, int]:
    return result.exit_code, result.done, len(result.failed)


def test_downloads_survive_each_fault(proxy: Proxy, folder: Path) -> None:
    made = uploaded(proxy, folder, tasks := len(wire.READS))
    assert run(made.download(action="plan")).exit_code == 0
    questions = proxy.asked["json"]
    proxy.reset_counts()
    proxy.script = one_each(wire.READS, "read")
    result = run(made.download())
    assert result.failed == ()
    assert outcome(result) == (0, tasks, 0)
    assert np.array_equal(made.back(), made.volume)
    assert proxy.injected == {fault.name: 1 for fault in wire.READS}
    hidden = 1  # a 500 costs a question about the token (boss-api 2.2)
    assert proxy.asked == {"read": 2 * tasks, "json": questions + hidden}


def test_uploads_survive_each_fault(proxy: Proxy, folder: Path) -> None:
    made = route(proxy, folder, tasks := len(wire.WRITES))
    proxy.script = one_each(wire.WRITES, "write")
    result = run(made.upload())
    assert result.failed == ()
    assert outcome(result) == (0, tasks, 0)
    assert proxy.injected == {fault.name: 1 for fault in wire.WRITES}
    assert proxy.asked["write"] == 2 * tasks
    assert holds(made)


def test_blacking_out_survives_each_fault(proxy: Proxy, folder: Path) -> None:
    made = route(proxy, folder, tasks := len(wire.ANY))
    for path in (made.folder / "in").iterdir():
        tifffile.imwrite(path, np.zeros((SIDE, SIDE), np.uint8))
    proxy.script = one_each(wire.ANY, "erase")
    assert outcome(run(made.upload(empty="erase"))) == (0, tasks, 0)
    assert (proxy.asked["erase"], proxy.asked["write"]) == (2 * tasks, 0)


def test_what_takes_too_long_is_asked_again(proxy: Proxy, folder: Path) -> None:
    made = uploaded(proxy, folder)
    stalls = (wire.STALL, wire.STALL_IN_ANSWER)
    proxy.script = one_each(stalls, "read")
    assert outcome(run(made.download(timeout=1))) == (0, TASKS, 0)
    assert (proxy.asked["read"], proxy.injected.total()) == (TASKS + 2, 2)
    assert np.array_equal(made.back(), made.volume)
    proxy.script = first(wire.STALL, "write", of=1)
    assert outcome(run(made.upload("again", timeout=1))) == (0, TASKS, 0)
    assert proxy.asked["write"] == TASKS + 1


def test_delivered_twice_is_stored_once(proxy: Proxy, folder: Path) -> None:
    made = route(proxy, folder)
    proxy.script = first(wire.TWICE, "write")
    assert outcome(run(made.upload(verify="full"))) == (0, TASKS, 0)
    assert (proxy.asked["write"], proxy.asked["read"]) == (TASKS, TASKS)


@pytest.mark.parametrize("fault", wire.QUESTIONS, ids=lambda fault: fault.name)
def test_questions_before_the_transfer_survive_too(fault: Fault, proxy: Proxy, folder: Path) -> None:
    """A creation is looked for before it is tried again: the lost answer may have been a success (boss-api 12.3)."""
    made = route(proxy, folder, 1)
    proxy.script = first(fault, "json")
    assert outcome(run(made.upload(verify="full"))) == (0, 1, 0)
    assert proxy.injected[fault.name] >= 4


REFUSED = [
    wire.refusal(400, 1001, "outside"),
    wire.refusal(400, 9001, "Resolution Mismatch"),
    wire.refusal(400, 9001, "Resource Locked"),
    wire.refusal(405, 1000, "not allowed"),
    wire.refusal(409, 2006, "in progress"),
    wire.refusal(413, 2000, "too large"),
    wire.page(413),
    wire.page(404),
    wire.refusal(415, 1000, "unsupported"),
]
"""What concerns one request."""
HOPELESS = [
    wire.refusal(404, 4005, "in the process of deletion"),
    wire.refusal(404, 4000, "not there"),
    wire.refusal(403, 3001, "no permission"),
    wire.refusal(429, 3004, "quota"),
]
"""What concerns all of them."""


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_is_refused_is_sent_once(direction: Kind, proxy: Proxy, folder: Path) -> None:
    made = uploaded(proxy, folder, len(REFUSED) + 1)
    proxy.script = one_each([wire.answering(str(n), answer) for n, answer in enumerate(REFUSED)], direction, times=99)
    result = run(job(made, direction))
    assert outcome(result) == (1, 1, len(REFUSED))
    assert proxy.asked[direction] == len(REFUSED) + 1
    assert sorted(str(answer.status) for answer in REFUSED) == sorted(map(status_in, result.failed))
    proxy.script = nothing
    assert outcome(run(job(made, direction))) == (0, len(REFUSED), 0)


def status_in(failed: TaskFailed) -> str:
    return failed.reason.partition(" answered ")[2][:3]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("answer", HOPELESS, ids=lambda answer: str(answer.body))
def test_what_no_request_can_do_ends_the_job(answer: Answer, direction: Kind, proxy: Proxy, folder: Path) -> None:
    made = uploaded(proxy, folder, parallel=Parallel("serial", 1))
    proxy.script = first(wire.answering("refused", answer), direction, times=99)
    result = run(job(made, direction))
    assert outcome(result) == (2, 0, 1)
    assert proxy.asked[direction] == 1
    assert result.error is not None
    assert f"answered {answer.status}" in result.error


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_500_that_stays_is_tried_a_few_times(direction: Kind, proxy: Proxy, folder: Path) -> None:
    made = uploaded(proxy, folder)
    proxy.script = first(wire.S500, direction, times=99, of=1)
    result = run(job(made, direction))
    assert outcome(result) == (1, TASKS - 1, 1)
    assert proxy.asked[direction] == TASKS - 1 + SERVER_ERROR_TRIES
    assert "500" in result.failed[0].reason
    proxy.script = nothing
    again = run(job(made, direction))
    assert (again.exit_code, again.done, again.resumed) == (0, 1, TASKS - 1)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_token_that_is_revoked_ends_the_job_at_once(
    hidden: bool, direction: Kind, proxy: Proxy, folder: Path
) -> None:
    """On cutouts a BOSS hides a 401 behind a 500 (boss-api 2.2)."""
    made = uploaded(proxy, folder, 30)
    revoked = wire.answering("revoked", wire.refusal(401, 0, "Invalid token."))
    masked = wire.answering("revoked, hidden", wire.refusal(500)) if hidden else revoked

    def script(exchange: Exchange) -> Fault | None:
        if proxy.asked[direction] <= 5:
            return None
        return revoked if exchange.kind == "json" else masked

    proxy.script = script
    result = run(job(made, direction))
    assert outcome(result) == (1, 5, 1)
    assert result.error is not None
    assert "The token came from" in result.error
    assert proxy.asked[direction] <= 5 + 2  # one for each of two workers
    proxy.script = nothing
    again = run(job(made, direction))
    assert (again.exit_code, again.resumed, again.left) == (0, 5, 0)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_host_that_goes_away_for_a_while_is_waited_for(direction: Kind, proxy: Proxy, folder: Path) -> None:
    made = uploaded(proxy, folder, parallel=Parallel("serial", 1))
    retries: list[RetryDetails] = []

    def return_in_time(details: RetryDetails) -> None:
        retries.append(details)
        if len(retries) == 5:
            proxy.come_back()

    def leave(exchange: Exchange) -> Answer:
        proxy.go_away()
        return wire.BROKEN

    proxy.script = first(Fault("gone", leave), direction, of=1)
    with told_of_retries(return_in_time):
        result = run(job(made, direction))
    assert outcome(result) == (0, TASKS, 0)
    assert [type(retry.caused_by) for retry in retries] == [TransientError, *[Unreachable] * 4]


def test_a_host_that_stays_away_ends_the_job_which_goes_on_later(proxy: Proxy, folder: Path) -> None:
    patience = Retry(3, wait=0, max_wait=0)
    made = uploaded(proxy, folder, FAILURES_IN_A_ROW + 10, parallel=Parallel("serial", 1), retry=patience)
    retries: list[RetryDetails] = []

    def leave(exchange: Exchange) -> Answer:
        if proxy.asked["read"] <= 4:
            return exchange.forward()
        proxy.go_away()
        return wire.BROKEN

    proxy.script = lambda exchange: Fault("gone", leave) if exchange.kind == "read" else None
    with told_of_retries(retries.append):
        result = run(made.download())
    assert outcome(result) == (1, 4, FAILURES_IN_A_ROW)
    assert result.left == FAILURES_IN_A_ROW + 6
    assert len(retries) == FAILURES_IN_A_ROW * (patience.attempts - 1)
    assert result.error is not None
    assert "nobody answers" in result.error
    assert any(f"{result.left} tasks left; go on with: ndex job=" in line for line in lines_of(result))
    proxy.come_back()
    proxy.script = nothing
    again = run(made.download())
    assert (again.exit_code, again.done, again.resumed) == (0, result.left, 4)
    assert np.array_equal(made.back(), made.volume)


def test_a_host_that_is_not_there_at_first_is_a_wrong_job(proxy: Proxy, folder: Path) -> None:
    made = route(proxy, folder, 1)
    proxy.go_away()
    with pytest.raises(Unreachable, match=r"Is boss\.host right"):
        run(made.upload())
    assert not (folder / "journal").exists()


def test_retry_after_is_obeyed_up_to_the_longest_wait(proxy: Proxy, folder: Path) -> None:
    made = uploaded(proxy, folder, 2, retry=Retry(ATTEMPTS, wait=0, max_wait=0.02))
    retries: list[RetryDetails] = []
    proxy.script = first(wire.S503_LATER, "read")
    with told_of_retries(retries.append):
        assert run(made.download()).exit_code == 0
    assert [retry.wait_for for retry in retries] == [0.02, 0.02]


@pytest.mark.parametrize(("backend", "seed"), [("serial", 1), ("threads", 2), ("threads", 3)])
def test_a_bad_network_loses_nothing(backend: str, seed: int, proxy: Proxy, folder: Path) -> None:
    """One request in five goes wrong in a way drawn by lot, both directions, with verification."""
    made = route(
        proxy, folder / f"{backend}{seed}", tasks := 24, "uint16", seed, parallel=Parallel(backend, 2), verify="full"
    )  # type: ignore[arg-type]
    proxy.script = seeded(seed, 0.2, {"read": wire.READS, "write": wire.WRITES, "json": wire.QUESTIONS})
    up = run(made.upload())
    assert (*outcome(up), up.verified, up.repaired) == (0, tasks, 0, tasks, 0)
    down = run(made.download())
    assert (*outcome(down), down.verified) == (0, tasks, 0, tasks)
    assert np.array_equal(made.back(), made.volume)
    assert proxy.injected.total() >= 8
    assert (proxy.asked["write"], proxy.asked["read"]) == (tasks + proxy.hit["write"], 2 * tasks + proxy.hit["read"])
