"""Tells a Slack channel how a job goes. Whatever Slack does, the job goes on as if it were not there."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .courier import Courier
from .errors import NdexError
from .events import Event, Listener, Result, Started, TaskDone, TaskFailed
from .job import Job
from .slack import Message, Sender, find_token
from .summary import summary_lines

TOLD = ("run", "verify")
"""Actions that take long enough to be told of."""
BETWEEN_ERRORS = 60.0
"""Seconds from one message about failed tasks to the next."""
LOG_LINES = 200
"""Of the end of the log that go along with a failure."""


@contextmanager
def notifications(job: Job) -> Iterator[tuple[Listener, ...]]:
    """The listener that tells Slack about a run, if the job asks for one. Errors that end the run are told as well.

    Raises AccessError when there is no usable token, JobError when no channel is named.
    """
    if job.notify.kind == "none" or job.action not in TOLD:
        yield ()
        return
    courier = Courier(Sender(job.notify, find_token(job.notify)))
    with _end_of_log() as lines:
        teller = Teller(job, courier.post, lines, time.monotonic)
        try:
            yield (teller,)
        except BaseException as error:
            teller.ended_by(error)
            raise
        finally:
            courier.close()


class Teller:
    """Events to messages."""

    def __init__(self, job: Job, post: Callable[[Message], None], log: deque[str], clock: Callable[[], float]) -> None:
        self._label = _label(job)
        self._mention = _mention(job.notify.mention)
        self._post = post
        self._log = log
        self._clock = clock
        self._untold: list[TaskFailed] = []
        self._told_at = -BETWEEN_ERRORS

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                before = f", {event.resumed} of them done before" if event.resumed else ""
                self._say("started", f"{event.source} -> {event.destination}, {event.tasks} tasks{before}")
            case TaskFailed():
                self._untold.append(event)
                self._tell_failures()
            case TaskDone():
                self._tell_failures()
            case Result():
                self._ended(event)

    def ended_by(self, error: BaseException) -> None:
        """The run has raised an error in place of a result."""
        if isinstance(error, KeyboardInterrupt):
            self._say("interrupted")
        else:
            reason = str(error) if isinstance(error, NdexError) else f"a bug in ndex ({type(error).__name__})"
            self._say("failed", reason, bad=True)

    def _ended(self, result: Result) -> None:
        how = {0: "finished", 130: "interrupted"}.get(result.exit_code, "failed")
        self._say(how, *summary_lines(result), bad=how == "failed")

    def _tell_failures(self) -> None:
        now = self._clock()
        if self._untold and now - self._told_at >= BETWEEN_ERRORS:
            first, more = self._untold[0], len(self._untold) - 1
            self._say(f"FAILED {first.box}", first.reason, *([f"and {more} more"] if more else []))
            self._untold.clear()
            self._told_at = now

    def _say(self, what: str, *lines: str, bad: bool = False) -> None:
        mention = f"{self._mention} " if bad and self._mention else ""
        text = "\n".join([f"*{_plain(self._label)}*: {_plain(what)}", *map(_plain, lines)])
        self._post(Message(mention + text, "\n".join(self._log) if bad else ""))


def _label(job: Job) -> str:
    """The job as opposed to the others of a sweep."""
    resource = f" {job.resource}" if job.resource else ""
    shard = f", shard {job.shard.index} of {job.shard.count}" if job.shard.count > 1 else ""
    return job.name + resource + shard


def _mention(who: str | None) -> str:
    return "" if not who else f"<!{who}>" if who in ("here", "channel", "everyone") else f"<@{who}>"


def _plain(text: str) -> str:
    """Text that Slack does not take for its own marks."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@contextmanager
def _end_of_log() -> Iterator[deque[str]]:
    """The last lines of the log, as they come."""
    lines: deque[str] = deque(maxlen=LOG_LINES)
    handler = _Tail(lines)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)


class _Tail(logging.Handler):
    def __init__(self, lines: deque[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
