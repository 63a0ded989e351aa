"""What Slack is told, through its own client and a stand-in for its web API; and that it can do a job no harm."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

import memory
import numpy as np
import pytest
from memory import Place, job_between
from scripted import Reply, Scripted, Seen, serving, told

import ndex
from ndex import __main__, courier
from ndex.courier import WAITING, Courier
from ndex.errors import AccessError, DamagedData, JobError
from ndex.events import Result, Started, TaskDone, TaskFailed
from ndex.geometry import Box
from ndex.job import Job, Notify, Parallel, Resource, Shard
from ndex.notifications import BETWEEN_ERRORS, Message, Teller, notifications
from ndex.slack import Sender, find_token

TOKEN = "xoxb-s3cr3t"
BOX = Box.of((0, 10), (0, 20), (0, 16))
DONE = TaskDone(1, BOX, 0, 3_200_000, (5,))
LOST = Reply(reset=True)


class Slack:
    """As much of Slack as ndex needs."""

    def __init__(self, server: Scripted) -> None:
        self.server = server
        self.files: list[str] = []
        server.script = self.answer

    @property
    def base_url(self) -> str:
        return f"http://{self.server.host}/api/"

    def answer(self, request: Seen) -> Reply:
        match request.path.rpartition("/")[2]:
            case "chat.postMessage":
                return told({"ok": True, "channel": "C024BE91L", "ts": "1503435956.000247"})
            case "files.getUploadURLExternal":
                return told({"ok": True, "upload_url": f"http://{self.server.host}/upload", "file_id": "F123"})
            case "upload":
                self.files.append(request.body.decode())
                return Reply(200, b"OK", "text/plain")
            case "files.completeUploadExternal":
                return told({"ok": True, "files": [{"id": "F123"}]})
            case path:
                raise AssertionError(path)

    def arguments(self, method: str) -> list[dict[str, str]]:
        """What each call of a method was given."""
        bodies = [seen.body.decode() for seen in self.server.seen if seen.path.endswith(method)]
        return [
            json.loads(body) if body.startswith("{") else {key: value for key, (value,) in parse_qs(body).items()}
            for body in bodies
        ]

    @property
    def texts(self) -> list[str]:
        return [arguments["text"] for arguments in self.arguments("chat.postMessage")]


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    monkeypatch.setenv("SLACK_TOKEN", TOKEN)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        yield Slack(server)


@pytest.fixture
def job(slack: Slack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    """A job between two places in memory of which Slack is told."""
    monkeypatch.setattr(memory, "PLACES", {})
    memory.install()
    box = Box.of((0, 9), (0, 9), (0, 48))
    memory.PLACES["a"] = Place(box, np.ones(box.shape, np.uint8))
    memory.PLACES["b"] = Place(box, np.zeros(box.shape, np.uint8))

    def make(**changes: object) -> Job:
        notify = Notify("slack", channel="#ingest", mention="U024BE7LH", base_url=slack.base_url)
        return job_between("a", "b", **{"journal": tmp_path / "journal", "notify": notify, **changes})

    return make


def test_beginning_and_end(job: Callable[..., Job], slack: Slack) -> None:
    memory.PLACES["b"].finish = lambda say, pause: ("https://look.here/?a&b",)
    assert ndex.run(job()).exit_code == 0
    started, finished = slack.texts
    assert started == "*job*: started\nmemory:a -&gt; memory:b, 3 tasks"
    assert finished.startswith("*job*: finished\njob: 3 of 3 tasks transferred, 3.9 kB in ")
    assert finished.endswith("  the data is in memory:b\n  look at it: https://look.here/?a&amp;b")
    assert {arguments["channel"] for arguments in slack.arguments("chat.postMessage")} == {"#ingest"}
    assert {seen.headers["Authorization"] for seen in slack.server.seen} == {f"Bearer {TOKEN}"}


def test_a_failure_calls_somebody_and_brings_the_end_of_the_log(
    job: Callable[..., Job], slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(box: Box) -> None:
        logging.getLogger("ndex").error("about to fail at %s", box)
        raise DamagedData("plane <7> is cut short")

    memory.PLACES["a"].fail_read = fail
    assert ndex.run(job(parallel=Parallel("serial"))).exit_code == 1
    _, error, failed = slack.texts
    assert error == "*job*: FAILED x 0:9, y 0:9, z 0:16\nplane &lt;7&gt; is cut short"
    assert failed.startswith("<@U024BE7LH> *job*: failed\njob: 0 of 3 tasks transferred")
    assert "FAILED     3 tasks" in failed
    assert [line.partition("ERROR ")[2] for line in slack.files[0].splitlines()] == [
        f"about to fail at x 0:9, y 0:9, z {z}:{z + 16}" for z in (0, 16, 32)
    ]
    (complete,) = slack.arguments("files.completeUploadExternal")
    assert (complete["channel_id"], complete["thread_ts"]) == ("C024BE91L", "1503435956.000247")


def test_a_wrong_job_is_told_too(job: Callable[..., Job], slack: Slack) -> None:
    memory.PLACES["a"].gone = True
    with pytest.raises(JobError):
        ndex.run(job())
    assert slack.texts == ["<@U024BE7LH> *job*: failed\nmemory:a does not exist."]


def test_looking_is_not_told(job: Callable[..., Job], slack: Slack) -> None:
    for action in ("plan", "status", "create"):
        ndex.run(job(action=action))
    assert slack.server.seen == []


def posted(job: Job, *events: object, times: list[float]) -> list[str]:
    messages: list[Message] = []
    clock = iter(times)
    teller = Teller(job, messages.append, deque(), clock=lambda: next(clock))
    for event in events:
        teller(event)  # type: ignore[arg-type]  # events of any kind
    return [message.text for message in messages]


def test_errors_come_once_a_minute_at_most(job: Callable[..., Job]) -> None:
    failures = [TaskFailed(i, BOX, 0, f"plane {i} is cut short") for i in range(5)]
    texts = posted(job(), *failures, DONE, DONE, times=[100, 101, 102, 130, 159, 100 + BETWEEN_ERRORS, 999])
    assert texts == [
        f"*job*: FAILED {BOX}\nplane 0 is cut short",
        f"*job*: FAILED {BOX}\nplane 1 is cut short\nand 3 more",
    ]


@pytest.mark.parametrize(("code", "how"), [(0, "finished"), (1, "failed"), (2, "failed"), (130, "interrupted")])
def test_each_job_of_a_sweep_has_a_name(code: int, how: str, job: Callable[..., Job]) -> None:
    part = job(resource=Resource("lab", "run7", "em"), shard=Shard(1, 4), notify=Notify("slack", channel="#ingest"))
    started, ended = posted(
        part, Started("job", "a", "b", (), 4, 1, 9), Result("job", "run", code, tasks=4, resumed=1), times=[]
    )
    assert started == "*job lab/run7/em, shard 1 of 4*: started\na -&gt; b, 4 tasks, 1 of them done before"
    assert ended.startswith(f"*job lab/run7/em, shard 1 of 4*: {how}\n")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (told({"ok": False, "error": "invalid_auth"}), "it answered invalid_auth"),
        (told({"ok": False, "error": f"strange token {TOKEN}"}), "it answered strange token ***"),
        (Reply(503, b"<html>down</html>", "text/html"), "it answered"),
        (Reply(200, b"not JSON"), "it answered"),
        (Reply(200, b"[]"), "it answered 200"),
        (LOST, ""),
    ],
)
def test_a_slack_that_fails_is_said_once_and_harms_nothing(
    answer: Reply, reason: str, job: Callable[..., Job], slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    slack.server.script = lambda seen: answer
    memory.PLACES["a"].fail_read = memory_fault
    result = ndex.run(job())
    assert (result.exit_code, result.done) == (1, 2)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert f"Slack was not told: {reason}" in warnings[0]
    assert TOKEN not in caplog.text
    assert len(slack.server.seen) == 3


def memory_fault(box: Box) -> None:
    if box.start.z == 16:
        raise DamagedData("plane 16 is cut short")


def test_a_slack_that_is_away_harms_nothing(
    job: Callable[..., Job], slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    notify = Notify("slack", channel="#ingest", base_url="http://127.0.0.1:9/")
    assert ndex.run(job(notify=notify)).exit_code == 0
    assert caplog.text.count("Slack was not told: URLError") == 1


def test_a_slack_that_hangs_holds_up_the_end_only_for_a_moment(
    job: Callable[..., Job], slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = threading.Event()

    def hang(seen: Seen) -> Reply:
        stuck.wait()
        return told({"ok": True})

    slack.server.script = hang
    patience: list[float] = []
    join = threading.Thread.join

    def impatient(thread: threading.Thread, timeout: float | None = None) -> None:
        patience.append(timeout or 0)
        join(thread, 0)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", impatient)
        assert ndex.run(job()).exit_code == 0
    assert courier.PATIENCE in patience
    stuck.set()


def test_a_slack_that_gets_too_much_is_given_the_time_it_asks_for(slack: Slack) -> None:
    good, first = slack.server.script, iter([Reply(429, b'{"ok": false}', headers={"Retry-After": "3"})])
    slack.server.script = lambda seen: next(first, None) or good(seen)  # type: ignore[operator]
    waited: list[float] = []
    send = Sender(Notify("slack", channel="#ingest", base_url=slack.base_url), TOKEN, waited.append)
    send(Message("hello"))
    assert waited == [3]
    assert slack.texts == ["hello", "hello"]


def test_messages_that_pile_up_give_way_to_newer_ones() -> None:
    delivered: list[int] = []
    begun, going_on = threading.Event(), threading.Event()

    def deliver(message: int) -> None:
        begun.set()
        going_on.wait()
        delivered.append(message)

    slow = Courier(deliver)
    slow.post(-1)
    begun.wait()
    for number in range(WAITING + 5):
        slow.post(number)
    going_on.set()
    slow.close()
    assert delivered == [-1, *range(5, WAITING + 5)]


@pytest.mark.parametrize(
    ("notify", "environ", "said"),
    [
        (Notify("slack", channel="c"), {}, "notify.token_env=SLACK_TOKEN: there is no token"),
        (Notify("slack", channel="c", token_env="MINE"), {"SLACK_TOKEN": TOKEN}, "notify.token_env=MINE: there is no"),
        (Notify("slack", channel="c", token_file=Path("nowhere")), {}, "notify.token_file=nowhere cannot be read: No"),
        (Notify("slack", channel="c"), {"SLACK_TOKEN": f"{TOKEN}\n{TOKEN}"}, "as one word"),
        (Notify("slack", channel="c", base_url="http://slack.com/api"), {"SLACK_TOKEN": TOKEN}, "in clear"),
    ],
)
def test_a_token_is_needed_from_the_start(notify: Notify, environ: dict[str, str], said: str) -> None:
    with pytest.raises(JobError, match=said) as caught:
        find_token(notify, environ)
    assert TOKEN not in str(caught.value)


def test_a_token_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert find_token(Notify("slack", channel="c", token_file=tmp_path / "token"), {}) == TOKEN


def test_without_a_token_nothing_is_begun(job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLACK_TOKEN")
    with pytest.raises(AccessError, match=r"notify\.token_env=SLACK_TOKEN"), notifications(job()):
        raise AssertionError
    with pytest.raises(AccessError):
        ndex.run(job())
    assert not memory.PLACES["a"].calls


def test_the_command_tells_of_a_sweep(
    slack: Slack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = ["-m", "job=demo", "notify=slack", "notify.channel='#ingest'", f"notify.base_url={slack.base_url}"]
    assert __main__.main([*sweep, "extent.z=[2600,2610],[2600,2699]"]) == 2
    assert [text.splitlines()[0] for text in slack.texts] == [
        "*demo demo/medulla/em*: started",
        "*demo demo/medulla/em*: finished",
        "*demo demo/medulla/em*: failed",
    ]
    assert "finished" not in slack.files[0]
    files = [path for path in (tmp_path / ".ndex/runs").rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN in path.read_text()]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("notify.mention=null", "missing: notify.channel; give it"),
        ("notify.token=xoxb-1", "notify.token: a secret must not stand"),
        ("notify.token_env=xoxb-1-2", "SLACK_TOKEN (notify.token_env names another one)"),
        ("notify.chanel=c", "did you mean notify.channel?"),
    ],
)
def test_wrong_settings(setting: str, said: str) -> None:
    given = [] if "mention" in setting else ["notify.channel=c"]
    with pytest.raises(JobError) as caught:
        ndex.compose("demo", "notify=slack", setting, *given)
    assert str(caught.value).count("\n") == 0
    assert said in str(caught.value)


def test_a_channel_is_needed_from_the_start(slack: Slack) -> None:
    with pytest.raises(JobError, match=r"notify\.channel is not set"):
        Sender(Notify("slack"), TOKEN)
