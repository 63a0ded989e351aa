"""The journals of all shards read together: what has become of each task, by its number alone."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .entries import HEAD, Entries, Kind, contents, entries
from .errors import JobError, NdexError
from .indexes import Indexes

NAME = re.compile(r"(?P<shard>shard-\d+-of-\d+)\.(?P<run>\d+)\.journal")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed when it was last tried."""

    reason: str
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class ShardState:
    """What the files of one shard say, for `action: status`."""

    name: str
    done: int
    failed: int
    last_seen: float | None
    """Seconds since the epoch of the last task."""


class Known:
    """What has become of each task: the last word of all runs of all shards counts."""

    def __init__(self, files: Sequence[tuple[Path, Entries]]) -> None:
        self._paths = [path for path, _ in files]
        heads = np.concatenate([np.empty(0, HEAD), *(found.heads for _, found in files)])
        numbers = np.repeat(np.arange(len(files)), [len(found.heads) for _, found in files])
        starts = np.concatenate([np.empty(0, np.int64), *(found.starts for _, found in files)])
        tried = np.isin(heads["kind"], (Kind.DONE, Kind.FAILED))
        self._heads, self._files, self._starts = heads[tried], numbers[tried], starts[tried]
        last = _last_words(self._heads)
        is_done = self._heads["kind"][last] == Kind.DONE
        self._done, self._failed = last[is_done], last[~is_done]
        self.done = Indexes(self._heads["task"][self._done])
        """The finished tasks."""

    @property
    def latest(self) -> float:
        """When a task was last heard of, in seconds since the epoch; 0 when none was."""
        return float(self._heads["at"].max(initial=0.0))

    @cached_property
    def failed(self) -> dict[int, Failure]:
        """The tasks that failed when they were last tried, by index, in order. Raises JobError."""
        heads = self._heads[self._failed]
        reasons = [text.decode("utf-8", "replace") for text in self._contents(self._failed)]
        return {
            task: Failure(reason, at)
            for task, reason, at in zip(heads["task"].tolist(), reasons, heads["at"].tolist(), strict=True)
        }

    def checksums(self, task: int) -> tuple[int, ...]:
        """CRC-32 of each block of a task as it was written; none of a task that is not done. Raises JobError."""
        if task not in self.done:
            return ()
        place = np.searchsorted(self.done.array, task)
        (packed,) = self._contents(self._done[place : place + 1])
        return struct.unpack(f"<{len(packed) // 4}I", packed)

    def states(self) -> list[ShardState]:
        """One state for each shard that has tried a task."""
        shards = [_shard_of(path) for path in self._paths]
        names = sorted(set(shards), key=_numbers_in)
        of_file = np.array([names.index(shard) for shard in shards], np.int64)
        return [self._state(name, of_file[self._files] == number) for number, name in enumerate(names)]

    def _state(self, name: str, mine: npt.NDArray[np.bool_]) -> ShardState:
        heads = self._heads[mine]
        last = heads[_last_words(heads)]
        done = int(np.count_nonzero(last["kind"] == Kind.DONE))
        return ShardState(name, done, len(last) - done, float(heads["at"].max()) if len(heads) else None)

    def _contents(self, rows: npt.NDArray[np.intp]) -> Iterator[bytes]:
        """What follows each of these heads, in the order of the rows."""
        found: dict[int, bytes] = {}
        for number in np.unique(self._files[rows]):
            here = rows[self._files[rows] == number]
            places = zip(self._starts[here].tolist(), self._heads["length"][here].tolist(), strict=True)
            with translated(self._paths[number], JobError):
                found.update(zip(here.tolist(), contents(self._paths[number], places), strict=True))
        return (found[row] for row in rows.tolist())


def files_of(folder: Path) -> list[Path]:
    """The journals of all runs of all shards, in order."""
    found = [path for path in folder.iterdir() if NAME.fullmatch(path.name)] if folder.exists() else []
    return sorted(found, key=lambda path: _numbers_in(path.name))


def known(folder: Path) -> Known:
    """What is known of a job. Raises JobError when a file cannot be read."""
    files = []
    with translated(folder, JobError):
        for path in files_of(folder):
            try:
                files.append((path, entries(path)))
            except FileNotFoundError:
                continue  # of a run that has ended since, without having tried anything
    return Known(files)


@contextmanager
def translated(path: Path, kind: type[NdexError]) -> Iterator[None]:
    """What the system says of the journal at `path`, in an error of ndex."""
    try:
        yield
    except OSError as error:
        folder = path.parent if NAME.fullmatch(path.name) else path
        raise kind(
            f"journal={folder.parent}: {error.filename or path} cannot be used: {error.strerror or error}. "
            "Mend that, or name another folder."
        ) from error


def _last_words(heads: npt.NDArray[np.void]) -> npt.NDArray[np.intp]:
    """Where the last entry of each task stands, in the order of the tasks. Of entries of the same time, and in one
    file time never goes back, the later one counts."""
    order = np.argsort(heads["at"], kind="stable")
    order = order[np.argsort(heads["task"][order], kind="stable")]
    tasks = heads["task"][order]
    return order[np.append(tasks[1:] != tasks[:-1], True)] if len(order) else order


def _shard_of(path: Path) -> str:
    match = NAME.fullmatch(path.name)
    assert match is not None  # since `files_of`
    return match["shard"]


def _numbers_in(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]
