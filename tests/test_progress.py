"""How far a run is, told from its events and a clock that stands in the test."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from ndex.events import Event, Started, Stopping, TaskDone, TaskFailed
from ndex.geometry import Box
from ndex.progress import WINDOW, Progress
from ndex.wording import counted, duration

BOX = Box.of((0, 100), (0, 100), (0, 16))
MB = 1_000_000
STARTED = Started("em", "a", "b", (), tasks=5, resumed=1, voxels=4 * BOX.voxels, nbytes=4 * MB)
DONE = TaskDone(1, BOX, 0, MB, (5,), empty=3)
FAILED = TaskFailed(2, BOX, 0, "em_0017.tif is cut short")


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress(clock)


def tell(progress: Progress, *events: Event) -> str:
    for event in events:
        progress(event)
    return str(progress)


def test_before_the_first_task_it_prepares(progress: Progress, clock: Clock) -> None:
    clock.now += 75
    assert str(progress) == "preparing, 1 min 15 s so far"


def test_volume_rate_and_time_left(progress: Progress, clock: Clock) -> None:
    assert tell(progress, STARTED) == "transferring 0 bytes of 4.0 MB (0 %), 0 bytes/s, time left unknown"
    clock.now += 10
    assert tell(progress, DONE) == ("transferring 1.0 MB of 4.0 MB (25 %), 100.0 kB/s, 30 s left, 3 blocks empty")
    clock.now += 10  # nothing happens: the rate falls
    assert str(progress) == "transferring 1.0 MB of 4.0 MB (25 %), 50.0 kB/s, 1 min 0 s left, 3 blocks empty"


def test_what_has_failed_is_not_waited_for(progress: Progress, clock: Clock) -> None:
    clock.now += 10
    assert tell(progress, STARTED, FAILED).endswith("(25 %), 0 bytes/s, time left unknown, 1 task FAILED")
    clock.now += 10
    assert "100.0 kB/s, 20 s left" in tell(progress, DONE)


def test_the_rate_is_that_of_the_last_minutes(progress: Progress, clock: Clock) -> None:
    progress(replace(STARTED, tasks=10_000, nbytes=10_000 * MB))
    for _ in range(100):
        clock.now += 1
        progress(DONE)
    assert progress.rate == pytest.approx(MB)
    for _ in range(50):
        clock.now += 20
        progress(DONE)
    assert progress.rate == pytest.approx(MB / 20)
    assert len(progress._ends) < WINDOW / 20 + 3


def test_the_last_task_ends_the_transfer(progress: Progress, clock: Clock) -> None:
    tell(progress, STARTED, DONE, DONE, FAILED, DONE)
    clock.now += 5
    assert str(progress) == "finishing, 5 s so far, 9 blocks empty, 1 task FAILED"


def test_phases(progress: Progress) -> None:
    assert progress.phase == "preparing"
    tell(progress, replace(STARTED, action="verify"))
    assert progress.phase == "verifying"
    tell(progress, Stopping("interrupted"))
    assert progress.phase == "finishing"


def test_nothing_left_to_do(progress: Progress) -> None:
    tell(progress, replace(STARTED, tasks=1, voxels=0, nbytes=0))
    assert (progress.phase, progress.fraction) == ("finishing", 1.0)


def test_words() -> None:
    times = (0.4, 59.6, 75, 3599, 3600, 86399, 100_000, 2_000_000)
    words = ["0 s", "1 min 0 s", "1 min 15 s", "59 min", "1 h 0 min", "23 h 59 min", "1 d 3 h", "23 d 3 h"]
    assert [duration(seconds) for seconds in times] == words
    assert [counted(number, "block") for number in (0, 1, 1234)] == ["0 blocks", "1 block", "1,234 blocks"]
