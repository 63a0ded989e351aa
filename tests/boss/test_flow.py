"""How many requests are under way at once: against lines of known latency and width, on a clock of their own."""

from __future__ import annotations

import heapq
from contextlib import ExitStack

import pytest

from ndex.boss.flow import FIRST, REST, Flow
from ndex.errors import TransientError


class Line:
    """Requests of 1 MB, as many at a time as the flow allows, over a line with a latency and a width."""

    def __init__(self, latency: float, width: float, most: int = 64) -> None:
        self.now = 0.0
        self.flow = Flow(most, clock=lambda: self.now)
        self.latency, self.width = latency, width
        self.seen: list[int] = []

    def carry(self, requests: int, fail: int | None = None) -> None:
        """So many requests, one after the other; number `fail` breaks."""
        under_way: list[tuple[float, int, ExitStack]] = []
        begun = ended = 0
        free_at = self.now
        while ended < requests:
            while begun < requests and len(under_way) < self.flow.allowed:
                free_at = max(free_at, self.now) + 1e6 / self.width
                stack = ExitStack()
                turn = stack.enter_context(self.flow.turn())
                turn.nbytes = 1_000_000
                heapq.heappush(under_way, (free_at + self.latency, begun, stack))
                begun += 1
            self.now, number, stack = heapq.heappop(under_way)
            if number == fail:
                with pytest.raises(TransientError), stack:
                    raise TransientError("broken")
            else:
                stack.close()
            ended += 1
            self.seen.append(self.flow.allowed)


def test_a_long_line_is_filled() -> None:
    line = Line(latency=0.3, width=1e12)
    line.carry(300)
    assert line.seen[0] == FIRST
    assert line.flow.allowed == 64
    assert line.now < 300 / 64 * 0.3 + 5 * 0.3
    assert line.flow.width is None


def test_more_than_a_line_carries_is_not_asked_for() -> None:
    line = Line(latency=0.001, width=12.5e6)
    line.carry(200)
    assert max(line.seen) <= 2 * FIRST
    assert line.flow.allowed <= 2 * FIRST
    assert line.flow.width == pytest.approx(12.5e6, rel=0.1)


def test_it_tells_what_it_has_seen_of_the_line() -> None:
    assert Line(latency=0.3, width=1e9).flow.line is None
    wide, narrow = Line(latency=0.3, width=1e9), Line(latency=0.1, width=12.5e6)
    wide.carry(1000)
    narrow.carry(1000)
    assert wide.flow.line is not None
    assert narrow.flow.line is not None
    assert wide.flow.line.latency == pytest.approx(0.3, rel=0.05)
    assert narrow.flow.line.latency == pytest.approx(0.1, rel=0.2)
    assert narrow.flow.line.bandwidth == pytest.approx(12.5e6, rel=0.05)


def test_no_more_than_is_allowed_by_the_user() -> None:
    line = Line(latency=0.3, width=1e12, most=5)
    line.carry(100)
    assert max(line.seen) == 5
    one = Line(latency=0.3, width=1e12, most=1)
    one.carry(20)
    assert set(one.seen) == {1}


def test_trouble_halves_it_and_it_recovers() -> None:
    line = Line(latency=0.3, width=1e12, most=16)
    line.carry(100)
    assert line.flow.allowed == 16
    line.carry(8, fail=0)
    assert line.flow.allowed == 8
    line.carry(8 * (REST + 3))
    assert line.flow.allowed == 16


def test_what_fails_together_counts_once() -> None:
    flow = Flow(16)
    with ExitStack() as stack:
        turns = [stack.enter_context(flow.turn()) for _ in range(FIRST)]
        for turn in turns:
            turn.trouble = True
    assert flow.allowed == FIRST // 2
