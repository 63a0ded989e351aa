"""Voxels: what is read is what was written, for any boxes, in any order, on any side of the cuboids' walls."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from caller import FRAME, Caller
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ndex.errors import DamagedData
from ndex.geometry import Box
from ndex.server.volume import Layer, Volume

X, Y, Z = 600, 530, 20
FULL = [(0, 1001), (0, 700), (0, 50)]


def voxels(ranges: list[tuple[int, int]], dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    shape = [b - a for a, b in reversed(ranges[:3])]
    return np.random.default_rng(seed).integers(1, 200, shape, dtype)


def edges(size: int, wall: int) -> st.SearchStrategy[tuple[int, int]]:
    """Ranges that like to begin and end at a wall between cuboids."""
    points = st.one_of(st.integers(0, size), st.sampled_from([*range(0, size, wall), size]))
    return st.tuples(points, points).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: tuple(sorted(pair)))


boxes = st.builds(Box.of, edges(X, 512), edges(Y, 512), edges(Z, 16))
large = st.builds(Box.of, st.sampled_from([(0, X), (5, X)]), st.just((0, Y - 5)), st.sampled_from([(0, 16), (3, 18)]))
steps = st.lists(
    st.tuples(st.sampled_from(["write", "write", "erase"]), boxes | large, st.integers(0, 3)), min_size=2, max_size=5
)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, seen=boxes)
def test_any_history_reads_as_in_memory(dtype: str, steps: list, seen: Box, tmp_path_factory) -> None:
    volume = Volume(tmp_path_factory.mktemp("volume"))
    layer = Layer(1, 0, 0, np.dtype(dtype))
    whole = Box.of((0, X), (0, Y), (0, Z))
    model = np.zeros(whole.shape, dtype)
    for action, box, value in steps:
        part = model[whole.slices(box)]
        if action == "write":
            new = np.full(box.shape, value, dtype)
            if value < 3:  # in some planes; the rest of the time all of what was there is replaced
                new[value::2, value::3] = 0
            volume.write(layer, box, new)
            np.copyto(part, new, where=new != 0)
        else:
            volume.erase(layer, box)
            part[...] = 0
    np.testing.assert_array_equal(volume.read(layer, seen), model[whole.slices(seen)])
    assert all(volume.read(layer, cuboid).any() for cuboid in volume.cuboids(layer))


@pytest.mark.parametrize("dtype", ["uint8", "uint64"])
def test_one_zero_in_a_whole_cuboid_keeps_what_was_there(dtype: str, tmp_path: Path) -> None:
    volume, layer, box = Volume(tmp_path), Layer(1, 0, 0, np.dtype(dtype)), Box.of((0, 512), (0, 512), (0, 16))
    volume.write(layer, box, np.full(box.shape, 200, dtype))
    new = np.full(box.shape, 7, dtype)
    new[3, 5, 9] = 0
    volume.write(layer, box, new)
    new[3, 5, 9] = 200
    np.testing.assert_array_equal(volume.read(layer, box), new)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint64"])
@pytest.mark.parametrize("ranges", [[(0, 512), (0, 512), (0, 16)], [(300, 1001), (500, 530), (10, 33)]])
def test_what_is_written_is_read(boss: Caller, dtype: str, ranges: list[tuple[int, int]]) -> None:
    boss.make_experiment()
    boss.make_channel(datatype=dtype)
    array = voxels(ranges, dtype)
    answer = boss.write(array, ranges)
    assert (answer.status_code, answer.content) == (201, b"")
    np.testing.assert_array_equal(boss.read(ranges, dtype=dtype), array)


def test_what_was_not_written_is_zero(boss: Caller) -> None:
    boss.make_experiment(num_hierarchy_levels=3)
    boss.make_channel()
    assert not boss.read(FULL).any()
    assert not boss.read(FULL, level=2).any()


def test_zero_never_overwrites_and_to_black_does(boss: Caller) -> None:
    ranges = [(0, 512), (0, 512), (0, 16)]
    boss.make_experiment()
    boss.make_channel()
    old = voxels(ranges)
    boss.write(old, ranges)
    assert boss.write(np.zeros_like(old), ranges).status_code == 201
    np.testing.assert_array_equal(boss.read(ranges), old)
    hole = [(10, 300), (0, 512), (4, 5)]
    answer = boss("PUT", boss.cutout(hole).replace("cutout", "cutout/to_black"))
    assert (answer.status_code, answer.content) == (200, b"")
    old[4, :, 10:300] = 0
    np.testing.assert_array_equal(boss.read(ranges), old)


def test_zeros_among_others_leave_what_was_there(boss: Caller) -> None:
    ranges = [(500, 530), (0, 20), (10, 20)]
    boss.make_experiment()
    boss.make_channel()
    old, new = voxels(ranges), voxels(ranges, seed=1)
    new[:, ::2] = 0
    boss.write(old, ranges)
    boss.write(new, ranges)
    np.testing.assert_array_equal(boss.read(ranges), np.where(new != 0, new, old))


def test_a_write_that_fails_halfway_leaves_the_old_voxels(
    boss: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = [(0, 30), (0, 20), (10, 20)]
    boss.make_experiment()
    boss.make_channel()
    boss.write(voxels(ranges), ranges)
    whole = Path.write_bytes

    def full_disk(path: Path, content: bytes) -> int:
        whole(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    answer = boss.write(voxels(ranges, seed=1), ranges)
    assert (answer.status_code, answer.json()["code"]) == (400, 9001)
    assert "No space left" in answer.json()["message"]
    assert str(tmp_path) not in answer.text
    np.testing.assert_array_equal(boss.read(ranges), voxels(ranges))
    monkeypatch.undo()
    assert boss.write(voxels(ranges, seed=1), ranges).status_code == 201
    np.testing.assert_array_equal(boss.read(ranges), voxels(ranges, seed=1))


def test_time_samples(boss: Caller) -> None:
    boss.make_experiment(num_time_samples=5)
    boss.make_channel(default_time_sample=2)
    box = [(7, 20), (0, 30), (14, 18)]
    samples = np.stack([voxels(box, seed=seed) for seed in range(3)])
    assert boss.write(samples, [*box, (1, 4)]).status_code == 201
    np.testing.assert_array_equal(boss.read([*box, (1, 4)]), samples)
    np.testing.assert_array_equal(boss.read([*box, (3, 4)]), samples[2:])
    np.testing.assert_array_equal(boss.read(box), samples[1])
    np.testing.assert_array_equal(boss.read([*box, (5, 6)]), 0 * samples[:1])
    boss.write(voxels(box, seed=9), box)
    np.testing.assert_array_equal(boss.read([*box, (2, 3)])[0], voxels(box, seed=9))


def test_bounds_are_those_of_level_0_at_every_level(boss: Caller) -> None:
    frame = {"x_start": 100, "x_stop": 700, "y_start": 100, "y_stop": 700, "z_start": 10, "z_stop": 50}
    boss.make_experiment(FRAME | frame, num_hierarchy_levels=2)
    boss.make_channel()
    box = [(600, 700), (650, 700), (40, 50)]
    assert boss.write(voxels(box), box, level=1).status_code == 201
    np.testing.assert_array_equal(boss.read(box, level=1), voxels(box))
    assert boss.fault("GET", boss.cutout([(50, 350), (50, 350), (10, 50)], level=1)) == (400, 1001)


def test_filter_keeps_only_the_listed_ids(boss: Caller) -> None:
    boss.make_experiment()
    boss.make_channel("seg", "uint64", "annotation")
    box = [(0, 30), (0, 20), (0, 4)]
    labels = voxels(box, "uint64") % 5 + (1 << 60)
    boss.write(labels, box, "seg")
    kept = [int(labels.flat[0]), 3]
    got = boss.read(box, "seg", dtype="uint64", query=f"?filter={kept[0]},{kept[1]}&window=1,2")
    np.testing.assert_array_equal(got, np.where(labels == kept[0], labels, 0))


def test_a_deleted_channel_leaves_no_voxels_to_its_successor(boss: Caller, tmp_path: Path) -> None:
    boss.make_experiment()
    boss.make_channel()
    box = [(0, 30), (0, 20), (0, 4)]
    boss.write(voxels(box), box)
    path = "/v1/collection/lab/experiment/run7/channel/em"
    assert boss("DELETE", path).status_code == 204
    assert boss.fault("GET", boss.cutout(box)) == (404, 4000)
    late = Volume(tmp_path / "root")
    late.write(Layer(1, 0, 0, np.dtype("uint8")), Box.of(*box), voxels(box))
    boss.make_channel()
    assert not boss.read(box).any()


def test_voxels_follow_a_renamed_channel(boss: Caller) -> None:
    boss.make_experiment()
    boss.make_channel()
    box = [(0, 30), (0, 20), (0, 4)]
    boss.write(voxels(box), box)
    assert boss.change("collection/lab/experiment/run7/channel/em", name="em2").status_code == 200
    np.testing.assert_array_equal(boss.read(box, "em2"), voxels(box))


def test_a_damaged_cuboid_is_an_error_and_not_voxels(boss: Caller, tmp_path: Path) -> None:
    boss.make_experiment()
    boss.make_channel()
    box = [(0, 30), (0, 20), (0, 4)]
    boss.write(voxels(box), box)
    (cuboid,) = tmp_path.rglob("*.blosc")
    cuboid.write_bytes(cuboid.read_bytes()[:-1])
    with pytest.raises(DamagedData):
        Volume(tmp_path / "root").read(Layer(1, 0, 0, np.dtype("uint8")), Box.of(*box))
    assert boss.fault("GET", boss.cutout(box)) == (404, 5000)
    assert boss.write(voxels(box), box).json()["code"] == 9001
