"""Who sees what without a token (boss-api 2.4, 2.5), the forms of answers, and what PUT changes."""

from __future__ import annotations

import numpy as np
import pytest
from caller import FRAME, Caller

LAB = "/v1/collection/lab"
RUN7 = f"{LAB}/experiment/run7"
BOX = "0:8/0:8/0:8"


@pytest.fixture(params=[None, "public"])
def reader(request: pytest.FixtureRequest, boss: Caller) -> Caller:
    return Caller(boss.url, request.param)


def test_nothing_private_is_shown(boss: Caller, reader: Caller) -> None:
    boss.make_experiment()
    boss.make_channel("seg", "uint64", "annotation")
    assert reader("GET", "/v1/collection//").json() == {"collections": []}
    assert reader("GET", f"{LAB}/experiment/").json() == {"experiments": []}
    for path in (LAB, RUN7, f"{RUN7}/channel/seg", f"/v1/cutout/lab/run7/seg/0/{BOX}", "/v1/downsample/lab/run7/seg"):
        assert reader.fault("GET", path) == (403, 3001)
    assert reader.fault("GET", "/v1/boundingbox/lab/run7/seg/0/1/") == (403, 3001)
    assert reader("GET", "/v1/coord/").json() == {"coords": ["run7_frame"]}
    assert reader("GET", "/v1/coord/run7_frame").status_code == 200


def test_being_public_is_not_inherited(boss: Caller, reader: Caller) -> None:
    boss.make_experiment()
    boss.make_channel("seg", "uint64", "annotation", public=True)
    boss.make_channel("private")
    assert reader("GET", f"{RUN7}/channel/").json() == {"channels": ["seg"]}
    assert reader("GET", f"/v1/cutout/lab/run7/seg/0/{BOX}").status_code == 200
    assert reader("GET", "/v1/downsample/lab/run7/seg").status_code == 200
    assert reader.fault("GET", RUN7) == (403, 3001)
    assert reader.fault("GET", f"/v1/ids/lab/run7/seg/0/{BOX}") == (403, 3001)
    assert reader.fault("GET", "/v1/meta/lab/run7/seg") == (403, 3001)
    boss.change("collection/lab/experiment/run7", public=True)
    assert reader("GET", RUN7).json()["channels"] == ["seg", "private"]
    assert reader.fault("GET", f"{RUN7}/channel/private") == (403, 3001)


def test_forms_of_answers(boss: Caller) -> None:
    """Fields, their order and their defaults, as in boss-api 4."""
    made = boss.make("collection/lab", description=" bench data ", unknown=1, name="other")
    assert list(made.items()) == [
        *(("name", "lab"), ("public", False), ("description", "bench data"), ("experiments", []), ("creator", "ndex"))
    ]
    frame = boss.make("coord/run7_frame", **FRAME | {"x_stop": "1001", "y_stop": 700.0})
    assert list(frame) == [
        *("name", "description", "x_start", "x_stop", "y_start", "y_stop", "z_start", "z_stop"),
        *("x_voxel_size", "y_voxel_size", "z_voxel_size", "voxel_unit"),
    ]
    assert repr([frame["x_stop"], frame["y_stop"], frame["z_voxel_size"]]) == "[1001, 700, 40.0]"
    content = {"coord_frame": "run7_frame", "time_step_unit": None}
    assert boss.make("collection/lab/experiment/run7", **content) == {
        **{"channels": [], "name": "run7", "public": False, "description": "", "collection": "lab"},
        **{"coord_frame": "run7_frame", "num_hierarchy_levels": 1, "hierarchy_method": "anisotropic"},
        **{"num_time_samples": 1, "time_step": None, "time_step_unit": "", "creator": "ndex"},
    }
    boss.make_channel()
    made = boss.make_channel("seg", "uint64", "annotation", sources=["em"])
    assert list(made.items()) == [
        *(("name", "seg"), ("public", False), ("description", ""), ("experiment", "run7")),
        *(("default_time_sample", 0), ("type", "annotation"), ("base_resolution", 0), ("datatype", "uint64")),
        *(("creator", "ndex"), ("sources", ["em"]), ("downsample_status", "NOT_DOWNSAMPLED"), ("related", [])),
        *(("storage_type", "spdb"), ("bucket", None), ("cv_path", None)),
    ]


def test_updates(boss: Caller) -> None:
    boss.make_experiment()
    assert boss.change("collection/lab", description="new", nonsense=1).json()["description"] == "new"
    renamed = boss.change("coord/run7_frame", name="f2", description="d").json()
    assert (renamed["name"], renamed["description"], renamed["x_stop"]) == ("f2", "d", 1001)
    changed = boss.change("collection/lab/experiment/run7", num_hierarchy_levels="4", num_time_samples=3).json()
    assert (changed["num_hierarchy_levels"], changed["num_time_samples"], changed["coord_frame"]) == (4, 3, "f2")
    boss.make("collection/lab/experiment/run8", coord_frame="f2")
    assert boss.fault("PUT", RUN7, json={"name": "RUN8"}) == (400, 1003)


def test_an_update_of_a_channel_empties_the_lists_that_it_leaves_out(boss: Caller) -> None:
    boss.make_experiment()
    boss.make_channel("em")
    boss.make_channel("em2", related=["em"])
    path = "collection/lab/experiment/run7/channel"
    boss.make_channel("seg", "uint64", "annotation", sources=["em2"], related=["em"])
    assert boss("GET", f"/v1/{path}/em").json()["related"] == ["em2", "seg"]
    assert boss.change(f"{path}/seg", sources=["em2", "em"]).json()["sources"] == ["em2", "em"]
    assert boss("GET", f"/v1/{path}/em").json()["related"] == ["em2"]
    assert boss.change(f"{path}/seg", public=True).json()["sources"] == []


def test_names_are_found_in_either_case(boss: Caller) -> None:
    boss.make_experiment()
    boss.make_channel()
    answer = boss("GET", "/v1/collection/LAB/experiment/Run7/channel/EM")
    assert answer.json()["name"] == "em"
    assert boss("GET", f"/v1/cutout/Lab/RUN7/Em/0/{BOX}").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["collection", "collection/", "collection//", "coord", "coord/", "collection/lab", "collection/lab/", "meta/lab/"],
)
def test_slashes(boss: Caller, path: str) -> None:
    boss.make("collection/lab")
    assert boss("GET", f"/v1/{path}").status_code == 200


def test_forms_and_heads(boss: Caller) -> None:
    assert boss("POST", "/v1/collection/a", data={"description": "d", "public": "true"}).json()["public"] is True
    assert boss("POST", "/v1/collection/b", files={"description": (None, "ä")}).json()["description"] == "ä"
    head = boss("HEAD", "/v1/collection/a")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == boss("GET", "/v1/collection/a").headers["Content-Length"]
    ping = Caller(boss.url, None)("GET", "/ping/")
    assert (ping.status_code, list(ping.json())) == (200, ["ip"])


def test_a_channel_of_a_cloud_volume_says_so(boss: Caller) -> None:
    boss.make_experiment()
    made = boss.make_channel(storage_type="cloudvol")
    assert (made["storage_type"], made["cv_path"]) == ("cloudvol", "/lab/run7/em")


def test_writing_makes_the_levels_stale(boss: Caller) -> None:
    boss.make_experiment()
    boss.make_channel(downsample_status="DOWNSAMPLED")
    boss.write(np.ones((1, 1, 1), "uint8"), [(0, 1), (0, 1), (0, 1)])
    assert boss("GET", "/v1/downsample/lab/run7/em").json()["status"] == "NOT_DOWNSAMPLED"
