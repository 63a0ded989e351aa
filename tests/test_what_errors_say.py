"""What errors say: what was asked, what was found, what to do. Those that no other test provokes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests

from ndex.boss import wire
from ndex.boss.credentials import Credentials, find_credentials
from ndex.boss.cutouts import _check_request
from ndex.boss.faults import BEING_DELETED, Answer, failure, interruption, json_of, require
from ndex.boss.fitting import channel_kind, check_channel, check_experiment, check_frame, check_readable
from ndex.boss.records import Channel, CoordinateFrame, Experiment
from ndex.errors import (
    AccessError,
    DamagedData,
    JobError,
    Missing,
    NdexError,
    PermanentError,
    ServerError,
    TransientError,
)
from ndex.geometry import ORIGIN, Box, Span, Vec
from ndex.job import Boss, Frame, Resource
from ndex.job_file import read_job_file
from ndex.stores.images.pattern import with_channel
from ndex.volume import Volume

BOX = Box.of((0, 64), (0, 64), (0, 16))
EM = Resource("lab", "run", "em", voxel_size=None)
CHANNEL = Channel("lab", "run", "em", "image", np.dtype("uint8"))
RUN = Experiment("lab", "run", "lab_run", 3, False)
FRAME = CoordinateFrame("lab_run", BOX, (4.0, 8.0, 40.0), "nanometers")
VOLUME = Volume(BOX, np.dtype("uint8"), Span(0, 1), False, ORIGIN, "stamp", Vec(64, 64, 16))
LABELS = replace(CHANNEL, dtype=np.dtype("uint32"))


def volume(dtype: str = "uint8", **changes: object) -> Volume:
    return replace(VOLUME, dtype=np.dtype(dtype), **changes)  # type: ignore[arg-type]  # fields of a Volume


def resource(**changes: object) -> Resource:
    return replace(EM, **changes)  # type: ignore[arg-type]  # fields of a Resource


FITTING: list[tuple[Callable[[], object], str]] = [
    (
        lambda: channel_kind(resource(datatype="uint32"), np.dtype("uint8")),
        "resource.datatype=uint32: a BOSS can neither read nor write uint32 (lab/run/em). Use uint64 for "
        "annotations, or convert.dtype=uint16 with a window for images.",
    ),
    (
        lambda: channel_kind(resource(channel_type="image"), np.dtype("uint64")),
        "resource.channel_type=image: a BOSS keeps images as uint8 or uint16, not uint64 (lab/run/em). Use "
        "channel_type=annotation for labels, or convert.dtype=uint16.",
    ),
    (
        lambda: check_channel(LABELS, RUN, EM, volume("uint32")),
        "resource.channel=em: the channel lab/run/em is uint32, which a BOSS can create but not write. Name "
        "another one, which is then created as uint64.",
    ),
    (
        lambda: check_channel(CHANNEL, RUN, EM, volume("uint16")),
        "The data are uint16, but the channel lab/run/em holds uint8. Give convert.dtype=uint8 to convert them.",
    ),
    (
        lambda: check_channel(CHANNEL, RUN, resource(channel_type="annotation"), volume()),
        "resource.channel_type=annotation, but the channel lab/run/em is image. Leave the key out, or name another "
        "resource.channel.",
    ),
    (
        lambda: check_channel(replace(CHANNEL, storage="cloudvol"), RUN, EM, volume()),
        "resource.channel=em: the channel lab/run/em has storage_type cloudvol: a BOSS takes uploads there but "
        "does not keep them (boss-api 17). Upload into another one.",
    ),
    (
        lambda: check_channel(CHANNEL, RUN, resource(resolution=2), volume()),
        "resource.resolution=2: the channel lab/run/em can be written at resolution 0 or 1.",
    ),
    (
        lambda: check_channel(CHANNEL, RUN, resource(iso=True), volume()),
        "resource.iso=true is for reading: what is written that way can never be read back. From BOSS to BOSS, give "
        "source.resource.iso=true instead.",
    ),
    (
        lambda: check_experiment(RUN, resource(frame=Frame("other")), volume()),
        "resource.frame.name=other, but the experiment lab/run has lab_run. Leave the key out, or name another "
        "resource.experiment.",
    ),
    (
        lambda: check_experiment(RUN, EM, volume(times=Span(0, 3))),
        "The data have time samples up to 2, but the experiment lab/run has 1 (from 0). Narrow extent.t.",
    ),
    (
        lambda: check_frame(FRAME, RUN, resource(frame=Frame(z=(0, 99))), volume()),
        "resource.frame.z=[0, 99], but the frame lab_run has [0, 16]. Leave the key out, or name another "
        "resource.experiment, whose frame is then created so.",
    ),
    (
        lambda: check_frame(FRAME, RUN, resource(voxel_size=(4, 4, 4)), volume()),
        "resource.voxel_size=[4, 4, 4], but the frame lab_run has [4.0, 8.0, 40.0]. Leave the key out, or name another "
        "resource.experiment, whose frame is then created so.",
    ),
    (
        lambda: check_frame(FRAME, RUN, resource(voxel_size=(4, 8, 40), voxel_unit="micrometers"), volume()),
        "resource.voxel_unit=micrometers, but the frame lab_run has nanometers. Leave the key out, or name another "
        "resource.experiment, whose frame is then created so.",
    ),
    (
        lambda: check_frame(FRAME, RUN, EM, volume(box=BOX.shift(Vec(0, 0, 1)))),
        "The data would lie at x 0:64, y 0:64, z 1:17, but the frame lab_run has x 0:64, y 0:64, z 0:16 at "
        "resolution 0. Narrow extent, or change offset.",
    ),
    (
        lambda: check_readable(FRAME, RUN, CHANNEL, resource(resolution=1)),
        "resource.resolution=1: the channel lab/run/em is NOT_DOWNSAMPLED, so that only resolution 0 can be "
        "read. Have it downsampled first, or read that one.",
    ),
    (
        lambda: check_readable(FRAME, RUN, LABELS, EM),
        "resource.channel=em: the channel lab/run/em is uint32, which a BOSS can create but not read. Name "
        "another one.",
    ),
    (
        lambda: check_readable(FRAME, RUN, CHANNEL, resource(iso=True)),
        "resource.iso=true: voxels of [4.0, 8.0, 40.0] have no isotropic level, x and y differ (frame lab_run). "
        "Leave it out to read the levels as they are.",
    ),
    (
        lambda: with_channel("em/{channel}", "../all", "source.path"),
        "source.path=em/{channel}: resource.channel=../all is no name but a path; write it into source.path itself.",
    ),
]


@pytest.mark.parametrize(("ask", "said"), FITTING, ids=[said[:40] for _, said in FITTING])
def test_what_does_not_fit_a_boss(ask: Callable[[], object], said: str) -> None:
    with pytest.raises(JobError) as refused:
        ask()
    assert str(refused.value) == said


TOKEN = "c0ffee" * 6
ACCESS = Credentials(
    host="api.example.org", protocol="https", token=TOKEN, origin="the environment variable BOSS_TOKEN"
)


def answer(status: int, text: str = "no", code: int = 0, retry_after: str | None = None) -> Answer:
    return Answer(status, "application/json", f'{{"message": "{text}", "code": {code}}}'.encode(), retry_after)


ANSWERS: list[tuple[Answer, type[NdexError], str]] = [
    (answer(401), AccessError, "The token came from the environment variable BOSS_TOKEN."),
    (answer(404, code=BEING_DELETED), Missing, "It is being deleted, and its name stays taken until that is done."),
    (answer(413), PermanentError, "Use smaller blocks."),
    (answer(429), JobError, "The quota of this account is used up; ask an administrator of the BOSS."),
    (answer(429, retry_after="3"), TransientError, "api.example.org"),
    (answer(503), TransientError, "api.example.org"),
    (answer(500), ServerError, "api.example.org"),
    (answer(301), JobError, "It points elsewhere, where the token must not go: check boss.host and boss.protocol."),
    (answer(418), PermanentError, "api.example.org"),
]


@pytest.mark.parametrize(("told", "kind", "said"), ANSWERS, ids=[str(told.status) for told, _, _ in ANSWERS])
def test_what_a_boss_answers(told: Answer, kind: type[NdexError], said: str) -> None:
    error = failure(told, "GET lab/run/em", ACCESS)
    assert type(error) is kind
    assert str(error).startswith("GET lab/run/em: ")
    assert said in str(error)
    assert TOKEN not in str(error)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (
            lambda: require(Answer(200, "text/html", b"<h1>soon</h1>"), 200, "GET em", ACCESS),
            "GET em: api.example.org shows a page for browsers instead; it may be under maintenance.",
        ),
        (
            lambda: json_of(Answer(200, "", b""), "GET em", ACCESS),
            "GET em: api.example.org answered with no type where JSON was due.",
        ),
        (
            lambda: json_of(Answer(200, "application/json", b"{"), "GET em", ACCESS),
            "GET em: the answer of api.example.org is not complete JSON.",
        ),
        (
            lambda: json_of(Answer(200, "application/json", b"[]"), "GET em", ACCESS),
            "GET em: the answer of api.example.org is not a JSON object. Is this a BOSS?",
        ),
    ],
)
def test_answers_that_no_boss_gives(ask: Callable[[], object], said: str) -> None:
    with pytest.raises(NdexError) as refused:
        ask()
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (requests.exceptions.SSLError(), "GET em: no secure connection to api.example.org. Is boss.protocol right?"),
        (requests.exceptions.ReadTimeout(), "GET em: api.example.org did not answer in time."),
        (requests.exceptions.ConnectTimeout(), "nobody answers at https://api.example.org. Is boss.host right, and is"),
        (requests.exceptions.InvalidURL(), "GET em: boss.host=api.example.org cannot be used as an address."),
        (requests.exceptions.ConnectionError(), "GET em: the connection to api.example.org broke (ConnectionError)."),
    ],
)
def test_connections_that_fail(error: Exception, said: str) -> None:
    assert said in str(interruption(error, "GET em", ACCESS))


@pytest.mark.parametrize(
    ("box", "filter", "said"),
    [
        (Box.of((0, 0), (0, 1), (0, 1)), (), "a cutout has at least one voxel and no negative coordinate."),
        (Box.of((0, 1 << 12), (0, 1 << 12), (0, 1 << 8)), (), "bytes are more than a BOSS takes at once. Use smaller"),
        (BOX, range(10**15, 10**15 + 10**4), "a filter of 10000 ids is too long for one request."),
    ],
)
def test_cutouts_that_no_boss_gives(box: Box, filter: range, said: str) -> None:
    with pytest.raises(PermanentError, match="GET em: ") as refused:
        _check_request(CHANNEL, box, "GET em", filter)
    assert said in str(refused.value)


def test_damaged_frames() -> None:
    voxels = np.arange(4096, dtype=np.uint8).reshape(1, 64, 64)
    frame = bytes(wire.encode(voxels))
    for damaged, said in (
        (frame[:9], "9 bytes are too few for a blosc frame."),
        (frame[:-1], f"The blosc frame is damaged: it claims {len(frame)} bytes, {len(frame) - 1} are there."),
    ):
        with pytest.raises(DamagedData) as refused:
            wire.decode(damaged, voxels.shape, voxels.dtype)
        assert str(refused.value) == said


@pytest.mark.parametrize(
    ("boss", "said"),
    [
        (Boss(host="api.example.org", protocol="http"), "boss.protocol=http: the token would travel in clear to "),
        (
            Boss(config_file=Path("broken.cfg")),
            "boss.config_file=broken.cfg is not an INI file with [Default] protocol",
        ),
        (Boss(config_file=Path("ftp.cfg")), "boss.protocol='ftp' must be https or http."),
    ],
)
def test_credentials(boss: Boss, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.cfg").write_text(TOKEN)
    Path("ftp.cfg").write_text(f"[Default]\nprotocol = ftp\nhost = api.example.org\ntoken = {TOKEN}\n")
    with pytest.raises(NdexError) as refused:
        find_credentials(boss, {"BOSS_TOKEN": TOKEN})
    assert said in str(refused.value)
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]\n", "holds more than 100,000 values, or anchors that hold themselves"),
        ("[" * 5000 + "]" * 5000, "is nested too deeply"),
        ("a: [1\n", "line 2 is not YAML: "),
        ("a: ${\n", "cannot read the job file"),
        ("- a\n", "must hold keys with values, such as verify: full"),
        (
            "hydra: {job: {env_set: {A: b}}}\n",
            "hydra.job.env_set.A: a job file may set hydra.run.dir, hydra.sweep.dir, ",
        ),
        (
            "defaults: [/hydra/job_logging: x]\n",
            "is refused; a job file chooses by name, among the groups that ndex --help",
        ),
    ],
)
def test_job_files(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "em.yaml"
    path.write_text(text)
    with pytest.raises(JobError) as refused:
        read_job_file(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)
