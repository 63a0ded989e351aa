"""Lower resolutions: their geometry (boss-api 6), their voxels, and jobs that outlive a server (boss-api 10)."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from caller import FRAME, Caller, serving

from ndex.geometry import Box
from ndex.server import downsample, hierarchy
from ndex.server.records import Experiment, Frame
from ndex.server.volume import Layer, Volume

DOWNSAMPLE = "/v1/downsample/lab/run7/em"


def experiment(size: tuple[float, float, float], isotropic: bool = False) -> Experiment:
    frame = Frame(Box.of((0, 1001), (0, 700), (0, 50)), size)
    return Experiment(frame, 6, isotropic, 1)


@pytest.mark.parametrize(
    ("size", "level"),
    [
        ((4, 4, 40), 3),
        ((5, 5, 40), 3),
        ((4, 4, 35), 3),
        ((8, 8, 24), 2),
        ((6, 6, 9), 1),
        ((1, 1, 1), 0),
        ((10, 10, 4), 0),
    ],
)
def test_isotropic_level(size: tuple[float, float, float], level: int) -> None:
    assert hierarchy.iso_level(experiment(size)) == level


@pytest.mark.parametrize(
    ("isotropic", "iso", "sizes", "extents"),
    [
        (False, False, [40, 40, 40, 40, 40, 40], [50, 50, 50, 50, 50, 50]),
        (False, True, [40, 40, 40, 40, 80, 160], [50, 50, 50, 50, 25, 13]),
        (True, False, [40, 80, 160, 320, 640, 1280], [50, 25, 13, 7, 4, 2]),
        (True, True, [40, 80, 160, 320, 640, 1280], [50, 25, 13, 7, 4, 2]),
    ],
)
def test_worked_example(boss: Caller, isotropic: bool, iso: bool, sizes: list[int], extents: list[int]) -> None:
    """The table of boss-api 6."""
    method = "isotropic" if isotropic else "anisotropic"
    boss.make_experiment(num_hierarchy_levels=6, hierarchy_method=method)
    boss.make_channel()
    answer = boss("GET", f"{DOWNSAMPLE}?iso={iso}").json()
    plane = [(1001, 700), (501, 350), (251, 175), (126, 88), (63, 44), (32, 22)]
    assert answer["extent"] == {str(i): [*plane[i], extents[i]] for i in range(6)}
    assert answer["voxel_size"] == {str(i): [5.0 * 2**i, 5.0 * 2**i, float(sizes[i])] for i in range(6)}
    assert answer["cuboid_size"] == {str(i): [512, 512, 16] for i in range(6)}
    assert (answer["status"], answer["num_hierarchy_levels"]) == ("NOT_DOWNSAMPLED", 6)


def finish(boss: Caller, name: str = "em") -> None:
    """Ask for the levels and wait for them."""
    path = f"/v1/downsample/lab/run7/{name}"
    answer = boss("POST", path)
    assert (answer.status_code, answer.content) == (201, b"")
    wait(boss, path, "DOWNSAMPLED")


def wait(boss: Caller, path: str, wanted: str) -> None:
    pause = threading.Event()
    for _ in range(1000):
        status = boss("GET", path).json()["status"]
        if status == wanted:
            return
        assert status in ("QUEUED", "IN_PROGRESS"), status
        pause.wait(0.01)
    raise AssertionError(f"still {status}")


def brute_force(array: np.ndarray, factor_z: int) -> np.ndarray:
    """Mean of 2 x 2, the edge repeated, every second plane for a factor of 2."""
    array = array[::factor_z].astype(float)
    array = np.pad(array, [(0, 0), (0, array.shape[1] % 2), (0, array.shape[2] % 2)], "edge")
    depth, height, width = array.shape
    return np.floor(array.reshape(depth, height // 2, 2, width // 2, 2).mean((2, 4)) + 0.5)


@pytest.mark.parametrize("method", ["anisotropic", "isotropic"])
def test_levels_of_an_image(boss: Caller, method: str) -> None:
    frame = FRAME | {"x_stop": 1051, "y_stop": 87, "z_stop": 19, "z_voxel_size": 5}
    boss.make_experiment(frame, num_hierarchy_levels=3, hierarchy_method=method)
    boss.make_channel(datatype="uint16")
    array = np.random.default_rng(0).integers(0, 60000, (19, 87, 1051), "uint16")
    boss.write(array, [(0, 1051), (0, 87), (0, 19)])
    finish(boss)
    for iso in (False, True):
        expected = array
        for level in (1, 2):
            expected = brute_force(expected, 2 if iso or method == "isotropic" else 1)
            depth, height, width = expected.shape
            ranges = [(0, width), (0, height), (0, depth)]
            got = boss.read(ranges, level=level, dtype="uint16", query=f"?iso={iso}")
            np.testing.assert_array_equal(got, expected)


def test_labels_are_voted_for(boss: Caller) -> None:
    boss.make_experiment(num_hierarchy_levels=2)
    boss.make_channel("em", "uint64", "annotation")
    labels = np.array([[[7, 7, 0, 0, 1, 2], [8, 9, 0, 5, 2, 3]]], "uint64") << np.uint64(50)
    boss.write(labels, [(0, 6), (0, 2), (0, 1)])
    assert boss.fault("GET", boss.cutout([(0, 3), (0, 1), (0, 1)], level=1)) == (404, 9000)
    finish(boss)
    got = boss.read([(0, 3), (0, 1), (0, 1)], level=1, dtype="uint64")
    assert (got >> np.uint64(50)).tolist() == [[[7, 5, 2]]]


def test_labels_of_a_thin_plane_survive_when_z_is_halved() -> None:
    labels = np.zeros((2, 2, 2), "uint64")
    labels[1] = 3
    assert downsample.reduced(labels, 2, annotation=True).tolist() == [[[3]]]


def test_a_second_run_forgets_what_was_erased(boss: Caller, tmp_path: Path) -> None:
    boss.make_experiment(num_hierarchy_levels=2)
    boss.make_channel()
    box = [(0, 10), (0, 10), (0, 10)]
    boss.write(np.full((10, 10, 10), 9, "uint8"), box)
    finish(boss)
    boss("PUT", boss.cutout(box).replace("cutout", "cutout/to_black"))
    boss.write(np.full((1, 1, 1), 9, "uint8"), [(600, 601), (0, 1), (0, 1)])
    finish(boss)
    assert not boss.read([(0, 5), (0, 5), (0, 10)], level=1).any()
    assert boss.read([(300, 301), (0, 1), (0, 1)], level=1).item() == 9 // 4


def test_states(boss: Caller) -> None:
    boss.make_experiment(num_hierarchy_levels=2)
    boss.make_channel()
    finish(boss)
    assert boss.fault("POST", DOWNSAMPLE) == (409, 2006)
    assert boss.fault("DELETE", DOWNSAMPLE) == (409, 2006)


def test_no_levels_where_x_and_y_differ(boss: Caller) -> None:
    boss.make_experiment(FRAME | {"y_voxel_size": 6})
    boss.make_channel()
    assert boss.fault("GET", DOWNSAMPLE) == (400, 9001)
    assert boss.fault("POST", DOWNSAMPLE) == (400, 9001)


@pytest.mark.parametrize("left", ["QUEUED", "IN_PROGRESS"])
def test_a_job_that_a_dead_server_left_is_done_by_the_next(tmp_path: Path, left: str) -> None:
    root = tmp_path / "root"
    with serving(root) as url:
        boss = Caller(url)
        boss.make_experiment(num_hierarchy_levels=2)
        boss.make_channel()
        boss.write(np.full((4, 4, 4), 9, "uint8"), [(0, 4), (0, 4), (0, 4)])
    with sqlite3.connect(root / "catalog.sqlite") as db:
        db.execute("UPDATE channel SET downsample_status = ?", (left,))
    db.close()
    with serving(root) as url:
        boss = Caller(url)
        wait(boss, DOWNSAMPLE, "DOWNSAMPLED")
        assert boss.read([(0, 2), (0, 2), (0, 4)], level=1).min() == 9


def test_a_cancelled_job_stops(tmp_path: Path) -> None:
    """`compute` asks before each cuboid whether it is still wanted."""
    volume = Volume(tmp_path)
    layer = Layer(1, 0, 0, np.dtype("uint8"))
    for x in (0, 1024, 2048):
        volume.write(layer, Box.of((x, x + 1), (0, 1), (0, 1)), np.full((1, 1, 1), 9, "uint8"))
    channel = downsample.Channel(1, "em", False, False, layer.dtype, 0, 0, "IN_PROGRESS", experiment((5, 5, 40)))
    answers = iter([True, False])
    assert downsample.compute(volume, channel, lambda: next(answers)) is False
    assert len(list(volume.cuboids(Layer(1, 1, 0, layer.dtype)))) == 1


def test_a_job_that_fails_says_so(boss: Caller, tmp_path: Path) -> None:
    boss.make_experiment(num_hierarchy_levels=2)
    boss.make_channel()
    boss.write(np.full((4, 4, 4), 9, "uint8"), [(0, 4), (0, 4), (0, 4)])
    (cuboid,) = tmp_path.rglob("*.blosc")
    cuboid.write_bytes(b"damaged")
    assert boss("POST", DOWNSAMPLE).status_code == 201
    wait(boss, DOWNSAMPLE, "FAILED")
    cuboid.unlink()
    finish(boss)
