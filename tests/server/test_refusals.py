"""What is refused, with which status and which code: the tables of boss-api 3.2, 4.7 and 7.2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from caller import FRAME, TOKEN, Caller, serving

from ndex.boss import wire

LAB = "/v1/collection/lab"
RUN7 = f"{LAB}/experiment/run7"
EM = f"{RUN7}/channel/em"
BOX = "0:8/0:8/0:8"
CUTOUT = f"/v1/cutout/lab/run7/em/0/{BOX}"
SEG = CUTOUT.replace("em", "seg")
BLOSC = {"Content-Type": "application/blosc"}
VOXELS = np.ones((8, 8, 8), "uint8")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """lab/run7 with an image `em` and annotations `seg` made from it: one for all, since nothing here changes it."""
    with serving(tmp_path_factory.mktemp("boss")) as url:
        boss = Caller(url)
        boss.make_experiment(num_hierarchy_levels=3, num_time_samples=4)
        boss.make_channel()
        boss.make_channel("seg", "uint64", "annotation", sources=["em"])
        yield boss


REFUSED: list[tuple[str, str, Any, tuple[int, int | None]]] = [
    # paths and verbs
    ("GET", "/v1/nothing", None, (404, 2004)),
    ("GET", "/", None, (404, 2004)),
    ("GET", "/v2/collection/", None, (404, 2004)),
    ("GET", "/v0.7/collection/", None, (400, 9003)),
    ("POST", "/v0.1/anything/at/all", None, (400, 9003)),
    ("PATCH", LAB, None, (405, None)),
    ("BREW", LAB, None, (405, None)),
    ("POST", "/v1/collection/", None, (405, None)),
    ("PUT", CUTOUT, None, (405, None)),
    # what does not exist
    ("GET", "/v1/collection/nolab", None, (404, 4000)),
    ("PUT", "/v1/collection/nolab", {}, (404, 4000)),
    ("DELETE", "/v1/collection/nolab", None, (404, 4000)),
    ("GET", f"{LAB}/experiment/none", None, (404, 4000)),
    ("GET", f"{RUN7}/channel/none", None, (404, 4000)),
    ("PUT", f"{RUN7}/channel/none", {}, (404, 4000)),
    ("GET", "/v1/coord/none", None, (404, 4000)),
    ("GET", "/v1/collection/nolab/experiment/", None, (404, 4000)),
    ("GET", f"{LAB}/experiment/none/channel/", None, (404, 4000)),
    ("POST", "/v1/collection/nolab/experiment/e", {"coord_frame": "run7_frame"}, (404, 4000)),
    ("POST", f"{LAB}/experiment/e", {"coord_frame": "none"}, (404, 4000)),
    ("GET", "/v1/meta/nolab", None, (404, 4000)),
    ("GET", "/v1/downsample/lab/run7/none", None, (404, 4000)),
    ("GET", CUTOUT.replace("em", "none"), None, (404, 4000)),
    # names
    ("POST", "/v1/collection/my.lab", {}, (400, 1003)),
    ("POST", "/v1/collection/%2e%2e%2fetc", {}, (400, 1003)),
    ("POST", "/v1/collection/l%C3%A4b", {}, (400, 1003)),
    ("POST", f"/v1/collection/{'a' * 256}", {}, (400, 1003)),
    ("POST", LAB, {}, (400, 1003)),
    ("POST", "/v1/collection/LAB", {}, (400, 1003)),
    ("PUT", LAB, {"name": "no/slash"}, (400, 1003)),
    ("PUT", EM, {"name": "seg"}, (400, 1003)),
    # values
    ("POST", "/v1/collection/new", {"description": None}, (400, 1003)),
    ("POST", "/v1/collection/new", {"description": "x" * 4097}, (400, 1003)),
    ("POST", "/v1/collection/new", {"description": "\ud800"}, (400, 1003)),
    ("POST", "/v1/collection/new", {"public": "maybe"}, (400, 1003)),
    ("POST", "/v1/collection/new", [1], (400, 1003)),
    ("POST", "/v1/coord/new", {}, (400, 1003)),
    ("POST", "/v1/coord/new", FRAME | {"x_stop": 1.5}, (400, 1003)),
    ("POST", "/v1/coord/new", FRAME | {"x_stop": 1 << 31}, (400, 1003)),
    ("POST", "/v1/coord/new", FRAME | {"x_voxel_size": "inf"}, (400, 1003)),
    ("POST", "/v1/coord/new", FRAME | {"voxel_unit": "Nanometers"}, (400, 1003)),
    ("PUT", "/v1/coord/run7_frame", {"x_stop": 5}, (400, 1003)),
    ("POST", f"{LAB}/experiment/e", {}, (400, 1003)),
    ("POST", f"{LAB}/experiment/e", {"coord_frame": "run7_frame", "num_hierarchy_levels": 0}, (400, 1003)),
    ("POST", f"{LAB}/experiment/e", {"coord_frame": "run7_frame", "num_hierarchy_levels": 11}, (400, 1003)),
    ("POST", f"{LAB}/experiment/e", {"coord_frame": "run7_frame", "hierarchy_method": "near"}, (400, 1003)),
    ("POST", f"{LAB}/experiment/e", {"coord_frame": "run7_frame", "time_step_unit": "years"}, (400, 1003)),
    ("PUT", RUN7, {"coord_frame": "run7_frame"}, (400, 1003)),
    ("POST", f"{RUN7}/channel/new", {"type": "image"}, (400, 1003)),
    ("POST", f"{RUN7}/channel/new", {"datatype": "uint8"}, (400, 1003)),
    ("POST", f"{RUN7}/channel/new", {"type": "image", "datatype": "uint32"}, (400, 1003)),
    ("POST", f"{RUN7}/channel/new", {"type": "image", "datatype": "uint8", "sources": ["none"]}, (400, 1003)),
    (
        "POST",
        f"{RUN7}/channel/new",
        {"type": "image", "datatype": "uint8", "sources": ["em"], "related": ["em"]},
        (400, 1003),
    ),
    (
        "POST",
        f"{RUN7}/channel/new",
        {"type": "image", "datatype": "uint8", "default_time_sample": 4},
        (400, 1003),
    ),
    ("PUT", EM, {"datatype": "uint16"}, (400, 1003)),
    # dependants
    ("DELETE", LAB, None, (400, 4003)),
    ("DELETE", RUN7, None, (400, 4003)),
    ("DELETE", EM, None, (400, 4003)),
    ("DELETE", "/v1/coord/run7_frame", None, (400, 4003)),
    # cutouts: path, filter, time, level, box, size
    ("GET", CUTOUT.replace("/0/", "/10/"), None, (404, 2004)),
    ("GET", CUTOUT.replace("0:8", "-1:8"), None, (404, 2004)),
    ("GET", CUTOUT.replace("0:8", "08"), None, (404, 2004)),
    ("GET", CUTOUT.replace("0:8", "%D9%A0:%D9%A8"), None, (404, 2004)),
    ("GET", f"{CUTOUT}?filter=1", None, (400, 2003)),
    ("GET", f"{SEG}?filter=one", None, (400, 1001)),
    ("GET", f"{CUTOUT}/5:6", None, (400, 1000)),
    ("GET", f"{CUTOUT}/4:6", None, (400, 1000)),
    ("GET", f"{CUTOUT}/3:2", None, (400, 1000)),
    ("GET", CUTOUT.replace("/em/0/", "/em/3/"), None, (400, 1002)),
    ("GET", CUTOUT.replace("0:8/0:8/", "0:8/8:8/"), None, (400, 1001)),
    ("GET", CUTOUT.replace("0:8/0:8/", "0:8/9:8/"), None, (400, 1001)),
    ("GET", CUTOUT.replace("0:8/0:8/", "0:1002/0:8/"), None, (400, 1001)),
    ("GET", CUTOUT.replace("0:8/0:8/", f"0:{'9' * 5000}/0:8/"), None, (400, 1001)),
    ("GET", f"{CUTOUT}?access-mode=fast", None, (400, 1001)),
    ("GET", f"{CUTOUT}?access-mode=raw&no-cache=true", None, (400, 1001)),
    ("GET", SEG.replace("/seg/0/", "/seg/1/"), None, (404, 9000)),
    ("GET", f"{CUTOUT}?format=jpg".replace("em", "seg"), None, (400, 2001)),
    ("GET", f"{CUTOUT}/0:1?format=jpg", None, (400, 2005)),
    # objects
    ("GET", "/v1/reserve/lab/run7/em/10", None, (400, 2003)),
    ("GET", "/v1/reserve/lab/run7/seg/ten", None, (404, 2004)),
    ("GET", f"/v1/ids/lab/run7/em/0/{BOX}", None, (400, 2003)),
    ("GET", f"/v1/ids/lab/run7/seg/0/{BOX}/5:6", None, (400, 1000)),
    ("GET", "/v1/boundingbox/lab/run7/em/0/1/", None, (400, 2003)),
    ("GET", "/v1/boundingbox/lab/run7/seg/0/1/", None, (404, 4004)),
    ("GET", "/v1/boundingbox/lab/run7/seg/0/0/", None, (404, 4004)),
    ("GET", "/v1/boundingbox/lab/run7/seg/0/1/?type=snug", None, (400, 1005)),
    ("GET", "/v1/boundingbox/lab/run7/seg/7/1/", None, (400, 1002)),
    # metadata
    ("GET", "/v1/meta/lab/?key=none", None, (400, 1003)),
    ("POST", "/v1/meta/lab/?key=a", None, (400, 1003)),
    ("POST", "/v1/meta/lab/?value=a", None, (400, 1003)),
    ("PUT", "/v1/meta/lab/run7?key=none&value=b", None, (400, 1003)),
    ("DELETE", "/v1/meta/lab/run7/em", None, (400, 1003)),
    ("DELETE", "/v1/meta/lab/run7/em?key=none", None, (400, 1003)),
    # downsampling
    ("DELETE", "/v1/downsample/lab/run7/em", None, (409, 2006)),
    # pictures
    ("GET", "/v1/image/lab/run7/em/xw/0/0:8/0:8/0", None, (400, 1001)),
    ("GET", "/v1/image/lab/run7/em/xy/0/0:8/3/0", None, (400, 1001)),
    ("GET", "/v1/image/lab/run7/em/xy/0/0:8/0:8/0:1", None, (400, 1002)),
    ("GET", "/v1/tile/lab/run7/em/xy/512/0/1/0/0", None, (400, 1001)),
]


@pytest.mark.parametrize(("method", "path", "content", "expected"), REFUSED)
def test_refused(lab: Caller, method: str, path: str, content: Any, expected: tuple[int, int | None]) -> None:
    options = {} if content is None else {"json": content}
    assert lab.fault(method, path, **options) == expected


def test_deeper_levels_cannot_be_written(lab: Caller) -> None:
    for path in (CUTOUT, CUTOUT.replace("cutout", "cutout/to_black")):
        verb = "POST" if path is CUTOUT else "PUT"
        answer = lab(verb, path.replace("/em/0/", "/em/2/"), data=wire.encode(VOXELS), headers=BLOSC)
        assert (answer.status_code, answer.json()["code"]) == (400, 9001)
        assert "Resolution Mismatch" in answer.json()["message"]


def test_size_limit(lab: Caller) -> None:
    size = {"x_stop": 1024, "y_stop": 1024, "z_stop": 600}
    lab.make("coord/large", **FRAME | size)
    lab.make("collection/lab/experiment/large", coord_frame="large")
    for name, datatype, depth in (("em", "uint8", 521), ("em16", "uint16", 261), ("seg", "uint64", 261)):
        lab.make(f"collection/lab/experiment/large/channel/{name}", datatype=datatype, type="image")
        path = f"/v1/cutout/lab/large/{name}/0/0:1024/0:1024/0:{depth}"
        assert lab.fault("GET", path) == (413, 2000)
        assert lab.fault("POST", path, headers=BLOSC, data=b"x") == (413, 2000)
        assert lab.fault("PUT", path.replace("cutout", "cutout/to_black")) == (413, 2000)
    exactly = path.replace("/seg/", "/em/").replace("0:261", "0:520")
    assert lab.fault("POST", exactly, headers=BLOSC, data=b"x") == (400, 2001)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 2001),
        (b"no frame at all, but long enough", 2001),
        (wire.encode(VOXELS)[:-1], 2001),
        (wire.encode(VOXELS.astype("uint16")), 2002),
        (wire.encode(VOXELS[1:]), 2002),
    ],
)
def test_bodies_that_are_not_the_voxels_of_the_url(lab: Caller, body: bytes, code: int) -> None:
    assert lab.fault("POST", CUTOUT, headers=BLOSC, data=body) == (400, code)
    if len(body) % 8:
        assert lab.fault("POST", SEG, headers=BLOSC, data=body)[0] == 400


def test_an_odd_number_of_bytes_is_a_wrong_type(lab: Caller) -> None:
    assert lab.fault("POST", SEG, headers=BLOSC, data=wire.encode(np.ones(513, "uint8"))) == (400, 2001)


def test_media_types(lab: Caller) -> None:
    assert lab.fault("GET", CUTOUT, headers={"Accept": "text/html"}) == (406, None)
    assert lab.fault("GET", LAB, headers={"Accept": "image/png"}) == (406, None)
    assert lab.fault("POST", CUTOUT, headers={"Content-Type": "application/blosc-python"}, data=b"x") == (415, None)
    assert lab.fault("POST", CUTOUT, headers={"Content-Type": "text/plain"}, data=b"x") == (415, None)
    assert lab.fault("PUT", LAB, headers={"Content-Type": "text/plain"}, data=b"x") == (415, None)
    assert lab.fault("PUT", LAB, headers={"Content-Type": "application/json"}, data=b"{,}") == (400, None)
    assert lab.fault("PUT", LAB, headers={"Content-Type": "application/json"}, data=b"[" * 100_000) == (400, None)
    assert lab("GET", LAB, headers={"Accept": "text/html"}).json()["name"] == "lab"
    assert lab("GET", f"{LAB}?format=json", headers={"Accept": "image/png"}).status_code == 200


@pytest.mark.parametrize(
    "authorization", ["Token wrong", "Token", "Token ", f"Token {TOKEN} x", "Basic YTpi", "Bearer x", "\xff"]
)
def test_bad_tokens(lab: Caller, authorization: str) -> None:
    for method, path in (("GET", LAB), ("GET", CUTOUT), ("POST", CUTOUT), ("GET", "/v1/coord/run7_frame")):
        answer = lab(method, path, headers={"Authorization": authorization.encode("latin-1")})
        assert answer.status_code == 401
        assert list(answer.json()) == ["detail"]
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN", "Bearer"])
def test_schemes(lab: Caller, scheme: str) -> None:
    assert lab("GET", LAB, headers={"Authorization": f"{scheme} {TOKEN}"}).status_code == 200


def test_readers_write_nothing(lab: Caller) -> None:
    writes = [("POST", "/v1/collection/new"), ("DELETE", EM), ("POST", CUTOUT), ("POST", "/v1/meta/lab?key=a&value=b")]
    public, reader = Caller(lab.url, None), Caller(lab.url, "public")
    for method, path in writes:
        answer = public(method, path, headers=BLOSC)
        assert (answer.status_code, list(answer.json())) == (401, ["detail"])
    assert reader.fault("POST", "/v1/collection/new") == (403, 3000)
    assert reader.fault("DELETE", EM) == (403, 3000)
    assert reader.fault("PUT", LAB, json={"public": True}) == (403, 3001)
    assert reader.fault("POST", CUTOUT, headers=BLOSC, data=wire.encode(VOXELS)) == (403, 3001)
    assert reader.fault("POST", "/v1/meta/lab?key=a&value=b") == (403, 3001)
    assert reader.fault("POST", "/v1/downsample/lab/run7/em") == (403, 3001)
    assert reader.fault("GET", "/v1/reserve/lab/run7/seg/5") == (403, 3001)
