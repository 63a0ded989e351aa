"""From one BOSS to another, or within one: every way of naming the two ends, and what arrives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile

import ndex
from ndex.boss.client import BossClient
from ndex.boss.records import Channel, Collection, CoordinateFrame, Experiment
from ndex.errors import JobError
from ndex.geometry import Box
from ndex.job import Boss, Retry
from ndex.server.process import address_of, child_environment, own_group, stop

RUN = Box.of((100, 1300), (40, 700), (7, 45))
"""What the source holds: odd, and of several requests."""
SEEN = Box.of((0, 1300), (0, 700), (0, 45))
"""Its frame."""


@contextmanager
def serving(folder: Path, token: str) -> Iterator[Boss]:
    """A BOSS with a token of its own, which is in the environment as the name of the folder in capitals."""
    folder.mkdir()
    variable = f"NDEX_TEST_{folder.name.upper()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, token)
        command = [sys.executable, "-P", "-m", "ndex.server", "--root", str(folder), "--token-env", variable]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with open(os.devnull, "w+b") as stderr:
            process = subprocess.Popen(
                [*command, "--until-eof"], stderr=stderr, env=child_environment(), **pipes, **own_group()
            )
            try:
                host = address_of(process, folder, stderr)
                yield Boss(host=host, protocol="http", token_env=variable, root=None)
            finally:
                stop(process)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Boss, Boss]]:
    """Two that do not know each other's tokens; the first holds `lab/run/em`, `seg` and, thrice, `live/run/em`."""
    folder = tmp_path_factory.mktemp("bosses")
    with ExitStack() as stack:
        one = stack.enter_context(serving(folder / "one", "token-of-one"))
        two = stack.enter_context(serving(folder / "two", "token-of-two"))
        fill(client_of(one))
        yield one, two


def client_of(boss: Boss) -> BossClient:
    return BossClient.connect(boss, Retry(attempts=1))


def noise(dtype: str, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 200, RUN.shape).astype(dtype)


SAMPLES = [noise("uint8", seed) for seed in range(3)]
EM, SEG = SAMPLES[0], noise("uint64") % 9


def fill(client: BossClient) -> None:
    for name, samples in (("lab", 1), ("live", 3)):
        client.create_collection(Collection(name))
        client.create_frame(CoordinateFrame(f"{name}_run", SEEN, (4.0, 4.0, 40.0), "nanometers"))
        client.create_experiment(Experiment(name, "run", f"{name}_run", 3, False, samples))
        client.create_channel(em := Channel(name, "run", "em", "image", np.dtype("uint8")))
        for t in range(samples):
            client.put_cutout(em, 0, RUN, t if samples > 1 else None, SAMPLES[t])
    client.create_channel(seg := Channel("lab", "run", "seg", "annotation", np.dtype("uint64")))
    client.put_cutout(seg, 0, RUN, None, SEG)


def reach(boss: Boss, prefix: str = "") -> list[str]:
    return [f"{prefix}boss.{key}={getattr(boss, key)}" for key in ("host", "protocol", "token_env")]


def channel(path: str, prefix: str = "") -> list[str]:
    names = zip(("collection", "experiment", "channel"), path.split("/"), strict=True)
    return [f"{prefix}resource.{key}={name}" for key, name in names]


def run(*overrides: str, journal: Path, exit_code: int = 0) -> None:
    result = ndex.run(ndex.compose(None, f"journal={journal}", "verify=full", *overrides))
    assert result.exit_code == exit_code, result


def within(boss: Boss, source: str, destination: str) -> list[str]:
    """From one channel of a BOSS to another."""
    return ["boss=custom", *reach(boss), *channel(destination), *channel(source, "source.")]


def between(one: Boss, two: Boss, source: str, destination: str) -> list[str]:
    return ["boss=custom", *reach(two), *reach(one, "source."), *channel(destination), *channel(source, "source.")]


def stored(boss: Boss, path: str, box: Box, t: int | None = None) -> np.ndarray:
    client = client_of(boss)
    there = client.channel(*path.split("/"))
    assert there is not None
    return client.get_cutout(there, 0, box, t)


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_to_another_host_with_another_token(backend: str, servers: tuple[Boss, Boss], tmp_path: Path) -> None:
    one, two = servers
    job = between(one, two, "lab/run/em", f"copy_{backend}/run/em")
    part = ["extent.x=[90,1201]", "extent.y=[41,600]", "extent.z=[7,40]", "offset=[3,5,2]"]
    run(*job, *part, f"parallel={backend}", "parallel.n_jobs=2", journal=tmp_path)
    box = Box.of((90, 1201), (41, 600), (7, 40))
    expected = np.zeros(SEEN.shape, np.uint8)
    expected[SEEN.slices(RUN)] = EM
    there = stored(two, f"copy_{backend}/run/em", box.shift(box.start._replace(x=3, y=5, z=2)))
    np.testing.assert_array_equal(there, expected[SEEN.slices(box)])


def test_a_copy_takes_over_the_size_of_voxels(servers: tuple[Boss, Boss], tmp_path: Path) -> None:
    one, two = servers
    run(*between(one, two, "lab/run/em", "sized/run/em"), "extent.z=[0,2]", journal=tmp_path)
    frame = client_of(two).frame("sized_run")
    assert frame is not None
    assert (frame.voxel_size, frame.voxel_unit) == ((4, 4, 40), "nanometers")


def test_the_other_end_is_refused_the_token_of_this_one(
    servers: tuple[Boss, Boss], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = servers
    job = between(one, two, "lab/run/em", "stolen/run/em")
    with pytest.raises(JobError, match=r"would both be sent the token in .*_TWO\. .*source\.boss\.token_env"):
        ndex.compose(None, *job, f"source.boss.token_env={two.token_env}")


def test_a_host_of_its_own_takes_no_token_over(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    job = ndex.compose(
        None, "boss=custom", "boss.host=lab.example.org", f"boss.token_file={tmp_path / 'token'}", "boss.timeout=7",
        "source.boss.host=api.bossdb.io", *channel("a/b/c"),
    )  # fmt: skip
    assert job.source.boss == Boss(host="api.bossdb.io", timeout=7)  # type: ignore[attr-defined]


def test_a_public_source_beside_the_embedded_boss() -> None:
    job = ndex.compose(None, "source.boss.host=api.bossdb.io", *channel("a/b/c"))
    assert job.source.boss == Boss(host="api.bossdb.io", protocol="https")  # type: ignore[attr-defined]
    assert job.boss.embedded


def test_two_folders_in_one_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for z in range(20):
        tifffile.imwrite(tmp_path / "in" / f"{z}.tif", SAMPLES[1][z, :60, :50])
    run(
        "source=images", "source.path=in", 'source.pattern="{z}.tif"', "boss.root=here", *channel("a/b/em"),
        "resource.voxel_size=[1,1,1]", journal=tmp_path / "journal",
    )  # fmt: skip
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "here").rglob("*")}
    run("source.boss.root=here", "boss.root=there", *channel("a/b/em"), journal=tmp_path / "journal")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "here").rglob("*")} == before
    run("destination=images", "destination.path=out", "boss.root=there", *channel("a/b/em"), journal=tmp_path / "j")
    back = np.stack([tifffile.imread(path) for path in sorted((tmp_path / "out").iterdir())])
    np.testing.assert_array_equal(back, SAMPLES[1][:20, :60, :50])


def test_a_folder_that_is_only_read_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(JobError, match=r"resource\.collection=a"):
        run("source.boss.root=typo", "destination=images", "destination.path=out", *channel("a/b/c"), journal=tmp_path)
    assert not list(tmp_path.iterdir())


def test_some_ids_into_a_second_channel(servers: tuple[Boss, Boss], tmp_path: Path) -> None:
    one, _ = servers
    run(*within(one, "lab/run/seg", "lab/run/few"), "source.filter=[2,5]", journal=tmp_path)
    expected = np.where(np.isin(SEG, (2, 5)), SEG, 0)
    np.testing.assert_array_equal(stored(one, "lab/run/few", RUN), expected)


def test_more_ids_than_a_request_can_name(servers: tuple[Boss, Boss], tmp_path: Path) -> None:
    one, _ = servers
    ids = [2, 5, *range(10_000, 11_000)]
    run(*within(one, "lab/run/seg", "lab/run/many"), f"source.filter={ids}".replace(" ", ""), journal=tmp_path)
    np.testing.assert_array_equal(stored(one, "lab/run/many", RUN), np.where(np.isin(SEG, (2, 5)), SEG, 0))


@pytest.mark.parametrize("ids", ["[0]", "[-3]", "[18446744073709551616]", "[]", "[em]"])
def test_impossible_ids(ids: str, servers: tuple[Boss, Boss]) -> None:
    with pytest.raises(JobError, match=r"source\.filter="):
        ndex.compose(None, *within(servers[0], "lab/run/seg", "lab/run/few"), f"source.filter={ids}")


def test_a_lower_resolution_becomes_a_channel_of_its_own(servers: tuple[Boss, Boss], tmp_path: Path) -> None:
    one, two = servers
    client = client_of(one)
    client.create_channel(small := Channel("lab", "run", "small", "image", np.dtype("uint8"), base=2))
    box = Box.of((0, 325), (0, 175), (0, 45))
    voxels = np.random.default_rng(5).integers(1, 99, box.shape, np.uint8)
    client.put_cutout(small, 2, box, None, voxels)
    job = between(one, two, "lab/run/small", "reduced/run/em")
    run(*job, "source.resource.resolution=2", journal=tmp_path)
    np.testing.assert_array_equal(stored(two, "reduced/run/em", box), voxels)
    frame = client_of(two).frame("reduced_run")
    assert frame is not None
    assert frame.voxel_size == (16, 16, 40)


def test_all_time_samples_and_some(servers: tuple[Boss, Boss], tmp_path: Path) -> None:
    one, two = servers
    run(*between(one, two, "live/run/em", "all/run/em"), journal=tmp_path)
    run(*between(one, two, "live/run/em", "some/run/em"), "extent.t=[1,3]", journal=tmp_path)
    for t, voxels in enumerate(SAMPLES):
        np.testing.assert_array_equal(stored(two, "all/run/em", RUN, t), voxels)
        np.testing.assert_array_equal(stored(two, "some/run/em", RUN, t), voxels if t else 0)


def test_time_samples_to_files_and_back(servers: tuple[Boss, Boss], tmp_path: Path) -> None:
    one, two = servers
    part = ["extent.x=[90,300]", "extent.y=[41,100]", "extent.z=[7,30]"]
    box = Box.of((90, 300), (41, 100), (7, 30))
    expected = np.zeros((3, *SEEN.shape), np.uint8)
    expected[(slice(None), *SEEN.slices(RUN))] = SAMPLES
    expected = expected[(slice(None), *SEEN.slices(box))]
    files = [f"destination.path={tmp_path / 'out'}", 'destination.pattern="{t:02d}_{z:03d}.tif"', "destination=images"]
    run("boss=custom", *reach(one), *channel("live/run/em"), *part, *files, journal=tmp_path / "journal")
    for (t, z), name in {(t, z): f"{t:02d}_{z:03d}.tif" for t in range(3) for z in range(7, 30)}.items():
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / name), expected[t, z - 7])
    assert len(list((tmp_path / "out").iterdir())) == 3 * 23
    back = ["source=images", f"source.path={tmp_path / 'out'}", 'source.pattern="{t:02d}_{z:03d}.tif"']
    there = ["boss=custom", *reach(two), *channel("again/run/em"), "resource.voxel_size=[4,4,40]"]
    run(*back, *there, "extent.t=[0,2]", "source.origin=[90,41,7]", journal=tmp_path / "journal")
    for t in range(2):
        np.testing.assert_array_equal(stored(two, "again/run/em", box, t), expected[t])


def test_files_of_one_name_for_several_times_are_refused(servers: tuple[Boss, Boss], tmp_path: Path) -> None:
    files = ["destination=images", f"destination.path={tmp_path}", 'destination.pattern="{z:03d}.tif"']
    with pytest.raises(JobError, match=r"3 time samples would have the same names"):
        run("boss=custom", *reach(servers[0]), *channel("live/run/em"), *files, journal=tmp_path)


@pytest.mark.parametrize(
    "same",
    [
        ["source.resource.channel=EM"],
        ["offset=[0,0,0]"],
        ["offset=[1,0,0]"],
        ["source.filter=[3]"],
        ["source.resource.iso=true"],
        ["source.boss.timeout=5"],
        ["source.boss.host=BOSS.example.org."],
        ["source.boss.host=boss.example.org:443"],
        ["source.boss.host=boss.example.org/"],
    ],
)
def test_a_channel_is_not_copied_onto_itself_however_it_is_spelled(same: list[str]) -> None:
    with pytest.raises(JobError, match="the same resource"):
        ndex.compose(None, "boss=custom", "boss.host=boss.example.org", *channel("lab/run/em"), *same)


@pytest.mark.parametrize("root", ["x/../here", "./here/", "link"])
def test_a_folder_is_the_same_however_it_is_spelled(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    if root == "link":
        (tmp_path / "link").symlink_to(tmp_path / "here")
    with pytest.raises(JobError, match="the same resource"):
        ndex.compose(None, "boss.root=here", f"source.boss.root={root}", *channel("lab/run/em"))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("source.resource.channel", "emm", "source.resource.channel=emm: the experiment lab/run on"),
        ("source.resource.resolution", "7", "source.resource.resolution=7: the channel lab/run/em has"),
        ("destination.resource.create", "false", "Give destination.resource.create=true to have it created"),
        ("destination.resource.datatype", "uint16", "destination.resource.datatype=uint16"),
        ("destination.resource.collection", "a/b", "destination.resource.collection='a/b': names"),
    ],
)
def test_what_is_wrong_names_the_key_of_that_end(
    key: str, value: str, said: str, servers: tuple[Boss, Boss], tmp_path: Path
) -> None:
    one, _ = servers
    ends = [*channel("lab/run/em", "source."), *channel("lab/run/new", "destination.")]
    with pytest.raises(JobError) as refused:
        ndex.run(ndex.compose(None, f"journal={tmp_path}", "boss=custom", *reach(one), *ends, f"{key}={value}"))
    assert said in str(refused.value)
    assert " resource." not in f" {refused.value}"
