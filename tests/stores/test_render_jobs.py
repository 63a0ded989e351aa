"""Jobs that read from a render web service, as a user starts them: into the embedded BOSS, and into files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from render_ws import RenderService, Reply, Request, Stack, changed, outlines, png, serving

import ndex
from ndex.__main__ import main
from ndex.boss.client import BossClient
from ndex.geometry import Box
from ndex.job import Boss, Job, Retry
from ndex.server.process import TOKEN_ENV, running

NAMES = ("source.owner=optics", "source.project=p1", "resource.collection=optics", "resource.experiment=p1")
STACKS = {
    "aligned": Stack(tiles=(-53, 12, 611, 540), sections=tuple(range(-3, 16))),
    "deep": Stack(depth=16, tiles=(5, -7, 130, 90), sections=(4, 5, 7), channels=("c1", "c2")),
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("boss")) as address:
        yield address


@pytest.fixture(scope="module")
def client(host: str) -> Iterator[BossClient]:
    client = BossClient.connect(Boss(host=host, protocol="http", token_env=TOKEN_ENV), Retry(attempts=1))
    yield client
    client.close()


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RenderService]:
    monkeypatch.chdir(tmp_path)
    with serving(**STACKS) as service:
        yield service


def ingest(service: RenderService, host: str, stack: str, channel: str, *more: str) -> list[str]:
    return [
        *("job=ingest_render", f"source.url={service.url}", f"source.stack={stack}", *NAMES),
        *("boss=custom", f"boss.host={host}", "boss.protocol=http", f"boss.token_env={TOKEN_ENV}"),
        *(f"resource.channel={channel}", f"resource.frame.name={channel}", f"resource.experiment={channel}"),
        *("resource.voxel_size=[4,4,40]", "verify=full", "retry.wait=0", *more),
    ]


def compose(arguments: list[str]) -> Job:
    return ndex.compose(None, *arguments)


def stored(client: BossClient, channel: str) -> np.ndarray:
    """All of a channel whose frame is as large as what was uploaded."""
    found = client.channel("optics", channel, channel)
    frame = client.frame(channel)
    assert found is not None
    assert frame is not None
    return client.get_cutout(found, 0, frame.box, None)


def world(stack: Stack, x: range, y: range, z: range, scale: float = 1, channel: str | None = None) -> np.ndarray:
    return np.stack([stack.scaled(x, y, plane, scale, channel) for plane in z])


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_stack_below_zero_goes_into_a_boss(
    backend: str, service: RenderService, host: str, client: BossClient
) -> None:
    result = ndex.run(compose(ingest(service, host, "aligned", backend, f"parallel={backend}")))
    assert (result.exit_code, result.verified) == (0, result.tasks)
    expected = world(STACKS["aligned"], range(-53, 612), range(12, 541), range(-3, 16))
    np.testing.assert_array_equal(stored(client, backend), expected)
    noted = client.get_metadata("offsets", "optics", backend)
    assert noted is not None
    assert json.loads(noted) == [53, 0, 3]


@pytest.mark.parametrize(("scale", "x", "y"), [(0.25, (-14, 153), (3, 136)), (0.3, (-16, 184), (3, 163))])
def test_a_scaled_part_goes_into_a_boss(
    scale: float, x: tuple[int, int], y: tuple[int, int], service: RenderService, host: str, client: BossClient
) -> None:
    name = f"scaled{int(100 * scale)}"
    assert main(ingest(service, host, "aligned", name, f"source.scale={scale}", "extent.z=[0,3]")) == 0
    expected = world(STACKS["aligned"], range(*x), range(*y), range(3), scale)
    np.testing.assert_array_equal(stored(client, name), expected)


def test_the_size_of_a_voxel_is_that_of_the_stack_unless_it_is_given(
    service: RenderService, host: str, client: BossClient
) -> None:
    scaled = ("source.scale=0.5", "extent.z=[0,1]", "action=create")
    for name, size in (("own", "null"), ("given", "[1,2,3]")):
        assert main(ingest(service, host, "aligned", name, f"resource.voxel_size={size}", *scaled)) == 0
    frames = [client.frame(name) for name in ("own", "given")]
    assert [frame and frame.voxel_size for frame in frames] == [(8, 8, 40), (1, 2, 3)]


def test_names_stay_as_they_are_written(service: RenderService) -> None:
    source = compose(ingest(service, "nowhere", "2018_01", "em", "source.project=007")).source
    assert str(source) == "optics/007/2018_01"


def test_sixteen_bits_go_into_a_boss_with_a_gap_filled(service: RenderService, host: str, client: BossClient) -> None:
    keys = ("source.dtype=uint16", "source.channel=c2")
    assert main(ingest(service, host, "deep", "deep", *keys)) == 2
    assert client.channel("optics", "deep", "deep") is None
    job = compose(ingest(service, host, "deep", "deep", *keys, "missing=fill"))
    result = ndex.run(job)
    assert (result.exit_code, result.filled) == (0, (6,))
    expected = world(STACKS["deep"], range(5, 131), range(-7, 91), range(4, 8), 1, "c2")
    assert not expected[2].any()
    np.testing.assert_array_equal(stored(client, "deep"), expected)
    assert stored(client, "deep").dtype == np.uint16


@pytest.mark.parametrize("side", ["service", "ndex"])
def test_sixteen_bits_become_eight_by_a_window_at_either_side(
    side: str, service: RenderService, host: str, client: BossClient
) -> None:
    here = ("source.dtype=uint16", "convert.dtype=uint8", "convert.window=[900,40000]")
    keys = ("source.window=[900,40000]",) if side == "service" else here
    assert main(ingest(service, host, "deep", side, "source.channel=c1", "missing=fill", *keys)) == 0
    values = world(STACKS["deep"], range(5, 131), range(-7, 91), range(4, 8), 1, "c1")
    expected = np.rint(np.clip((values - 900) * 255 / 39_100, 0, 255))
    np.testing.assert_array_equal(stored(client, side), expected)


def test_a_stack_goes_into_files_with_its_own_coordinates(service: RenderService, tmp_path: Path) -> None:
    keys = ["source=render", f"source.url={service.url}/render-ws/v1/", "source.stack=deep", *NAMES[:2]]
    keys += ["source.channel=c1", "source.dtype=uint16", "missing=fill", "offset=auto", "extent.z=[4,6]"]
    assert main([*keys, "destination=images", "destination.path=out", "destination.pattern=z%03d.tif"]) == 0
    planes = np.stack([tifffile.imread(path) for path in sorted((tmp_path / "out").glob("*.tif"))])
    assert [path.name for path in sorted((tmp_path / "out").glob("*.tif"))] == ["z004.tif", "z005.tif"]
    np.testing.assert_array_equal(planes, world(STACKS["deep"], range(5, 131), range(-7, 91), range(4, 6), 1, "c1"))


def test_the_same_stack_is_done_and_a_changed_one_is_not(
    service: RenderService, host: str, client: BossClient, capsys: pytest.CaptureFixture[str]
) -> None:
    job = ingest(service, host, "aligned", "again", "extent.z=[0,2]")
    assert main(job) == 0
    assert main(job) == 0
    assert "nothing is left to do" in capsys.readouterr().out
    service.stacks["aligned"] = changed(STACKS["aligned"], tiles=(-50, 12, 611, 540))
    assert main([*job, "extent.x=[-53,612]"]) == 2, "the part below -50 is not there any more"
    service.stacks["aligned"] = changed(STACKS["aligned"])
    assert main(job) == 0
    assert "nothing is left to do" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (["source.stack=alignd"], "source.stack=alignd: "),
        (["source.stack=deep", "source.channel=c3"], "source.channel=c3: "),
        (["source.stack=deep", "source.channel=c1"], "has no section z=6"),
        (["source.project=my-project"], "source.project=my-project: must be of letters and digits"),
        (["source.url=render.example.org"], "source.url: must be http://HOST:PORT"),
        (["source.scale=2"], "source.scale=2: must be a number from 0.001 to 1"),
        (["source.window=[9,0]"], "source.window=[9.0, 0.0]: the low value must be below the high one"),
        (["source.url=http://127.0.0.1:1"], "nobody answers at source.url=http://127.0.0.1:1"),
        (["offset=null"], "Use offset=auto"),
        (["extent.x=[-60,0]"], "extent.x=[-60, 0]: the source has x -53 to 612"),
    ],
)
def test_a_wrong_job_is_refused_in_a_line_or_two(
    keys: list[str], sentence: str, service: RenderService, host: str, client: BossClient,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(ingest(service, host, "aligned", "wrong", *keys)) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert 1 <= len(err.splitlines()) <= 2, err
    assert client.channel("optics", "wrong", "wrong") is None
    assert not service.images


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("outlined", outlines(64, 64)),
        ("small", png(np.ones((9, 9, 4), np.uint8))),
        ("corrupt", Reply(200, b"\x89PNG\r\n\x1a\n" + bytes(99), "image/png")),
        ("unreadable", Reply(400, b"no such file")),
        ("failing", Reply(500, b"out of memory")),
    ],
)
def test_a_bad_answer_fails_its_task_and_no_other_and_is_never_stored(
    name: str, reply: Reply, service: RenderService, host: str, client: BossClient
) -> None:
    def script(request: Request) -> Reply | None:
        return reply if "/z/4/box" in request.path else None

    service.script = script
    job = compose(ingest(service, host, "aligned", name, "extent={x: [0, 40], y: [20, 90]}"))
    result = ndex.run(job)
    assert (result.exit_code, result.done, len(result.failed)) == (1, 1, 1)
    assert "GET owner/optics/project/p1/stack/aligned/z/4/box/0,20,40,70,1.0/png-image" in result.failed[0].reason
    array = stored(client, name)
    assert not array[:16].any()
    np.testing.assert_array_equal(array[16:], world(STACKS["aligned"], range(40), range(20, 90), range(13, 16)))
    service.script = lambda request: None
    again = ndex.run(job)
    assert (again.exit_code, again.done) == (0, 1)
    np.testing.assert_array_equal(
        stored(client, name), world(STACKS["aligned"], range(40), range(20, 90), range(-3, 16))
    )


def test_the_box_of_a_plan_is_of_the_service(service: RenderService) -> None:
    keys = ["source=render", f"source.url={service.url}", "source.stack=aligned", *NAMES, "resource.channel=em"]
    plan = ndex.plan(ndex.compose(None, *keys, "offset=auto", "resource.voxel_size=[4,4,40]"))
    assert plan.box == Box.of((-53, 612), (12, 541), (-3, 16))
    assert not service.images
