"""A kind of place that lives in this process: the seam at which the runner is tested without wire or disk."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

from ndex.errors import Missing
from ndex.geometry import Box, Vec
from ndex.job import Boss, End, Job
from ndex.volume import Array, Facts, Layout, Mask, Pause, Piece, Say, Volume


@dataclass
class Place:
    """One volume, and what goes wrong with it."""

    box: Box
    array: Array
    gone: bool = False
    fail_read: Callable[[Box], None] = lambda box: None
    fail_write: Callable[[Box], None] = lambda box: None
    spoil: Callable[[Box, Array], Array] = lambda box, array: array
    finish: Callable[[Say, Pause], tuple[str, ...]] = lambda say, pause: ()
    lost: set[Box] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)


PLACES: dict[str, Place] = {}


@dataclass(frozen=True, kw_only=True)
class MemoryEnd(End):
    kind: str = "memory"
    place: str


class Store:
    layout = Layout(grid=Vec(512, 512, 16))

    def __init__(self, name: str) -> None:
        self.label = self.identity = f"memory:{name}"
        self.place = PLACES[name]

    def facts(self) -> Facts:
        if self.place.gone:
            raise Missing(f"{self.label} does not exist.")
        return Facts(self.label, self.identity, self.place.box, self.place.array.dtype, grid=self.layout.grid)

    def accepts(self, dtype: np.dtype[np.unsignedinteger]) -> np.dtype[np.unsignedinteger]:
        return dtype

    def expect(self, volume: Volume) -> None:
        """Boxes say it all."""

    def check(self, volume: Volume) -> list[str]:
        return []

    def prepare(self, volume: Volume) -> None:
        self.place.calls["prepare"] += 1

    @contextmanager
    def writer(self, box: Box, t: int) -> Iterator[Store]:
        yield self

    def write(self, box: Box, array: Array) -> None:
        self.place.calls["write"] += 1
        self.place.fail_write(box)
        self.place.array[self.place.box.slices(box)] = self.place.spoil(box, array)

    def read(self, box: Box, t: int) -> Piece:
        self.place.calls["read"] += 1
        self.place.fail_read(box)
        return Piece(self.place.array[self.place.box.slices(box)].copy())

    def finish(self, volume: Volume, say: Say, pause: Pause) -> tuple[str, ...]:
        self.place.calls["finish"] += 1
        return self.place.finish(say, pause)

    def held(self, pieces: Sequence[tuple[Box, int]]) -> Mask:
        return np.array([not self.place.lost or box not in self.place.lost for box, _ in pieces], np.bool_)

    def close(self) -> None:
        self.place.calls["close"] += 1


def install() -> None:
    """Make `kind: memory` known to ndex.stores."""
    module = ModuleType("ndex.stores.memory")
    module.Source = module.Destination = MemoryEnd  # type: ignore[attr-defined]
    module.open_source = lambda job: Store(job.source.place)  # type: ignore[attr-defined]
    module.open_destination = lambda job: Store(job.destination.place)  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module


def job_between(source: str, destination: str, **changes: object) -> Job:
    ends = {"source": MemoryEnd(place=source), "destination": MemoryEnd(place=destination)}
    return Job(**{"name": "job", "boss": Boss(host="nowhere"), **ends, **changes})  # type: ignore[arg-type]
