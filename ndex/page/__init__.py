"""The report of a run as one page: report.html, which needs neither network nor other files.

ndex.run(job, listeners=[Page(job, Path("report.html"))])
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from ..errors import NdexError
from ..events import Event, Listener, Note, Result, Started, TaskDone, TaskFailed
from ..job import Job
from .coverage import Coverage
from .cuts import Cut, cuts_of
from .document import document
from .pace import Pace

log = logging.getLogger("ndex")

__all__ = ["Page"]


class Page:
    """Listens to a run, and writes the page when it has ended. Keeps a byte or so a block, and no events.

    A page that cannot be written never harms a run: the log says why.
    """

    def __init__(
        self,
        job: Job,
        path: Path,
        say: Listener = lambda event: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`say` is told where the page is."""
        self._job = job
        self._path = path
        self._say = say
        self._clock = clock
        self._started: Started | None = None
        self._coverage: Coverage | None = None
        self._pace = Pace()
        self._deaf = False

    def __call__(self, event: Event) -> None:
        if self._deaf:
            return
        try:
            self._hear(event)
        except Exception:  # the voxels are where they should be, whatever becomes of a page about them
            log.exception("could not write %s", self._path)
            self._deaf = True

    def _hear(self, event: Event) -> None:
        match event:
            case Started():
                self._begin = self._clock()
                self._started = event
                self._coverage = Coverage(event.pieces) if event.pieces else None
            case TaskDone():
                self._pace.add(self._clock() - self._begin, event.nbytes)
                if self._coverage:
                    self._coverage.done(event)
            case TaskFailed():
                if self._coverage:
                    self._coverage.failed(event)
            case Result():
                if self._started:
                    self._write(self._started, event)

    def _write(self, started: Started, result: Result) -> None:
        cuts, note = self._cuts(started, result)
        page = document(self._job, started, result, self._coverage, self._pace, cuts, note, _versions())
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.write_text(page, encoding="utf-8")
        partial.replace(self._path)
        self._say(Note(f"A report of this run is in {self._path}"))

    def _cuts(self, started: Started, result: Result) -> tuple[list[Cut], str | None]:
        """What could be read, and why not all of it."""
        cuts: list[Cut] = []
        if started.pieces is None or not result.done + result.resumed:
            return cuts, "nothing was written"
        try:
            cuts.extend(cuts_of(self._job, started.pieces.volume))
        except (NdexError, OSError) as error:
            return cuts, str(error)
        return cuts, None


def _versions() -> str:
    return f"ndex {version('ndex')}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
