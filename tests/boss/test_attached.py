"""What hangs on a resource of a BOSS: metadata, lower resolutions, ids."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from scripted import Reply, Scripted, Seen, page, refusal, told

from ndex.boss.client import BossClient
from ndex.boss.records import Channel
from ndex.errors import Missing, PermanentError, TransientError
from ndex.geometry import Box, Vec

SEG = Channel("lab", "run7", "seg", "annotation", np.dtype("uint64"))


class Store:
    """The metadata of one resource, by the rules of boss-api 9."""

    def __init__(self) -> None:
        self.content: dict[str, str] = {}

    def __call__(self, request: Seen) -> Reply:
        query = {key: values[0] for key, values in parse_qs(urlsplit(request.path).query).items()}
        key = query.get("key")
        if key is None:
            return told({"keys": list(self.content)})
        if (request.method == "POST") == (key in self.content):
            return refusal(400, 1003, "key")
        if request.method == "GET":
            return told({"key": key, "value": self.content[key]})
        if request.method == "DELETE":
            del self.content[key]
            return Reply(204, media="text/html")
        self.content[key] = query["value"]
        return Reply(201 if request.method == "POST" else 200, media="text/html")


@pytest.mark.parametrize("key", ["offsets", "a&b=1", "x#y", "50%25", "p+q r", "ключ/€"])
def test_metadata(server: Scripted, client: BossClient, key: str) -> None:
    store = Store()
    server.script = store
    place = ("lab", "run7")
    value = f"[1, 2] {key}"
    assert client.get_metadata(key, *place) is None
    client.put_metadata(key, "first", *place)
    client.put_metadata(key, value, *place)
    assert store.content == {key: value}
    assert client.list_metadata(*place) == [key]
    assert client.get_metadata(key, *place) == value
    client.delete_metadata(key, *place)
    client.delete_metadata(key, *place)
    assert store.content == {}
    assert all(request.path.startswith("/v1/meta/lab/run7") for request in server.seen)


def test_metadata_failures(server: Scripted, client: BossClient) -> None:
    with pytest.raises(PermanentError, match="1750"):
        client.put_metadata("key", "%" * 600, "lab")
    assert server.seen == []
    server.script = [page(200)]
    with pytest.raises(TransientError, match="maintenance"):
        client.put_metadata("key", "value", "lab")
    server.script = [refusal(404, 4000)]
    with pytest.raises(Missing):
        client.get_metadata("key", "lab")


def test_a_maintenance_page_is_no_update(server: Scripted, client: BossClient) -> None:
    """Its status 200 is that of a successful PUT; only the body tells (boss-api 12.2)."""
    server.script = [refusal(400, 1003), page(200), Reply(201, media="text/html"), page(200), Reply(204)]
    client.put_metadata("key", "value", "lab")
    client.delete_metadata("key", "lab")
    assert [line.split()[0] for line in server.asked] == ["POST", "PUT", "POST", "DELETE", "DELETE"]


# Downsampling and ids


STATUS = {
    **{"status": "NOT_DOWNSAMPLED", "num_hierarchy_levels": 2},
    "voxel_size": {"0": [5.0, 5.0, 40.0], "1": [10.0, 10.0, 40.0]},
    "extent": {"0": [1001, 700, 50], "1": [501, 350, 50]},
    "cuboid_size": {"0": [512, 512, 16], "1": [512, 512, 16]},
}


def test_downsampling(server: Scripted, client: BossClient) -> None:
    server.script = [told(STATUS), Reply(201, media="text/html"), Reply(204, media="text/html")]
    status = client.downsample_status(SEG, iso=True)
    assert status.extents == (Vec(1001, 700, 50), Vec(501, 350, 50))
    assert status.voxel_sizes[1] == (10, 10, 40)
    client.start_downsample(SEG)
    client.cancel_downsample(SEG)
    path = "/v1/downsample/lab/run7/seg"
    assert server.asked == [f"GET {path}?iso=true", f"POST {path}", f"DELETE {path}"]


def test_a_downsampling_already_under_way(server: Scripted, client: BossClient) -> None:
    server.script = [refusal(409, 2006, "queued")]
    with pytest.raises(PermanentError, match="queued"):
        client.start_downsample(SEG)
    assert len(server.seen) == 1


def test_a_lost_answer_to_a_downsampling(server: Scripted, client: BossClient) -> None:
    server.script = [Reply(reset=True), told({**STATUS, "status": "QUEUED"})]
    client.start_downsample(SEG)
    assert len(server.seen) == 2


def test_ids(server: Scripted, client: BossClient) -> None:
    server.script = [told({"start_id": 11, "count": "10"}), told({"ids": ["4", "1", "12"]})]
    assert client.reserve_ids(SEG, 10) == 11
    assert client.ids_in(SEG, 0, Box.of((0, 5), (1, 6), (2, 7))) == [1, 4, 12]
    assert server.asked == ["GET /v1/reserve/lab/run7/seg/10", "GET /v1/ids/lab/run7/seg/0/0:5/1:6/2:7/"]
