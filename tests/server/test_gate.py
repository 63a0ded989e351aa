"""The gate: no more through at once than there is room for, and what is too heavy goes alone."""

from __future__ import annotations

import threading

import pytest

from ndex.server.gate import Gate


class Worker(threading.Thread):
    """Holds a weight until it is let go."""

    def __init__(self, gate: Gate, weight: int) -> None:
        super().__init__(daemon=True)
        self._gate, self._weight = gate, weight
        self.inside, self.leave = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self._gate.hold(self._weight):
            self.inside.set()
            self.leave.wait(10)


@pytest.mark.parametrize(("first", "second"), [(8, 3), (99, 1), (1, 99), (10, 10)])
def test_what_does_not_fit_waits(first: int, second: int) -> None:
    gate = Gate(10)
    one = Worker(gate, first)
    assert one.inside.wait(10)
    other = Worker(gate, second)
    assert not other.inside.wait(0.02)
    one.leave.set()
    assert other.inside.wait(10)
    other.leave.set()


def test_what_fits_goes_through() -> None:
    gate = Gate(10)
    workers = [Worker(gate, 5), Worker(gate, 5)]
    assert all(worker.inside.wait(10) for worker in workers)
    for worker in workers:
        worker.leave.set()


def test_a_failure_gives_the_room_back() -> None:
    gate = Gate(10)
    with pytest.raises(KeyError), gate.hold(10):
        raise KeyError
    worker = Worker(gate, 10)
    assert worker.inside.wait(10)
    worker.leave.set()
