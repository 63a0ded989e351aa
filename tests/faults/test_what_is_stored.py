"""What was sent is what is stored: lost and changed writes are found, repaired once, else reported; empty blocks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import wire_faults as wire
from proxy import Fault, Proxy, first, nothing
from routes import SIDE, Route, route, uploaded

from ndex import plan, run
from ndex.events import Result
from ndex.job import Blocks

TASKS = 6
SPOILED = [wire.DROPPED, wire.CHANGED]


def name_of(fault: Fault) -> str:
    return fault.name


def differing(result: Result) -> list[int]:
    assert all("blocks at the destination differ" in task.reason for task in result.failed)
    return sorted(task.index for task in result.failed)


def holds(made: Route, channel: str = "em") -> bool:
    made.changes["resource"] = made.upload(channel).resource
    assert run(made.download(f"look_{channel}")).exit_code == 0
    return np.array_equal(made.back(f"look_{channel}"), made.volume)


@pytest.mark.parametrize("fault", SPOILED, ids=name_of)
def test_what_was_not_stored_is_stored_once_more(fault: Fault, proxy: Proxy, folder: Path) -> None:
    made = route(proxy, folder)
    proxy.script = first(fault, "write", of=2)
    result = run(made.upload(verify="full"))
    assert (result.exit_code, result.done, result.verified, result.repaired) == (0, TASKS, TASKS, 2)
    assert (proxy.asked["write"], proxy.asked["read"]) == (TASKS + 2, TASKS + 2)
    assert holds(made)


@pytest.mark.parametrize("fault", SPOILED, ids=name_of)
def test_what_is_never_stored_is_reported(fault: Fault, proxy: Proxy, folder: Path) -> None:
    made = route(proxy, folder)
    proxy.script = first(fault, "write", times=99, of=2)
    result = run(made.upload(verify="full"))
    assert (result.exit_code, result.done, len(differing(result))) == (1, TASKS - 2, 2)
    assert proxy.asked["write"] == TASKS + 2
    proxy.script = nothing
    assert run(made.upload(verify="full")).done == 2
    assert holds(made)


def test_a_sample_is_drawn_over_the_whole_volume(proxy: Proxy, folder: Path) -> None:
    made = route(proxy, folder, 32)
    proxy.script = first(wire.CHANGED, "write", times=99)
    result = run(made.upload(verify="sample"))
    found = differing(result)
    assert [index // 8 for index in found] == [0, 1, 2, 3]
    assert (result.exit_code, result.done, proxy.asked["write"]) == (1, 28, 32 + 4)


@pytest.mark.parametrize("source", ["there", "gone"])
def test_what_is_verified_later_is_found_and_done_again(source: str, proxy: Proxy, folder: Path) -> None:
    """Also from the checksums of the journal, when the source is gone."""
    made = route(proxy, folder)
    proxy.script = first(wire.CHANGED, "write", times=99, of=2)
    assert run(made.upload()).exit_code == 0
    proxy.script = nothing
    if source == "gone":
        (folder / "in").rename(folder / "away")
    result = run(made.upload(action="verify"))
    assert (result.exit_code, result.verified, len(differing(result))) == (1, TASKS - 2, 2)
    if source == "gone":
        (folder / "away").rename(folder / "in")
    assert run(made.upload()).done == 2
    shutil.rmtree(folder / "in")
    assert run(made.upload(action="verify")).exit_code == 0


def test_what_changed_on_the_way_down_is_found_by_looking_at_both_ends(proxy: Proxy, folder: Path) -> None:
    """A frame has no checksum. What arrives wrong, but whole, is what the files then hold."""
    made = uploaded(proxy, folder)
    proxy.script = first(wire.VOXEL_OFF, "read", of=1)
    assert run(made.download(verify="full")).exit_code == 0
    proxy.script = nothing
    result = run(made.download(action="verify"))
    assert (result.exit_code, len(differing(result))) == (1, 1)
    assert run(made.download()).done == 1
    assert np.array_equal(made.back(), made.volume)


@pytest.mark.parametrize("host", ["there", "away"])
def test_files_that_change_later_are_found(host: str, proxy: Proxy, folder: Path) -> None:
    made = uploaded(proxy, folder)
    assert run(made.download()).exit_code == 0
    path = folder / "out" / "p_0040.tif"
    plane = tifffile.imread(path)
    description = tifffile.TiffFile(path).pages[0].description  # type: ignore[union-attr]
    plane[5, 5] ^= 1
    tifffile.imwrite(path, plane, description=description, metadata=None)
    if host == "away":
        proxy.go_away()
    result = run(made.download(action="verify"))
    assert (result.exit_code, differing(result)) == (1, [2])


def with_blocks(proxy: Proxy, folder: Path, volume: np.ndarray) -> Route:
    """Four blocks a task."""
    made = Route(proxy.host, folder, volume, {"blocks": Blocks(SIDE // 2, SIDE // 2, 16)})
    made.write_planes()
    return made


def test_empty_blocks_are_judged_by_content_and_counted(proxy: Proxy, folder: Path) -> None:
    """Two labels of 2^63 have the sum 0."""
    volume = np.zeros((32, SIDE, SIDE), np.uint64)
    volume[3, 2, 5:7] = 1 << 63
    volume[20, SIDE - 1, SIDE - 1] = 1
    made = with_blocks(proxy, folder, volume)
    assert plan(made.upload()).requests == 8
    result = run(made.upload(verify="full"))
    assert (result.exit_code, result.empty, proxy.asked["write"]) == (0, 6, 2)
    assert holds(made)


@pytest.mark.parametrize(("empty", "erased", "code"), [("erase", 2 * 4, 0), ("skip", 0, 1)])
def test_zeros_over_older_data(empty: str, erased: int, code: int, proxy: Proxy, folder: Path) -> None:
    """A BOSS keeps what lies under zeros (boss-api 7.7): they are blacked out, or the difference is said."""
    made = with_blocks(proxy, folder, np.full((32, SIDE, SIDE), 7, np.uint8))
    assert run(made.upload(verify="full")).exit_code == 0
    made.volume[:, :, : SIDE // 2] = 0
    made.volume[4, 4, SIDE - 1] = 0
    shutil.rmtree(folder / "in")
    made.write_planes()
    proxy.reset_counts()
    result = run(made.upload(verify="full", empty=empty, journal=folder / "another"))
    assert (result.exit_code, proxy.asked["erase"]) == (code, 2 * 2 + 1 if erased else 0)
    if code:
        assert "empty=erase" in result.failed[0].reason
    assert holds(made) == (code == 0)
