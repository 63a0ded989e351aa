"""A volume as the two ends of a transfer speak of it: facts, pieces, and what every kind of place offers.

Arrays are (z, y, x); boxes are half-open, in the coordinates of the place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import PlainSerializer, PlainValidator

from .geometry import ORIGIN, Box, Span, Vec

Array = npt.NDArray[np.unsignedinteger]
"""Voxels, (z, y, x)."""

Mask = npt.NDArray[np.bool_]

UInt = Annotated[np.dtype[np.unsignedinteger], PlainValidator(np.dtype), PlainSerializer(str, return_type=str)]
"""uint8, uint16, uint32 or uint64, little-endian."""

WHOLE = 1 << 40
"""A grain along an axis that can only be had whole."""

Say = Callable[[str], None]
"""Takes a line for the user."""

Pause = Callable[[float], bool]
"""Waits so many seconds, shorter when the job is being stopped; true then."""


def is_empty(array: Array) -> bool:
    """Whether every voxel is zero. Never by a sum: two labels of 2^63 add up to 0 modulo 2^64. A few voxels tell of
    most blocks that they are not."""
    return not (array[:, ::64, ::61].any() or array.any())


@dataclass(frozen=True)
class Facts:
    """What a place says of itself before anything is planned."""

    label: str
    """The place as a person would name it: a folder with its pattern, a channel with its host."""
    identity: str
    """The same text for the same voxels, whoever asks: stamps the journal, finds a job that copies onto itself."""
    box: Box
    """What there is, in the coordinates of the place."""
    dtype: UInt
    times: Span = Span(0, 1)
    grid: Vec | None = None
    """Cuboids that requests had better be aligned to; None for a place without a grid."""
    grain: Vec = Vec(1, 1, 1)
    """Smallest piece that can be read or written without touching its neighbours; WHOLE along an axis of which only
    all can be had at once. Image planes: (WHOLE, rows of a strip, 1)."""
    voxel_size: tuple[float, float, float] | None = None
    voxel_unit: str | None = None
    corner: Vec = ORIGIN
    """Of the grid, in the coordinates of the place."""


@dataclass(frozen=True)
class Volume:
    """What is going to be written: given to a destination before the first voxel."""

    box: Box
    """In the destination's coordinates, of the whole job, not only of this shard."""
    dtype: UInt
    times: Span
    timed: bool
    """Whether time samples are named at all (`extent.t` given, or the source has several)."""
    offset: Vec
    """Destination coordinate = source coordinate + offset."""
    stamp: str
    """Fingerprint of the job, to tell its own half-done work from foreign files."""
    block: Vec
    """Size of one request."""
    at_once: int = 1
    """Requests that one task may have under way."""
    voxel_size: tuple[float, float, float] | None = None
    """As the source knows it, for a destination that is made anew; with `voxel_unit`."""
    voxel_unit: str | None = None


@dataclass(frozen=True)
class Piece:
    """Voxels as read from a source."""

    array: Array
    filled: tuple[int, ...] = ()
    """z of the planes that were absent or unreadable and became zeros (`missing: fill`)."""


class Readable(Protocol):
    """A place to read voxels from."""

    def facts(self) -> Facts:
        """Size, type and grid of what is there. Raises JobError (exit 2) when the place cannot be used."""
        ...

    def read(self, box: Box, t: int) -> Piece:
        """The voxels of `box` at time sample `t`, in the coordinates and the dtype of the place; never a view of
        something that changes. With `missing: fill`, planes that are absent or unreadable are zeros and are named in
        the answer. Raises TransferError, or JobError when going on makes no sense."""
        ...

    def close(self) -> None: ...


class Writer(Protocol):
    """One task's output."""

    def write(self, box: Box, array: Array) -> None:
        """The next piece: a band of whole planes, from top to bottom, or a block, as `Layout.planes` says. The array
        may change when this has returned, even if not everything is written yet."""
        ...


@dataclass(frozen=True)
class Layout:
    """How a kind of place wants to be written to, whether it exists yet or not."""

    grid: Vec | None = None
    """Cuboids that requests had better be aligned to."""
    planes: bool = False
    """A task must bring whole planes: z runs of the full width and height, in bands from top to bottom."""
    below_0: bool = False
    """Coordinates may be negative."""


class Writable(Protocol):
    """A place to write voxels to."""

    layout: Layout
    label: str
    """The place as a person would name it, whether it exists yet or not."""
    identity: str
    """As `Facts.identity` of the same place read as a source."""

    def accepts(self, dtype: UInt) -> UInt:
        """The dtype in which voxels that arrive as `dtype` will be held: the same, or, for annotations, uint64.
        Raises JobError, naming both, when the place holds another one (the remedy is `convert.dtype`)."""
        ...

    def expect(self, volume: Volume) -> None:
        """What is going to be written; told once in every process, before any of the following. No I/O."""
        ...

    def check(self, volume: Volume) -> list[str]:
        """What `prepare` would create, a line each; touches nothing. Raises JobError when the place cannot hold the
        volume, such as several time samples, or when what is there already is not of this job or contradicts it."""
        ...

    def prepare(self, volume: Volume) -> None:
        """Create the folder, or the channel and what it stands in; idempotent, safe when several shards do it."""
        ...

    def writer(self, box: Box, t: int) -> AbstractContextManager[Writer]:
        """Takes the voxels of one task. Leaving without an error makes them durable, with one leaves nothing
        half-made behind."""
        ...

    def finish(self, volume: Volume, say: Say, pause: Pause) -> tuple[str, ...]:
        """All tasks of all shards are done: what concerns the volume as a whole. Called again by every later run that
        finds nothing left. Returns links to look at it, if there are any. What takes long tells of itself with `say`
        and waits with `pause`."""
        ...

    def read(self, box: Box, t: int) -> Piece:
        """What was written, for verification."""
        ...

    def held(self, pieces: Sequence[tuple[Box, int]]) -> Mask:
        """For each box at a time sample, whether what was written to it once is still there, as far as can be told
        without reading voxels. There may be millions, which are computed when they are looked at: a place that has
        one answer for all had better not."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Described(Protocol):
    """A source that says more of its volume than `Facts`."""

    def metadata(self) -> str:
        """What its header holds, as JSON."""
        ...


@runtime_checkable
class Describable(Protocol):
    """A destination that has a place for what a source says."""

    def keep_metadata(self, text: str) -> None:
        """Called after `prepare`. Raises JobError when something else is kept there already."""
        ...
