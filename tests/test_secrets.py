"""Tokens and keys are in nothing that is written, shown or passed on, however a job ends."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import s3_server
import tifffile
from certificates import serving_https, write_certificate
from held_boss import Command, holding
from scripted import Reply, Scripted, Seen, refusal, serving, told

import ndex
import ndex.runner
from ndex.__main__ import main
from ndex.boss.client import BossClient
from ndex.boss.credentials import find_credentials
from ndex.errors import JobError
from ndex.files import Access, files_at, place_at
from ndex.job import Boss, Notify, Retry
from ndex.server.app import App
from ndex.server.http import Server
from ndex.slack import Sender
from ndex.stores import open_destination, open_source
from ndex.stores.render.service import Service

SECRET = "sesame0ffee4711"
"""A part of every token and key in here."""
TOKEN = f"{SECRET}-of-the-boss"
SLACK = f"xoxb-{SECRET}-of-slack"


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a stack; files with secrets lie outside."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    tifffile.imwrite(folder / "in.tif", np.full((5, 6, 7), 9, np.uint8), photometric="minisblack")
    return folder


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with serving() as server:
        yield server


@pytest.fixture
def boss(tmp_path: Path) -> Iterator[str]:
    """Host of a BOSS that takes the token."""
    app = App(tmp_path / "boss", TOKEN)
    with Server(app) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.url.partition("://")[2]
        server.shutdown()
    app.close()


def upload(host: str, *more: str) -> list[str]:
    return [
        *("source=stack", "source.path=in.tif", "boss=custom", f"boss.host={host}", "boss.protocol=http"),
        *("resource.collection=c", "resource.experiment=e", "resource.channel=em", "resource.voxel_size=[1,1,1]"),
        *("retry.attempts=2", "retry.wait=0", "retry.max_wait=0", "verify=full", *more),
    ]


def given_by(way: str, outside: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Settings that lead to the token."""
    monkeypatch.delenv("BOSS_TOKEN", raising=False)
    if way == "environment":
        monkeypatch.setenv("BOSS_TOKEN", TOKEN)
        return []
    if way == "another variable":
        monkeypatch.setenv("LAB_ACCESS", TOKEN)
        return ["boss.token_env=LAB_ACCESS"]
    (outside / "secret").write_text(TOKEN if way == "token_file" else f"[Default]\ntoken = {TOKEN}\n")
    return [f"boss.{way}={outside / 'secret'}"]


def nowhere(here: Path, *shown: str) -> bool:
    """Whether no secret is in what was shown, nor in any byte or name below the folder."""
    found = [text for text in shown if SECRET in text]
    for path in here.rglob("*"):
        if SECRET in path.name or (path.is_file() and SECRET.encode() in path.read_bytes()):
            found.append(str(path))
    assert not found
    return True


def echo(status: int) -> Callable[[Seen], Reply]:
    """A server that says what it was sent."""
    return lambda request: refusal(status, 3001, f"no entry with {request.headers.get('Authorization')}")


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


WAYS = ["environment", "another variable", "token_file", "config_file"]
ENDINGS = {
    "success": 0,
    "refused": 2,
    "forbidden": 2,
    "broken": 2,
    "nonsense": 2,
    "redirected": 2,
    "unreachable": 2,
    "bug": 1,
}


@pytest.mark.parametrize(
    ("way", "ending"), [(WAYS[0], ending) for ending in ENDINGS] + [(way, "success") for way in WAYS[1:]]
)
def test_the_token_of_a_boss(
    way: str, ending: str, boss: str, scripted: Scripted, here: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    scripted.script = {
        "refused": echo(401),
        "forbidden": echo(403),
        "broken": echo(500),
        "nonsense": lambda request: told({"collection": request.headers}),
        "redirected": lambda request: Reply(
            307, headers={"Location": f"http://{request.headers['Authorization'][6:]}/"}
        ),
    }.get(ending, ())
    if ending == "bug":
        monkeypatch.setattr(ndex.runner, "make_plan", lambda *args: [][len(args)])
    host = {"success": boss, "bug": boss, "unreachable": free_port()}.get(ending, scripted.host)
    job = upload(host, *given_by(way, here.parent, monkeypatch))
    assert main([*job, "action=run", "hydra.verbose=true"]) == ENDINGS[ending]
    if ending == "success" and way == "environment":
        for action in ("verify", "status", "describe", "plan"):
            assert main([*job, f"action={action}"]) == 0
    assert main([*job, "--cfg", "all"]) == 0
    assert main([*job, "--info", "all"]) == 0
    assert main(["-m", *job, "shard.count=2", "shard.index=0,1"]) == ENDINGS[ending]
    assert nowhere(here, *capfd.readouterr())


@pytest.mark.parametrize("there", [True, False])
def test_keys_of_s3(
    there: bool, here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRET}/secret-key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{SECRET}/session")
    bucket = s3_server.new_bucket("secrets") if there else "no-such-bucket"
    job = ["source=stack", "source.path=in.tif", "destination=s3", f"destination.path=s3://{bucket}/em"]
    job += [f"destination.endpoint_url={s3_server.endpoint()}", "retry.attempts=1", "hydra.verbose=true"]
    assert main([*job, "resource.channel=em"]) == (0 if there else 2)
    assert nowhere(here, *capfd.readouterr())


@pytest.mark.parametrize("answer", ["accepted", "refused", "gone"])
def test_the_token_of_slack(
    answer: str, boss: str, scripted: Scripted, here: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("BOSS_TOKEN", TOKEN)
    monkeypatch.setenv("SLACK_TOKEN", SLACK)
    scripted.script = lambda request: told(
        {
            "ok": answer == "accepted",
            "channel": "C1",
            "ts": "1",
            "error": f"not_authed {request.headers['Authorization']}",
        }
    )
    host = free_port() if answer == "gone" else scripted.host
    slack = ["notify=slack", "notify.channel=em", f"notify.base_url=http://{host}/api/", "hydra.verbose=true"]
    assert main(upload(boss, *slack)) == 0
    assert nowhere(here, *capfd.readouterr())


def test_no_process_shows_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the command, nor its workers, nor the embedded server, whose token is given here to be recognised."""
    monkeypatch.setenv("NDEX_EMBEDDED_TOKEN", TOKEN)
    tifffile.imwrite(here / "in.tif", np.ones((64, 5, 5), np.uint8), photometric="minisblack")
    with holding(here.parent / "held", 0) as held:
        job = upload(held.host, "boss.token_env=NDEX_TEST_HELD", "parallel=processes", "parallel.n_jobs=2")
        with Command(here, *job) as command:
            held.wait_for(2)
            lines = _command_lines(command)
            assert sum("loky" in line for line in lines) >= 2
            held.go.set()
            assert command.ended()[0] == 0
    with Command(here, *upload("x")[:2], *upload("x")[5:], "verify=full", "blocks.z=1") as command:
        command.until("TaskDone")
        lines += _command_lines(command)
        assert command.ended()[0] == 0
    assert any("ndex.server" in line for line in lines)
    assert not [line for line in lines if SECRET in line or "sesame-of-the-held" in line]
    assert nowhere(here, *command.lines)


def _command_lines(command: Command) -> list[str]:
    us = psutil.Process(command.process.pid)
    return [" ".join(process.cmdline()) for process in [us, *us.children(recursive=True)]]


def test_no_repr_shows_it(boss: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSS_TOKEN", TOKEN)
    job = ndex.compose(None, *upload(boss))
    client = BossClient.connect(job.boss, Retry())
    objects = [job, client, client._connection, find_credentials(job.boss), open_source(job), open_destination(job)]
    objects.append(Sender(Notify("slack", "em"), SLACK))
    for thing in objects:
        assert SECRET not in f"{thing!r} {thing!s}"


GIVEN = [
    "boss.token={}", "+boss.token={}", "++boss.api_token={}", "boss.password={}", "notify.token={}", "token={}",
    "source.secret={}", "boss={{token:{}}}", "boss={{host:x,token:{}}}", "+x=[{{password:{}}}]", "boss.token={},b",
    "boss.host={}@boss.example.org", "boss.host='user:{}@boss.example.org'", "boss={{host:'{}@h'}}",
    "source.url=http://u:{}@render.example.org", "source.url='https://{}@render.example.org/x'",
    "source.path=https://u:{}@example.org/em", "destination.path=s3://key:{}@bucket/em",
    "destination.endpoint_url=https://u:{}@s3.example.org", "notify.base_url=https://u:{}@slack.example.org",
    "source.boss.host={}@h", "resource.description='see https://me:{}@example.org'",
    "boss.token_env=xoxb-{}", "notify.token_env=xoxb-{}", f"boss.token_env={'0ffee' * 8}",
]  # fmt: skip


@pytest.mark.parametrize("sweep", [[], ["-m"]])
@pytest.mark.parametrize("override", GIVEN)
def test_a_secret_on_the_command_line_is_refused(
    override: str, sweep: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*sweep, *upload("127.0.0.1:1"), override.format(SECRET)]) == 2
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert "TOKEN" in err or ".netrc" in err
    assert nowhere(here, out, err.replace("0ffee" * 8, SECRET))
    assert sorted(path.name for path in here.iterdir()) == ["in.tif"]
    with pytest.raises(JobError) as caught:
        ndex.compose(None, *upload("127.0.0.1:1"), override.format(SECRET))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "boss: {token: TOKEN}", "boss: {host: TOKEN@h}", "source: {url: 'http://u:TOKEN@h'}", "x: [{api_token: TOKEN}]",
        "boss: {token_env: xoxb-TOKEN}", "boss: {Token: TOKEN}", "destination: {path: 's3://a:TOKEN@b'}",
        "boss:\n  token: TOKEN\n  - broken TOKEN", "boss: {token: TOKEN, token: TOKEN}", "boss: {? TOKEN : [}",
    ],
)  # fmt: skip
def test_a_secret_in_a_job_file_is_refused(text: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "jobs").mkdir()
    (here / "jobs/lab.yaml").write_text(text.replace("TOKEN", SECRET))
    assert main(["job=lab", *upload("127.0.0.1:1")]) == 2
    out, err = capsys.readouterr()
    (here / "jobs/lab.yaml").unlink()
    assert len(err.splitlines()) == 1
    assert nowhere(here, out, err)


@pytest.mark.parametrize("off", [{}, {"REQUESTS_CA_BUNDLE": ""}, {"CURL_CA_BUNDLE": ""}, {"PYTHONHTTPSVERIFY": "0"}])
def test_a_server_that_nobody_vouches_for(off: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSS_TOKEN", TOKEN)
    for name, value in off.items():
        monkeypatch.setenv(name, value)
    write_certificate(tmp_path / "localhost.pem")
    with serving_https(tmp_path / "localhost.pem") as (host, seen):
        for ask in (
            lambda: BossClient.connect(Boss(host=host), Retry(attempts=1)).collection("c"),
            lambda: Service(f"https://{host}/render-ws/v1").json("owners"),
            lambda: files_at(f"https://{host}/em", "source.path").fetch("0.png", 9),
            lambda: place_at("s3://bucket/em", "source.path", Access(endpoint_url=f"https://{host}")).exists(),
        ):
            with pytest.raises(JobError, match="certificate") as caught:
                ask()
            assert SECRET not in str(caught.value)
        assert seen == []


def test_an_authority_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSS_TOKEN", TOKEN)
    write_certificate(tmp_path / "localhost.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "localhost.pem"))
    with serving_https(tmp_path / "localhost.pem") as (host, seen):
        with pytest.raises(ndex.errors.NdexError, match="404"):
            BossClient.connect(Boss(host=host), Retry(attempts=1)).collection("c")
        assert [headers["Authorization"] for headers in seen] == [f"Token {TOKEN}"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_gets_no_token(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSS_TOKEN", TOKEN)
    with serving() as first, serving() as second:
        second.script = [told({})]
        first.script = [Reply(status, headers={"Location": f"http://{second.host}/v1/collection/c"})]
        with pytest.raises(JobError, match=r"boss\.host"):
            BossClient.connect(Boss(host=first.host, protocol="http"), Retry(attempts=3)).collection("c")
        assert (len(first.seen), second.seen) == (1, [])


@pytest.mark.parametrize(
    "host", ["boss.example.org", "10.0.0.1", "127.0.0.1.example.org", "localhost.example.org", "[::2]"]
)
def test_no_token_in_clear(
    host: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOSS_TOKEN", TOKEN)
    assert main(upload(f"'{host}'")) == 2
    out, err = capsys.readouterr()
    assert "boss.protocol=https" in err
    assert nowhere(here, out, err)
    assert os.environ["BOSS_TOKEN"] == TOKEN
