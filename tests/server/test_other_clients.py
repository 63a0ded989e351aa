"""What neuroglancer and the older exchange client ask for (boss-api 14, 15)."""

from __future__ import annotations

import io
import zlib

import blosc
import numpy as np
import pytest
from caller import FRAME, Caller
from PIL import Image

EXTENT = {"x_stop": 1001, "y_stop": 700, "z_stop": 50}


@pytest.fixture
def published(boss: Caller) -> Caller:
    """lab/run7/em and seg, public on all floors, with voxels."""
    boss.make_experiment(FRAME | EXTENT, num_hierarchy_levels=2, public=True)
    boss.change("collection/lab", public=True)
    boss.make_channel(public=True)
    boss.make_channel("seg", "uint64", "annotation", public=True, sources=["em"])
    box = [(0, 300), (0, 200), (0, 20)]
    boss.write(np.full((20, 200, 300), 77, "uint8"), box)
    boss.write(np.full((20, 200, 300), 1 << 40, "uint64"), box, "seg")
    return boss


def test_neuroglancer(published: Caller, public: Caller) -> None:
    """Five kinds of requests, all without credentials and below /latest/."""
    assert public("GET", "/latest/collection/").json() == {"collections": ["lab"]}
    assert public("GET", "/latest/collection/lab/experiment/").json() == {"experiments": ["run7"]}
    experiment = public("GET", "/latest/collection/lab/experiment/run7/").json()
    assert (experiment["channels"], experiment["num_hierarchy_levels"]) == (["em", "seg"], 2)
    for name in experiment["channels"]:
        channel = public("GET", f"/latest/collection/lab/experiment/run7/channel/{name}/").json()
        assert isinstance(channel["description"], str)
        assert isinstance(channel["base_resolution"], int)
    frame = public("GET", f"/latest/coord/{experiment['coord_frame']}/").json()
    assert (frame["voxel_unit"], frame["x_voxel_size"], frame["z_stop"]) == ("nanometers", 5.0, 50)
    levels = public("GET", "/latest/downsample/lab/run7/em").json()
    assert levels["extent"] == {"0": [1001, 700, 50], "1": [501, 350, 50]}

    origin = {"Origin": "https://neuroglancer.example"}
    jpeg = public(
        "GET",
        "/latest/cutout/lab/run7/em/0/512:1001/0:512/0:16/?window=0,200",
        headers=origin | {"Accept": "image/jpeg"},
    )
    assert jpeg.headers["Access-Control-Allow-Origin"] == "*"
    assert jpeg.headers["Content-Type"] == "image/jpeg"
    picture = Image.open(io.BytesIO(jpeg.content))
    assert (picture.size, picture.mode) == ((489, 512 * 16), "L")

    npygz = public("GET", "/latest/cutout/lab/run7/seg/0/0:512/0:512/0:16/", headers={"Accept": "application/npygz"})
    content = zlib.decompress(npygz.content)
    assert content[:8] == b"\x93NUMPY\x01\x00"
    labels = np.load(io.BytesIO(content))
    assert (labels.shape, labels.dtype, labels.max()) == ((16, 512, 512), np.uint64, 1 << 40)


def test_preflight(public: Caller) -> None:
    asked = {"Origin": "https://x", "Access-Control-Request-Method": "GET"}
    answer = public("OPTIONS", "/latest/collection/lab/experiment/run7/", headers=asked)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Access-Control-Allow-Methods"] == "DELETE, GET, OPTIONS, PATCH, POST, PUT"
    assert {"accept", "authorization", "content-type"} <= set(
        answer.headers["Access-Control-Allow-Headers"].split(", ")
    )
    assert answer.headers["Access-Control-Max-Age"] == "86400"
    assert public("GET", "/nothing", headers=asked).headers["Access-Control-Allow-Origin"] == "*"


def test_older_exchange_client(published: Caller) -> None:
    asks = {"Accept": "application/json"}
    assert published("GET", "/v1/collection/lab", headers=asks).json()["experiments"] == ["run7"]
    for path in (
        "collection/lab/experiment/run7/",
        "collection/lab/experiment/run7/channel/em/",
        "coord/run7_frame",
        "downsample/lab/run7/em",
    ):
        assert published("GET", f"/v1/{path}", headers=asks).status_code == 200
    asks = {"Accept": "application/blosc"}
    answer = published("GET", "/v1/cutout/lab/run7/em/0/0:1001/0:700/0:16?iso=True", headers=asks)
    array = np.frombuffer(blosc.decompress(answer.content), "uint8").reshape(16, 700, 1001)
    assert array[:, :200, :300].min() == 77
    assert array.sum() == 77 * 16 * 200 * 300


def test_frames_with_bits_for_bytes(boss: Caller) -> None:
    """As intern and the BOSS write them."""
    boss.make_experiment()
    for datatype, bits in (("uint8", 8), ("uint16", 16), ("uint64", 64)):
        boss.make_channel(datatype, datatype)
        array = np.arange(1, 9, dtype=datatype).reshape(2, 2, 2)
        for codec in blosc.compressor_list():
            frame = blosc.compress(array.tobytes(), typesize=bits, cname=codec)
            assert boss.send(frame, [(0, 2), (0, 2), (0, 2)], datatype).status_code == 201
            np.testing.assert_array_equal(boss.read([(0, 2), (0, 2), (0, 2)], datatype, dtype=datatype), array)


NPY = {"Content-Type": "application/npygz"}


def npygz(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return zlib.compress(file.getvalue())


def test_npygz_uploads(boss: Caller) -> None:
    boss.make_experiment(num_time_samples=3)
    boss.make_channel(datatype="uint16")
    array = np.arange(1, 25, dtype="uint16").reshape(4, 3, 2)
    box = [(0, 2), (0, 3), (0, 4)]
    path = boss.cutout(box)
    for sent in (array, array[np.newaxis], np.asfortranarray(array)):
        assert boss("POST", path, data=npygz(sent), headers=NPY).status_code == 201
        np.testing.assert_array_equal(boss.read(box, dtype="uint16"), array)
    assert boss("POST", f"{path}1:3/", data=npygz(array), headers=NPY).status_code == 201
    np.testing.assert_array_equal(boss.read([*box, (1, 3)], dtype="uint16"), np.stack([array, 0 * array]))

    def refusal(body: bytes) -> tuple[int, int | None]:
        return boss.fault("POST", path, data=body, headers=NPY)

    assert refusal(npygz(array.astype("uint8"))) == (400, 2001)
    assert refusal(npygz(array.astype(">u2"))) == (400, 2001)
    assert refusal(npygz(array[1:])) == (400, 2002)
    assert refusal(npygz(array)[:-9]) == (400, 2001)
    assert refusal(b"not zlib") == (400, 2001)
    assert refusal(zlib.compress(b"\x93NUMPY\x01\x00\x10\x00" + b"{{{{((((" * 2)) == (400, 2001)
    liar = zlib.decompress(npygz(array)).replace(b"(4, 3, 2)", b"(4, 3, 2000000000000)"[:9])
    assert refusal(zlib.compress(liar))[0] == 400


def test_nothing_is_unpickled(boss: Caller) -> None:
    boss.make_experiment()
    boss.make_channel()
    objects = np.array([[[print, print]]], dtype=object)
    file = io.BytesIO()
    np.save(file, objects, allow_pickle=True)
    box = [(0, 2), (0, 1), (0, 1)]
    answer = boss.fault("POST", boss.cutout(box), data=zlib.compress(file.getvalue()), headers=NPY)
    assert answer == (400, 2001)
    python = {"Content-Type": "application/blosc-python"}
    assert boss.fault("POST", boss.cutout(box), data=b"x", headers=python) == (415, None)


def test_pictures(published: Caller, public: Caller) -> None:
    def picture(path: str, **headers: str) -> Image.Image:
        answer = public("GET", path, headers=headers)
        assert answer.status_code == 200, answer.text
        return Image.open(io.BytesIO(answer.content))

    plane = picture("/v1/image/lab/run7/em/xy/0/0:400/0:100/3/")
    assert (plane.format, plane.mode, plane.size) == ("PNG", "L", (400, 100))
    assert np.asarray(plane)[:, :300].min() == 77
    assert np.asarray(plane)[:, 300:].max() == 0
    assert picture("/v1/image/lab/run7/em/xz/0/0:400/3/0:50").size == (400, 50)
    assert picture("/v1/image/lab/run7/em/yz/0/3/0:400/0:50").size == (400, 50)
    assert picture("/v1/tile/lab/run7/em/xy/256/0/1/0/7/", Accept="image/jpeg").format == "JPEG"
    colours = picture("/v1/tile/lab/run7/seg/xy/512/0/0/0/0")
    assert (colours.mode, colours.size) == ("RGBA", (512, 512))
    assert np.asarray(colours)[0, 0, 3] == 255
    assert np.asarray(colours)[300, 400, 3] == 0
