"""The unmodified `intern` package against the server: every method that it has for a BOSS (boss-api 13)."""

from __future__ import annotations

import numpy as np
import pytest
from caller import TOKEN, Caller
from intern.remote.boss import BossRemote
from intern.resource.boss.resource import (
    ChannelResource,
    CollectionResource,
    CoordinateFrameResource,
    ExperimentResource,
)
from intern.service.boss.httperrorlist import HTTPErrorList
from requests import HTTPError


@pytest.fixture
def remote(boss: Caller) -> BossRemote:
    return BossRemote({"protocol": "http", "host": boss.host, "token": TOKEN})


@pytest.fixture
def experiment(remote: BossRemote) -> ExperimentResource:
    remote.create_project(CollectionResource("lab", "bench"))
    frame = CoordinateFrameResource("f", "", 0, 1200, 0, 900, 0, 40, 4, 4, 40, "nanometers")
    remote.create_project(frame)
    return remote.create_project(ExperimentResource("run7", "lab", "f", "", 3, "anisotropic", 5))


def channel(remote: BossRemote, name: str, datatype: str = "uint8") -> ChannelResource:
    kind = "annotation" if datatype == "uint64" else "image"
    return remote.create_project(ChannelResource(name, "lab", "run7", kind, "", 0, datatype, 0))


def test_life_of_every_resource(remote: BossRemote, experiment: ExperimentResource) -> None:
    em = channel(remote, "em")
    seg = remote.create_project(ChannelResource("seg", "lab", "run7", "annotation", "", 0, "uint64", sources=["em"]))
    assert (seg.sources, em.downsample_status, em.cutout_ready) == (["em"], "NOT_DOWNSAMPLED", True)
    assert remote.list_collections() == ["lab"]
    assert remote.list_experiments("lab") == ["run7"]
    assert remote.list_channels("lab", "run7") == ["em", "seg"]
    assert remote.list_coordinate_frames() == ["f"]
    assert remote.get_extents(experiment) == [[0, 1200], [0, 900], [0, 40]]
    assert remote.get_experiment("lab", "run7").time_step_unit == "seconds"
    assert remote.get_channel("seg", "lab", "run7").datatype == "uint64"

    em.description = "changed"
    em.name = "em2"
    assert remote.update_project("em", em).description == "changed"
    with pytest.raises(HTTPError) as caught:
        remote.delete_project(em)
    assert caught.value.response.json()["code"] == 4003
    for resource in (seg, em, experiment, CoordinateFrameResource("f"), CollectionResource("lab")):
        remote.delete_project(resource)
    assert remote.list_collections() == remote.list_coordinate_frames() == []


def test_publishing(remote: BossRemote, experiment: ExperimentResource, public: Caller) -> None:
    em = channel(remote, "em")
    remote.set_project_public_visibility(em, True)
    assert remote.get_project(em).public
    reader = BossRemote({"protocol": "http", "host": public.host, "token": "public"})
    assert not reader.get_cutout(reader.get_channel("em", "lab", "run7"), 0, [0, 9], [0, 9], [0, 9]).any()
    with pytest.raises(HTTPError) as caught:
        reader.get_project(experiment)
    assert caught.value.response.status_code == 403


@pytest.mark.parametrize("datatype", ["uint8", "uint16", "uint64"])
@pytest.mark.parametrize(
    ("x", "y", "z"),
    [([0, 512], [0, 512], [0, 16]), ([500, 530], [511, 513], [3, 20]), ([0, 1200], [800, 900], [0, 9])],
)
def test_cutouts(
    remote: BossRemote, experiment: ExperimentResource, datatype: str, x: list[int], y: list[int], z: list[int]
) -> None:
    em = channel(remote, "c", datatype)
    shape = [b - a for a, b in (z, y, x)]
    array = np.random.default_rng(0).integers(0, 200, shape).astype(datatype)
    remote.create_cutout(em, 0, x, y, z, array)
    back = remote.get_cutout(em, 0, x, y, z)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == datatype
    samples = np.stack([array, array + 1])
    remote.create_cutout(em, 0, x, y, z, samples, time_range=[2, 4])
    np.testing.assert_array_equal(remote.get_cutout(em, 0, x, y, z, [2, 4]), samples)
    remote.create_cutout_to_black(em, 0, x, y, z)
    assert not remote.get_cutout(em, 0, x, y, z).any()
    np.testing.assert_array_equal(remote.get_cutout(em, 0, x, y, z, [3, 4])[0], array + 1)


def test_annotation_ids(remote: BossRemote, experiment: ExperimentResource) -> None:
    seg = channel(remote, "seg", "uint64")
    assert remote.reserve_ids(seg, 10) == 1
    assert remote.reserve_ids(seg, 1) == 11
    labels = np.zeros((20, 600, 600), "uint64")
    labels[2:5, 10:20, 30:50] = 7
    labels[18, 599, 599] = 1 << 63
    remote.create_cutout(seg, 0, [0, 600], [0, 600], [0, 20], labels)
    assert remote.get_ids_in_region(seg, 0, [0, 600], [0, 600], [0, 20]) == [7, 1 << 63]
    assert remote.get_ids_in_region(seg, 0, [0, 20], [0, 600], [0, 20]) == []
    loose = {"x_range": [0, 512], "y_range": [0, 512], "z_range": [0, 16], "t_range": [0, 1]}
    assert remote.get_bounding_box(seg, 0, 7) == loose
    tight = {"x_range": [30, 50], "y_range": [10, 20], "z_range": [2, 5], "t_range": [0, 1]}
    assert remote.get_bounding_box(seg, 0, 7, "tight") == tight
    only = remote.get_cutout(seg, 0, [0, 600], [0, 600], [0, 20], id_list=[7])
    np.testing.assert_array_equal(only, np.where(labels == 7, labels, 0))


def test_metadata(remote: BossRemote, experiment: ExperimentResource) -> None:
    for resource in (CollectionResource("lab"), experiment, channel(remote, "em")):
        assert remote.list_metadata(resource) == []
        remote.create_metadata(resource, {"offsets": "[1, 2]", "%C3%A4": "a%26b"})
        assert remote.get_metadata(resource, ["offsets", "%C3%A4"]) == {"offsets": "[1, 2]", "%C3%A4": "a&b"}
        with pytest.raises(HTTPErrorList):
            remote.create_metadata(resource, {"offsets": "again"})
        remote.update_metadata(resource, {"offsets": "2"})
        remote.delete_metadata(resource, ["offsets"])
        assert remote.list_metadata(resource) == ["ä"]
        with pytest.raises(HTTPErrorList):
            remote.get_metadata(resource, ["offsets"])


def test_the_array_view(remote: BossRemote, experiment: ExperimentResource) -> None:
    from intern import array

    channel(remote, "em")
    view = array("bossdb://lab/run7/em", volume_provider=_provider(remote))
    assert view.shape == (40, 900, 1200)
    view[0:4, 0:5, 0:6] = np.full((4, 5, 6), 9, "uint8")
    assert view[0:4, 0:5, 0:7].sum() == 9 * 4 * 5 * 6


def _provider(remote: BossRemote) -> object:
    from intern.convenience.array import _BossDBVolumeProvider

    return _BossDBVolumeProvider(remote)
