"""What happens during a job, as small values. The runner emits them, reports and messages listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .boss.flow import Line
from .geometry import Box, Span, Tiling
from .volume import Volume


@dataclass(frozen=True)
class Note:
    """Something that the user should know."""

    text: str


@dataclass(frozen=True)
class Pieces:
    """How the volume is cut. The tilings are those of one time sample, in the coordinates of the source."""

    volume: Volume
    """In the coordinates of the destination."""
    tasks: Tiling
    """Task i of sample t has the index t * len(tasks) + i; samples count from 0 here."""
    bands: Tiling
    """Each task goes through memory band by band, from top to bottom."""
    blocks: Tiling
    """Each band is checked, and sent to a BOSS, block by block."""
    part: Span
    """Indexes of the tasks of this shard."""
    resumed: tuple[Span, ...] = ()
    """Indexes of those that the journal already knows as done."""


@dataclass(frozen=True)
class Started:
    """The plan is made and the first task is about to go."""

    name: str
    source: str
    destination: str
    created: tuple[str, ...]
    """What was made at the destination before the first task, a line each."""
    tasks: int
    """Of this shard, all of them."""
    resumed: int
    """Tasks that the journal already knows as done."""
    voxels: int
    """Voxels of the tasks that are left."""
    nbytes: int = 0
    """Bytes of these voxels at the destination."""
    action: str = "run"
    untried: int = 0
    """Tasks that this run leaves alone, since only failed ones were asked for."""
    pieces: Pieces | None = None
    """None only in tests of what shows other facts."""

    @property
    def left(self) -> int:
        """Tasks of this run."""
        return self.tasks - self.resumed - self.untried


@dataclass(frozen=True)
class TaskDone:
    """A task was transferred, and verified if that was asked."""

    index: int
    box: Box
    t: int
    nbytes: int
    """Bytes of its voxels at the destination."""
    checksums: tuple[int, ...]
    """CRC-32 of every block, in the order of `Plan.blocks`."""
    empty: int = 0
    """Blocks that were all zero."""
    filled: tuple[int, ...] = ()
    """z of absent source planes that became zeros."""
    verified: bool = False
    repaired: bool = False
    line: Line | None = None
    """To the BOSS, as the requests of the worker's process have seen it so far, for all workers together."""


@dataclass(frozen=True)
class TaskFailed:
    """A task could not be transferred; the others go on."""

    index: int
    box: Box
    t: int
    reason: str
    fatal: bool = False
    """No other task can succeed either, for instance since the token was refused."""
    transient: bool = False
    """It may succeed when it is tried again."""
    differs: bool = False
    """The destination was read, and does not hold what belongs there."""
    bug: str | None = None
    """The traceback, when the failure was not one that ndex expects."""


@dataclass(frozen=True)
class Stopping:
    """The run ends before all tasks are done."""

    reason: str


@dataclass(frozen=True)
class Result:
    """How a job ended. `exit_code` is what the command returns."""

    name: str
    action: str
    exit_code: int
    source: str = ""
    destination: str = ""
    tasks: int = 0
    done: int = 0
    """Tasks done by this run."""
    resumed: int = 0
    """Tasks that were done before it."""
    untried: int = 0
    """Tasks that it left alone, since only failed ones were asked for."""
    failed: tuple[TaskFailed, ...] = ()
    voxels: int = 0
    """Voxels moved by this run."""
    nbytes: int = 0
    empty: int = 0
    filled: tuple[int, ...] = ()
    verified: int = 0
    """Tasks that were read back and compared."""
    repaired: int = 0
    seconds: float = 0.0
    error: str | None = None
    links: tuple[str, ...] = ()
    """Where the volume can be looked at, once all of it is there."""
    journal: str = ""
    again: str = ""
    """The command that goes on, quoted for the shell; empty where nothing is left to do."""
    details: dict[str, object] = field(default_factory=dict)
    """What `plan`, `describe` and `status` found."""

    @property
    def left(self) -> int:
        """Tasks that this run should have done and has not."""
        return self.tasks - self.done - self.resumed - self.untried


Event = Note | Started | TaskDone | TaskFailed | Stopping | Result
Listener = Callable[[Event], None]
