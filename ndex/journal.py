"""What is done, durably: a folder for each job, `<journal>/<name>-<stamp>/`, in which each run of a shard has one file.

A run makes its file under a number that nobody else can take, and is the only one that ever writes to it. So the file
is also the claim of the run on its shard, and nothing is asked of the file system but that a file is made once, and
that what was forced to the disk is there when a file is opened: a network file system will do. What the others
have done counts as done: a job can be cut into another number of shards half-way.

A task is written here only after its voxels are durable at the destination, and it is reported only after it is
durable here. What a crash forgets, tasks under way, is transferred again to the same effect.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
import threading
import time
from dataclasses import asdict
from pathlib import Path

from . import claims
from .boss.flow import Line
from .claims import BEAT, STALE, Draft, Owner
from .entries import Kind, first_and_last, packed
from .errors import JobError, PermanentError
from .events import TaskDone, TaskFailed
from .job import Shard
from .known import NAME, Known, files_of, known, translated


class Journal:
    """The journal of one shard while it runs. Use as a context manager: it holds a claim on the shard.

    Raises JobError when another run holds the claim, or when nothing can be written there.
    """

    def __init__(self, folder: Path, shard: Shard) -> None:
        self._folder = folder
        self._shard = f"shard-{shard.index}-of-{shard.count}"
        self._over = threading.Event()
        self._lost = self._wrote = False
        self._at = 0.0
        self._line: Line | None = None

    def __enter__(self) -> Journal:
        with translated(self._folder, JobError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._draft = Draft(self._folder, lambda owner: packed(Kind.BEGUN, time.time(), content=owner.to_json()))
            try:
                self._number = self._claimed()
                self._draft.drop()
                self.known = known(self._folder)
                """What all runs before this one say."""
            except BaseException:
                self._draft.file.close()
                self._draft.drop()
                raise
        self._at = math.nextafter(self.known.latest, math.inf)
        self._touched = time.time()
        self._beats = threading.Thread(target=self._beat, name="journal", daemon=True)
        self._beats.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._beats.join()
        self._release()

    @property
    def path(self) -> Path:
        """The file of this run."""
        return self._path(self._number)

    def describe(self, plan: str) -> None:
        """Keep what the job was, so that a journal can be read without it. Raises JobError when that cannot be."""
        self._replace(plan_file(self._folder), plan)

    def keep_job(self, text: str) -> None:
        """Keep the job file that repeats the run. Raises JobError when that cannot be."""
        self._replace(job_file(self._folder), text)

    def keep(self, outcome: TaskDone | TaskFailed) -> None:
        """Write down how a task ended. One that is done must be durable at the destination already. What the last one
        has seen of the line to the BOSS is written when the run ends.

        Raises PermanentError when that cannot be, or when another run has taken over.
        """
        if time.time() - self._touched > 2 * BEAT:  # this process, or the machine, was asleep
            self._touch()
        if self._lost:
            raise PermanentError(
                f"Another run of this job has taken over, since this one did not touch {self.path} for "
                f"{STALE / 60:.0f} minutes. What it was doing is left to the other."
            )
        self._at = max(time.time(), self._at)
        with translated(self.path, PermanentError):
            self._append(_entry(outcome, self._at))
            self._wrote = True
        if isinstance(outcome, TaskDone) and outcome.line is not None:
            self._line = outcome.line

    def _claimed(self) -> int:
        """The number of this run."""
        number = max(self._numbers(), default=0)
        while True:
            if number:
                self._refuse_beside(self._path(number))
            number += 1
            if self._draft.take(self._path(number)):
                break
        claims.make_durable(self._folder)
        # The listing may have been old. It is new now, since this machine has changed the folder itself.
        if max(self._numbers()) > number:
            self._path(number).unlink()
            self._refuse_beside(self._path(max(self._numbers())))
        return number

    def _refuse_beside(self, claim: Path) -> None:
        """Raises JobError when another run of this shard is under way."""
        try:
            begun, ended = first_and_last(claim)
            age = claims.age(claim, self._draft.now)
        except FileNotFoundError:
            return  # ended meanwhile
        owner = None if begun is None else Owner.from_json(begun)
        if ended or age > STALE or (owner is not None and owner.is_gone(claim)):
            return
        who = f"process {owner.pid} on {owner.host}" if owner else "a process that has just begun"
        raise JobError(
            f"Another run of this job is under way: {who} holds {claim}. Wait for it to end; if it was cut off, try "
            f"again in {max(1, math.ceil((STALE - age) / 60))} min."
        )

    def _numbers(self) -> list[int]:
        """Of the runs of this shard."""
        matches = (NAME.fullmatch(path.name) for path in files_of(self._folder))
        return [int(match["run"]) for match in matches if match and match["shard"] == self._shard]

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._shard}.{number}.journal"

    def _append(self, entry: bytes) -> None:
        file, rest = self._draft.file, memoryview(entry)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            self._touch()

    def _touch(self) -> None:
        """Say that this run goes on, and see whether another one has thought otherwise."""
        with contextlib.suppress(OSError):  # a server that is away for a while; the next touch will tell
            os.utime(self.path)
            self._touched = time.time()
        self._lost = self._lost or self._path(self._number + 1).exists()

    def _release(self) -> None:
        """Nothing is left of a run that tried nothing. What cannot be written, on a full disk, is said by age."""
        try:
            if self._wrote:
                self._append(packed(Kind.ENDED, self._at))
            if self._line is not None:
                line_file(self._folder).write_text(json.dumps(asdict(self._line)), encoding="utf-8")
        except OSError:
            with contextlib.suppress(OSError):
                os.utime(self.path, (0, 0))
        finally:
            self._draft.file.close()
        if not self._wrote and not self._lost:
            self.path.unlink(missing_ok=True)

    def _replace(self, path: Path, text: str) -> None:
        partial = path.with_name(f".{self.path.stem}.{path.name}")
        with translated(self._folder, JobError):
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)


def _entry(outcome: TaskDone | TaskFailed, at: float) -> bytes:
    if isinstance(outcome, TaskFailed):
        return packed(Kind.FAILED, at, outcome.index, outcome.reason.encode())
    sums = struct.pack(f"<{len(outcome.checksums)}I", *outcome.checksums)
    return packed(Kind.DONE, at, outcome.index, sums, outcome.verified)


def folder_of(journals: Path, name: str, stamp: str) -> Path:
    """Where the journal files of a job lie."""
    return journals / f"{name}-{stamp}"


def job_file(folder: Path) -> Path:
    """The job of a journal as it was last run."""
    return folder / "job.yaml"


def plan_file(folder: Path) -> Path:
    """The plan of that job."""
    return folder / "plan.json"


def line_file(folder: Path) -> Path:
    """What the last run saw of its line."""
    return folder / "line.json"


def folders(journals: Path, name: str) -> list[Path]:
    """The journals of all jobs of this name, the newest first."""
    return sorted(journals.glob(f"{name}-*"), key=lambda folder: folder.stat().st_mtime, reverse=True)


def known_now(folder: Path) -> Known:
    """What is known once this machine has changed the folder: for a while after a listing, a network file system may
    not ask the server what others have put there. Raises JobError."""
    with translated(folder, JobError):
        Draft(folder, lambda owner: b"").drop()
    return known(folder)
