"""The command against a real embedded BOSS and real files: what goes in comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

import ndex
from ndex.__main__ import main
from ndex.events import Event, Note, TaskDone
from ndex.server.process import TOKEN_ENV, running

MEDULLA = Path(__file__).parent / "data" / "medulla"
Command = Callable[..., int]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A BOSS that stays up for all tests of this file."""
    with running(tmp_path_factory.mktemp("boss")) as address:
        yield address


def sections(folder: Path) -> np.ndarray:
    """The planes in a folder, in the order of their names."""
    read = {".png": lambda path: np.asarray(Image.open(path)), ".tif": tifffile.imread}
    return np.stack([read[path.suffix](path) for path in sorted(folder.iterdir()) if path.suffix in read])


def at(host: str, channel: str) -> list[str]:
    """Overrides for a channel of the BOSS that is up."""
    return [
        *("boss=custom", f"boss.host={host}", "boss.protocol=http", f"boss.token_env={TOKEN_ENV}"),
        *(f"resource.collection={channel}", "resource.experiment=run", "resource.channel=em"),
        "resource.voxel_size=[1,1,1]",
    ]


def write_planes(folder: Path, volume: np.ndarray, first: int) -> None:
    folder.mkdir()
    for z, plane in enumerate(volume, first):
        tifffile.imwrite(folder / f"p_{z:04d}.tif", plane, rowsperstrip=7, compression="zlib")


@pytest.mark.parametrize(
    ("folder", "pattern", "channel"),
    [("em", "iso.%04d.png", []), ("bodies", "iso.%04d.tif", ["resource.channel_type=annotation"])],
)
def test_real_sections_come_back_equal(
    folder: str, pattern: str, channel: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resource = ["resource.collection=c", "resource.experiment=e", f"resource.channel={folder}"]
    up = [
        f"source.path={MEDULLA / folder}",
        f"source.pattern={pattern}",
        "resource.voxel_size=[10,10,10]",
        "verify=full",
    ]
    assert main(["source=images", *up, *resource, *channel]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == f"Using the embedded BOSS in {here / '.ndex' / 'boss'}"
    assert last.strip().startswith("the data is in c/e/")
    assert main(["destination=images", "destination.path=back", *resource]) == 0
    original = sections(MEDULLA / folder)
    back = sections(here / "back")
    assert np.array_equal(original, back)
    assert back.dtype == (np.uint64 if channel else np.uint8)
    name = min(path.name for path in (here / "back").iterdir())
    assert name == f"c_e_{folder}_x0-250_y0-250_z2600.tif"


def test_a_second_run_has_nothing_left_and_action_verify_agrees(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = ["source=images", f"source.path={MEDULLA / 'em'}", "source.pattern=iso.%04d.png"]
    job += ["resource.collection=c", "resource.experiment=e", "resource.channel=em", "resource.voxel_size=[1,1,1]"]
    assert main(job) == 0
    capsys.readouterr()
    assert main(job) == 0
    assert "nothing is left to do" in capsys.readouterr().out
    assert main([*job, "action=verify"]) == 0
    assert main([*job, "action=status"]) == 0
    assert "1 of 1 tasks done, 0 left" in capsys.readouterr().out


dtypes = st.sampled_from(["uint8", "uint16", "uint64"])


def round_trip(host: str, folder: Path, seed: int, dtype: str, backend: str) -> None:
    """A volume of odd size at an odd place, there and back in an odd part."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.choice([1, 3, 17, 40], 1)) + tuple(
        int(n) for n in rng.choice([1, 9, 520, 700], 2)
    )
    start = [int(n) for n in rng.integers(0, 600, 3)]
    volume = rng.integers(0, 2, shape).astype(dtype) * rng.integers(0, 250, shape).astype(dtype)
    folder.mkdir()
    write_planes(folder / "in", volume, start[2])
    resource = at(host, f"odd{seed}_{dtype}_{backend}")
    resource += [f"parallel={backend}", "parallel.n_jobs=2", f"journal={folder / 'journal'}"]
    kind = "annotation" if dtype == "uint64" else "image"
    up = ndex.compose(
        None, "source=images", f"source.path={folder / 'in'}", "source.pattern=p_%04d.tif", f"source.origin={start}",
        f"resource.channel_type={kind}", "verify=full", *resource,
    )  # fmt: skip
    assert ndex.run(up).exit_code == 0
    low = [int(rng.integers(0, n)) for n in reversed(shape)]
    high = [int(rng.integers(a + 1, n + 1)) for a, n in zip(low, reversed(shape), strict=True)]
    part = [f"extent.{axis}=[{o + a},{o + b}]" for axis, o, a, b in zip("xyz", start, low, high, strict=True)]
    down = ndex.compose(
        None, "destination=images", f"destination.path={folder / 'out'}", "verify=full", *part, *resource
    )
    assert ndex.run(down).exit_code == 0
    expected = volume[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    assert np.array_equal(sections(folder / "out"), expected)


@settings(max_examples=12, deadline=None, phases=[Phase.generate], derandomize=True)
@given(seed=st.integers(0, 10**6), dtype=dtypes, backend=st.sampled_from(["serial", "threads"]))
def test_odd_extents_come_back_equal(
    host: str, tmp_path_factory: pytest.TempPathFactory, seed: int, dtype: str, backend: str
) -> None:
    round_trip(host, tmp_path_factory.mktemp("odd") / "x", seed, dtype, backend)


@pytest.mark.parametrize("dtype", ["uint8", "uint64"])
def test_process_workers_give_the_same(host: str, tmp_path: Path, dtype: str) -> None:
    round_trip(host, tmp_path / "x", 5, dtype, "processes")


def test_more_than_one_request_and_all_axes_crossed(host: str, here: Path) -> None:
    rng = np.random.default_rng(1)
    volume = rng.integers(1, 255, (33, 1100, 1100), np.uint8)
    write_planes(here / "in", volume, 7)
    up = ndex.compose(
        None, "source=images", "source.path=in", "source.pattern=p_%04d.tif", "blocks.x=512", "blocks.y=512",
        "verify=full", "offset=[30,40,50]", *at(host, "crossing"),
    )  # fmt: skip
    plan = ndex.plan(up)
    assert plan.requests == 3 * 3 * 3
    assert ndex.run(up).exit_code == 0
    down = ndex.compose(
        None, "destination=images", "destination.path=out", "destination.compression=none", *at(host, "crossing")
    )
    events: list[Event] = []
    assert ndex.run(down, [events.append]).exit_code == 0
    back = sections(here / "out")
    assert np.array_equal(back, volume)
    assert min(path.name for path in (here / "out").iterdir()) == "crossing_run_em_x30-1130_y40-1140_z0057.tif"


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("action", ["plan", "status"])
def test_looking_touches_nothing(action: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = ["source=images", f"source.path={MEDULLA / 'em'}", "source.pattern=iso.%04d.png", f"action={action}"]
    job += ["resource.collection=c", "resource.experiment=e", "resource.channel=em", "resource.voxel_size=[1,1,1]"]
    assert main(job) == 0
    assert tree(here) == set()
    assert main(["-m", *job, "shard.count=2", "shard.index=0,1"]) == 0
    assert tree(here) == set()
    if action == "plan":
        out = capsys.readouterr().out
        assert "x          0 to 250" in out
        assert "a plan; nothing was touched" in out


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ndex", *arguments, "report.format=json"], cwd=cwd, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(ndex.__file__).parents[1])},
    )  # fmt: skip


def run_until_killed(arguments: list[str], cwd: Path, tasks: int) -> set[int]:
    """Indexes of the tasks that were reported as done before the process was killed."""
    process = start(*arguments, cwd=cwd)
    assert process.stdout is not None
    done = set()
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "TaskDone":
            done.add(event["index"])
            if len(done) == tasks:
                break
    process.kill()
    process.communicate()
    return done


def test_after_kill_9_only_what_was_missing_is_transferred(host: str, here: Path) -> None:
    rng = np.random.default_rng(3)
    volume = rng.integers(1, 255, (16 * 24, 600, 600), np.uint8)
    write_planes(here / "in", volume, 0)
    up = ["source=images", "source.path=in", "source.pattern=p_%04d.tif", *at(host, "killed"), "parallel=serial"]
    down = ["destination=images", "destination.path=out", *at(host, "killed"), "parallel=serial"]
    for arguments in (up, down):
        killed = run_until_killed(arguments, here, tasks=6)
        events: list[Event] = []
        result = ndex.run(ndex.compose(None, *arguments), [events.append])
        again = {event.index for event in events if isinstance(event, TaskDone)}
        assert (result.exit_code, result.tasks, result.done + result.resumed) == (0, 24, 24)
        assert len(killed) <= result.resumed < 24
        assert not again & killed
    assert np.array_equal(sections(here / "out"), volume)
    assert len(list((here / "out").iterdir())) == len(volume)


@pytest.mark.parametrize("kept", [0, 4, 150, -1])
def test_a_damaged_file_fails_its_task_and_no_other(
    kept: int, host: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_planes(here / "in", np.full((48, 64, 64), 9, np.uint8), 0)
    damaged = here / "in" / "p_0020.tif"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:kept])
    job = ["source=images", "source.path=in", "source.pattern=p_%04d.tif", *at(host, f"damaged{kept % 1000}")]
    assert main(job) == 1
    out, _ = capsys.readouterr()
    assert "p_0020.tif" in out
    assert "2 of 3 tasks transferred" in out
    damaged.write_bytes(whole)
    assert main(job) == 0
    assert "1 of 1 tasks transferred" in capsys.readouterr().out


def test_a_file_that_vanishes_fails_its_task_and_no_other(host: str, here: Path) -> None:
    write_planes(here / "in", np.full((48, 64, 64), 9, np.uint8), 0)
    job = ndex.compose(
        None, "source=images", "source.path=in", "source.pattern=p_%04d.tif", *at(host, "vanished"), "parallel=serial"
    )

    def remove(event: Event) -> None:
        (here / "in" / "p_0020.tif").unlink(missing_ok=True)

    result = ndex.run(job, [remove])
    assert (result.exit_code, result.done) == (1, 2)
    assert "p_0020.tif" in result.failed[0].reason


@pytest.mark.parametrize("downsample", ["true", "wait"])
def test_lower_resolutions_are_built_after_the_last_shard(downsample: str, here: Path) -> None:
    """The embedded BOSS, which ends with the job, is waited for in any case."""
    rng = np.random.default_rng(2)
    write_planes(here / "in", rng.integers(1, 255, (33, 90, 1100), np.uint8), 0)
    resource = ["resource.collection=c", "resource.experiment=e", "resource.channel=em", "resource.voxel_size=[4,4,40]"]
    up = ["source=images", "source.path=in", "source.pattern=p_%04d.tif", f"resource.downsample={downsample}"]
    said: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Note):
            said.append(event.text)

    for index in range(2):
        assert not [text for text in said if "lower resolutions" in text]
        job = ndex.compose(None, *up, *resource, "shard.count=2", f"shard.index={index}")
        assert ndex.run(job, [listen]).exit_code == 0
    assert "The lower resolutions of c/e/em are there." in said
    assert any(text.startswith("To look at c/e/em, bring a part of it back") for text in said)
    down = ["destination=images", "destination.path=out", "resource.resolution=1", *resource]
    assert ndex.run(ndex.compose(None, *down)).exit_code == 0
    assert sections(here / "out").shape == (33, 45, 550)
    said.clear()
    assert ndex.run(job, [listen]).exit_code == 0
    assert any("does not renew" in text for text in said)
