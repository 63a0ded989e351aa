"""Where voxels end up: offsets and the way back to original coordinates, frames, resolutions, public channels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

import ndex
from ndex.boss.client import BossClient
from ndex.errors import AccessError, JobError, Missing
from ndex.geometry import Box
from ndex.job import Boss, Retry
from ndex.server.process import TOKEN_ENV, running

SHAPE = (21, 90, 130)
VOXELS = np.random.default_rng(0).integers(1, 255, SHAPE, np.uint8)
"""As it lies in the files, 21 planes from number 30 on."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("boss")) as address:
        yield address


@pytest.fixture(scope="module")
def client(host: str) -> BossClient:
    return BossClient.connect(Boss(host=host, protocol="http", token_env=TOKEN_ENV), Retry(attempts=1))


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planes")
    for z, plane in enumerate(VOXELS, 30):
        tifffile.imwrite(folder / f"{z:03d}.tif", plane)
    return folder


@pytest.fixture
def at(host: str, tmp_path: Path, request: pytest.FixtureRequest) -> list[str]:
    """A collection of one test, and a journal."""
    collection = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    return [
        *("boss=custom", f"boss.host={host}", "boss.protocol=http", f"boss.token_env={TOKEN_ENV}"),
        *(f"resource.collection={collection}", "resource.experiment=run", "resource.channel=em"),
        *("resource.voxel_size=[4,4,40]", "verify=full", f"journal={tmp_path / 'journal'}"),
    ]


def collection_of(at: list[str]) -> str:
    return next(item.partition("=")[2] for item in at if item.startswith("resource.collection="))


def run(*overrides: str) -> None:
    result = ndex.run(ndex.compose(None, *overrides))
    assert result.exit_code == 0, result


def upload(planes: Path, at: list[str], *more: str) -> None:
    run("source=images", f"source.path={planes}", "source.pattern=%03d.tif", *at, *more)


def download(folder: Path, at: list[str], *more: str) -> dict[str, np.ndarray]:
    run("destination=images", f"destination.path={folder}", *at, *more)
    return {path.name: tifffile.imread(path) for path in sorted(folder.iterdir())}


def test_negative_originals_go_up_and_come_back_where_they_were(
    planes: Path, at: list[str], client: BossClient, tmp_path: Path
) -> None:
    upload(planes, at, "source.origin=[-210,-7,30]", "offset=auto")
    collection = collection_of(at)
    assert json.loads(client.get_metadata("offsets", collection, "run") or "") == [210, 7, 0]
    frame = client.frame(f"{collection}_run")
    assert frame is not None
    assert frame.box == Box.of((0, 130), (0, 90), (30, 51))
    part = ["extent.x=[-200,-100]", "extent.y=[-7,50]", "extent.z=[33,50]"]
    back = download(tmp_path / "out", at, *part, "source.coordinates=original")
    assert list(back) == [f"{collection}_run_em_x-200--100_y-7-50_z{z:04d}.tif" for z in range(33, 50)]
    np.testing.assert_array_equal(np.stack(list(back.values())), VOXELS[3:20, :57, 10:110])


@pytest.mark.parametrize("backend", ["serial", "processes"])
def test_original_coordinates_keep_requests_on_the_grid_of_the_boss(
    backend: str, planes: Path, at: list[str], tmp_path: Path
) -> None:
    upload(planes, at, "offset=[500,505,-25]")
    more = ["source.coordinates=original", f"parallel={backend}", "parallel.n_jobs=2"]
    job = ndex.compose(None, "destination=images", f"destination.path={tmp_path / 'out'}", *at, *more)
    plan = ndex.plan(job)
    assert plan.box == Box.of((0, 130), (0, 90), (30, 51))
    assert [(task.box.z.start - 25, task.box.z.stop - 25) for task in plan] == [(5, 16), (16, 26)]
    back = download(tmp_path / "out", at, *more)
    np.testing.assert_array_equal(np.stack(list(back.values())), VOXELS)


def test_planes_below_0_have_no_names(planes: Path, at: list[str], tmp_path: Path) -> None:
    upload(planes, at, "source.origin=[0,0,-5]", "offset=auto")
    with pytest.raises(JobError, match=r"plane -5 cannot be in a file name\. Use offset=auto"):
        download(tmp_path / "out", at, "source.coordinates=original")
    back = download(tmp_path / "out", at, "source.coordinates=original", "offset=[0,0,5]")
    np.testing.assert_array_equal(np.stack(list(back.values())), VOXELS)


def test_a_copy_has_the_original_coordinates(planes: Path, at: list[str], client: BossClient) -> None:
    upload(planes, at, "offset=[100,200,3]")
    collection = collection_of(at)
    run(
        *at,
        f"resource.collection={collection}_2",
        f"source.resource.collection={collection}",
        "source.coordinates=original",
    )
    channel = client.channel(f"{collection}_2", "run", "em")
    assert channel is not None
    box = Box.of((0, 130), (0, 90), (30, 51))
    np.testing.assert_array_equal(client.get_cutout(channel, 0, box), VOXELS)


def test_without_an_offset_there_are_no_other_coordinates(planes: Path, at: list[str], tmp_path: Path) -> None:
    upload(planes, at)
    with pytest.raises(Missing, match=r"source\.coordinates=original: .* has no metadata offsets"):
        download(tmp_path / "out", at, "source.coordinates=original")


def test_an_experiment_has_one_offset(planes: Path, at: list[str], client: BossClient) -> None:
    frame = "resource.frame={x: [0, 900], y: [0, 900], z: [0, 99]}"
    upload(planes, at, "source.origin=[-210,0,30]", "offset=auto", frame)
    for other in ("offset=[5,0,0]", "offset=auto"):
        with pytest.raises(JobError, match=r"has the offsets \[210, 0, 0\].*Give offset=\[210, 0, 0\].*source\.origin"):
            upload(planes, at, "resource.channel=seg", other)
    assert client.channel(collection_of(at), "run", "seg") is None
    upload(planes, at, "resource.channel=same", "offset=[210,0,0]")
    upload(planes, at, "resource.channel=plain")
    assert client.get_metadata("offsets", collection_of(at), "run") == "[210, 0, 0]"


def test_the_plan_says_what_is_noted(planes: Path, at: list[str]) -> None:
    job = ["source=images", f"source.path={planes}", "source.pattern=%03d.tif", *at, "offset=[1,2,3]"]
    line = f"metadata offsets of experiment {collection_of(at)}/run: [1, 2, 3]"
    assert line in ndex.run(ndex.compose(None, *job, "action=plan")).details["creates"]  # type: ignore[operator]
    run(*job)
    assert not ndex.run(ndex.compose(None, *job, "action=plan")).details["creates"]


def test_offsets_are_noted_in_voxels_of_level_0(
    planes: Path, at: list[str], client: BossClient, tmp_path: Path
) -> None:
    upload(planes, at, "resource.resolution=1", "offset=[10,20,3]")
    collection = collection_of(at)
    assert client.get_metadata("offsets", collection, "run") == "[20, 40, 3]"
    back = download(tmp_path / "out", at, "resource.resolution=1", "source.coordinates=original")
    assert min(back) == f"{collection}_run_em_x0-130_y0-90_z0030.tif"
    np.testing.assert_array_equal(np.stack(list(back.values())), VOXELS)


def test_an_offset_of_half_a_voxel(planes: Path, at: list[str], client: BossClient, tmp_path: Path) -> None:
    upload(planes, at, "resource.resolution=1", "offset=[10,20,3]")
    client.put_metadata("offsets", "[21, 40, 3]", collection_of(at), "run")
    with pytest.raises(JobError, match=r"\[21, 40, 3\] .* not whole voxels at resolution 1"):
        download(tmp_path / "out", at, "resource.resolution=1", "source.coordinates=original")
    client.put_metadata("offsets", "far away", collection_of(at), "run")
    with pytest.raises(JobError, match="'far away', not a list"):
        download(tmp_path / "out", at, "resource.resolution=1", "source.coordinates=original")


def test_a_forced_frame_is_larger_than_the_data(
    planes: Path, at: list[str], client: BossClient, tmp_path: Path
) -> None:
    frame = ["resource.frame.x=[0,200]", "resource.frame.y=[0,90]", "resource.frame.name=wide"]
    upload(planes, at, *frame, "extent.x=[10,100]", "extent.z=[31,40]")
    created = client.frame("wide")
    assert created is not None
    assert created.box == Box.of((0, 200), (0, 90), (31, 40))
    back = np.stack(list(download(tmp_path / "out", at).values()))
    expected = np.zeros((9, 90, 200), np.uint8)
    expected[:, :, 10:100] = VOXELS[1:10, :, 10:100]
    np.testing.assert_array_equal(back, expected)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("resource.frame.x=[0,50]", r"would lie at x 0:130.*has x 0:50"),
        ("resource.frame.x=[-5,200]", r"resource\.frame\.x=\[-5, 200\]: .* below 0"),
        ("resource.frame.y=[0,2147483648]", r"would end at \(130, 2147483648, 51\), .* counts to 2,147,483,647"),
        ("resource.frame.z=[31,60]", r"would lie at .* z 30:51.*z 31:60"),
    ],
)
def test_a_frame_that_cannot_be(frame: str, words: str, planes: Path, at: list[str], client: BossClient) -> None:
    with pytest.raises(JobError, match=words):
        upload(planes, at, frame)
    assert client.collection(collection_of(at)) is None


def test_a_channel_whose_base_is_2(planes: Path, at: list[str], client: BossClient, tmp_path: Path) -> None:
    """In a frame that starts above 0: the BOSS compares starts with that of level 0 at every level."""
    upload(planes, at, "resource.resolution=2", "source.origin=[40,50,30]")
    collection = collection_of(at)
    frame = client.frame(f"{collection}_run")
    assert frame is not None
    assert frame.box == Box.of((40, 4 * 170), (50, 4 * 140), (30, 51))
    assert frame.voxel_size == (4, 4, 40)
    back = download(tmp_path / "out", at, "resource.resolution=2", "extent.x=[60,170]")
    np.testing.assert_array_equal(np.stack(list(back.values())), VOXELS[:, :, 20:])
    with pytest.raises(JobError, match=r"resource\.resolution=0: .* has resolutions 2 to 3"):
        download(tmp_path / "none", at)


def test_a_public_channel_in_a_private_experiment(
    planes: Path, at: list[str], host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(planes, at)
    collection = collection_of(at)
    make_public(host, f"{collection}/experiment/run/channel/em")
    monkeypatch.setenv("NDEX_TEST_PUBLIC", "public")
    anonymous = [*at, "boss.token_env=NDEX_TEST_PUBLIC"]
    back = download(tmp_path / "out", anonymous)
    np.testing.assert_array_equal(np.stack(list(back.values())), VOXELS)
    part = ["extent.x=[3,9]", "extent.y=[0,5]", "extent.z=[30,33]"]
    assert len(download(tmp_path / "part", [*anonymous, "resource.frame.name=some_other"], *part)) == 3
    with pytest.raises(AccessError, match="metadata"):
        download(tmp_path / "original", anonymous, "source.coordinates=original")
    with pytest.raises(AccessError, match="experiment"):
        download(tmp_path / "other", anonymous, "resource.channel=em2")


def make_public(host: str, path: str) -> None:
    import requests

    headers = {"Authorization": f"Token {os.environ[TOKEN_ENV]}"}
    answer = requests.put(f"http://{host}/v1/collection/{path}", json={"public": True}, headers=headers, timeout=9)
    assert answer.status_code == 200
