"""Planes in a bucket: how they are asked for, what is there already, and what goes wrong."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import requests
import s3_server
import tifffile
from planes import WRITTEN, job_of, noise, smooth, volume_of, write
from s3_gate import Answer, Gate, gate

from ndex.errors import AccessError, DamagedData, JobError, Missing, PermanentError, TransientError, Unreachable
from ndex.files import Access, place_at
from ndex.geometry import Box
from ndex.stores import images, open_destination, open_source, s3

BUCKET = "planes"
BOX = Box.of((0, 60), (0, 50), (0, 3))
SECRET = s3_server.SETTINGS["AWS_SECRET_ACCESS_KEY"]


@pytest.fixture(scope="module", autouse=True)
def bucket() -> str:
    return s3_server.new_bucket(BUCKET)


@pytest.fixture
def door() -> Iterator[Gate]:
    with gate() as door:
        yield door


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """New for each test."""
    return "".join(sign if sign.isalnum() else "-" for sign in request.node.name)


def put(prefix: str, files: dict[str, bytes], **options: Any) -> None:
    client = s3_server.client()
    for name, data in files.items():
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=data, **options)


def put_stack(prefix: str, stack: np.ndarray, folder: Path, **options: Any) -> None:
    path = folder / "plane.tif"
    for z, plane in enumerate(stack):
        tifffile.imwrite(path, plane, **options)
        put(prefix, {f"s_{z:04d}.tif": path.read_bytes()})


def names(prefix: str) -> list[str]:
    found = s3_server.client().list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", ())
    return [entry["Key"].removeprefix(f"{prefix}/") for entry in found]


def reading(prefix: str, url: str | None = None, missing: str = "fail", **keys: Any) -> Any:
    keys = {"endpoint_url": url or s3_server.endpoint(), "pattern": "s_%04d.tif", **keys}
    return open_source(job_of(s3.Source(path=f"s3://{BUCKET}/{prefix}", **keys), missing=missing))


def writing(prefix: str, url: str | None = None, box: Box = WRITTEN, stamp: str = "5tamp", **keys: Any) -> Any:
    keys = {"endpoint_url": url or s3_server.endpoint(), "pattern": "{z}.tif", **keys}
    store = open_destination(job_of(destination=s3.Destination(path=f"s3://{BUCKET}/{prefix}", **keys)))
    store.expect(volume_of(box, stamp=stamp))
    return store


class TestReading:
    def test_a_header_is_one_request_and_a_small_plane_too(self, prefix: str, door: Gate, tmp_path: Path) -> None:
        put_stack(prefix, noise(3, 50, 60), tmp_path, compression="deflate", rowsperstrip=7)
        store = reading(prefix, door.url)
        assert store.facts().box == BOX
        assert len(door.asked) == 1 + 3
        np.testing.assert_array_equal(store.read(BOX, 0).array, noise(3, 50, 60))
        assert len(door.asked) == 1 + 3 + 3

    @pytest.mark.parametrize("last", [False, True], ids=["directory first", "directory last"])
    def test_a_large_plane_takes_few_requests(self, prefix: str, door: Gate, tmp_path: Path, last: bool) -> None:
        plane = noise(3000, 4000, seed=3)
        if last:
            box = Box.of((0, 4000), (0, 3000), (0, 1))
            write(writing(prefix, box=box, pattern="s_%04d.tif"), box, plane[None], rows=512)
        else:
            put_stack(prefix, plane[None], tmp_path, rowsperstrip=16)
        store = reading(prefix, door.url)
        box = store.facts().box
        assert len(door.asked) == 1 + (2 if last else 1)
        door.asked.clear()
        np.testing.assert_array_equal(store.read(box, 0).array[0], plane)
        assert len(door.asked) <= (5 if last else 4), "12 MB: 64 KiB, 1 MiB, then 8 MiB each"
        door.asked.clear()
        part = Box.of((0, 4000), (2000, 2064), (0, 1))
        np.testing.assert_array_equal(store.read(part, 0).array[0], plane[2000:2064])
        assert sum(_size(request.headers) for request in door.asked) < 3 << 20, "of 12 MB"

    def test_a_png_is_read_whole(self, prefix: str, door: Gate) -> None:
        plane = noise(300, 400, seed=3)
        put(prefix, {"0.png": imagecodecs.png_encode(plane)})
        store = reading(prefix, door.url, pattern="{z}.png")
        store.facts()
        door.asked.clear()
        np.testing.assert_array_equal(store.read(Box.of((0, 400), (0, 300), (0, 1)), 0).array[0], plane)
        assert len(door.asked) == 2

    def test_pages_of_names(self, prefix: str, door: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ndex.files.s3.PAGE", 3)
        data = imagecodecs.png_encode(smooth(4, 5))
        put(prefix, {f"{z}.png": data for z in range(10)} | {"": b"", ".hidden.png": b"", "below/0.png": data})
        door.script["GET", f"/{BUCKET}"] += [Answer(200, "", cut=50), Answer(503, "SlowDown")]
        with pytest.raises(TransientError):
            reading(prefix, door.url, pattern="{z}.png").facts()
        door.asked.clear()
        door.script["GET", f"/{BUCKET}"] += [Answer(503, "SlowDown")]
        assert reading(prefix, door.url, pattern="{z}.png").facts().box.size.z == 10
        pages = [request for request in door.asked if request.path == f"/{BUCKET}"]
        assert len(pages) == 1 + 5, "the first page twice, no other"

    def test_images_take_an_address_too(self, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server.endpoint())
        put_stack(prefix, noise(3, 50, 60), tmp_path)
        source = images.Source(path=f"s3://{BUCKET}/{prefix}/", pattern="s_%04d.tif")
        np.testing.assert_array_equal(open_source(job_of(source)).read(BOX, 0).array, noise(3, 50, 60))

    def test_the_channel_stands_in_the_address(self, prefix: str, tmp_path: Path) -> None:
        put_stack(f"{prefix}/em/raw", noise(3, 50, 60), tmp_path)
        assert reading(f"{prefix}/{{channel}}", pattern="raw/s_%04d.tif").facts().box == BOX

    def test_anonymous_requests_are_not_signed(self, prefix: str, door: Gate, tmp_path: Path) -> None:
        put_stack(prefix, noise(3, 50, 60), tmp_path)
        for z in range(3):
            s3_server.client().put_object_acl(Bucket=BUCKET, Key=f"{prefix}/s_{z:04d}.tif", ACL="public-read")
        reading(prefix, door.url, anonymous=True).facts()
        assert not any("Authorization" in request.headers for request in door.asked)
        reading(prefix, door.url).facts()
        assert "Authorization" in door.asked[-1].headers


def _size(headers: dict[str, str]) -> int:
    first, last = headers["Range"].removeprefix("bytes=").split("-")
    return int(last) + 1 - int(first)


class TestWriting:
    def test_own_objects_are_known_by_their_stamp_alone(self, prefix: str, door: Gate) -> None:
        write(writing(prefix), WRITTEN, noise(4, 43, 70))
        head = s3_server.client().head_object(Bucket=BUCKET, Key=f"{prefix}/9.tif")
        assert (head["Metadata"], head["ContentType"]) == ({"ndex-stamp": "5tamp"}, "image/tiff")
        store = writing(prefix, door.url)
        assert store.check(volume_of(WRITTEN, stamp="5tamp")) == []
        assert (door.count("HEAD"), door.count("GET")) == (4, 3)
        assert store.held([(WRITTEN, 0)]).all()
        assert len(door.asked) == 7, "what was listed is not asked for again"

    def test_files_that_were_copied_there_are_known_too(self, prefix: str, tmp_path: Path) -> None:
        settings = images.Destination(path=str(tmp_path), pattern="{z}.tif")
        local = open_destination(job_of(destination=settings))
        local.expect(volume_of(WRITTEN, stamp="5tamp"))
        write(local, WRITTEN, noise(4, 43, 70))
        put(prefix, {path.name: path.read_bytes() for path in tmp_path.iterdir()})
        assert writing(prefix).check(volume_of(WRITTEN, stamp="5tamp")) == []

    def test_foreign_objects_are_not_touched(self, prefix: str) -> None:
        put(prefix, {"11.tif": b"precious"})
        store = writing(prefix)
        with pytest.raises(JobError, match=r"destination\.path=s3://planes/.*11\.tif is there already"):
            store.check(volume_of(WRITTEN, stamp="5tamp"))
        with pytest.raises(PermanentError, match="is there already"):
            write(store, WRITTEN, noise(4, 43, 70))
        assert names(prefix) == ["11.tif"]
        write(writing(prefix, stamp="other", overwrite=True), WRITTEN, noise(4, 43, 70))
        with pytest.raises(JobError, match="is there already"):
            writing(prefix).check(volume_of(WRITTEN, stamp="5tamp"))

    def test_a_task_that_fails_leaves_nothing(self, prefix: str, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        store = writing(prefix)
        with pytest.raises(ValueError, match="does not continue"):
            write(store, WRITTEN, noise(4, 43, 70)[:, :20], rows=20)
        assert (names(prefix), list(tmp_path.iterdir())) == ([], [])
        write(store, WRITTEN, noise(4, 43, 70))
        assert (len(names(prefix)), list(tmp_path.iterdir())) == (4, [])

    def test_an_upload_is_tried_again_and_only_that(self, prefix: str, door: Gate) -> None:
        store = writing(prefix, door.url)
        door.script["PUT", f"/{BUCKET}/{prefix}/10.tif"] = [Answer(503, "SlowDown", {"Retry-After": "0"})]
        write(store, WRITTEN, noise(4, 43, 70))
        assert door.count("PUT") == 5
        np.testing.assert_array_equal(store.read(WRITTEN, 0).array, noise(4, 43, 70))
        door.script["PUT", f"/{BUCKET}/{prefix}/10.tif"] = [Answer(500, "InternalError")] * 2
        with pytest.raises(TransientError, match=r"10\.tif: S3 answers InternalError"):
            write(store, WRITTEN, noise(4, 43, 70))

    def test_large_files_go_in_parts(self, prefix: str, door: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ndex.files.s3.CHUNK", 5 << 20)
        box = Box.of((0, 4000), (0, 3000), (0, 1))
        plane = noise(1, 3000, 4000)
        write(writing(prefix, door.url, box, compression="none"), box, plane, rows=1000)
        assert door.count("PUT") == 3
        np.testing.assert_array_equal(writing(prefix, box=box).read(box, 0).array, plane)
        head = s3_server.client().head_object(Bucket=BUCKET, Key=f"{prefix}/0.tif")
        assert head["Metadata"] == {"ndex-stamp": "5tamp"}

    def test_check_touches_nothing(self, prefix: str, door: Gate) -> None:
        lines = writing(prefix, door.url).check(volume_of(WRITTEN))
        assert lines[0] == f"folder s3://planes/{prefix}"
        assert lines[1].startswith("4 planes")
        assert {request.method for request in door.asked} == {"GET"}


@pytest.fixture
def guarded() -> Iterator[dict[str, str]]:
    """The server checks who asks: the keys of somebody who may read all objects but one, and write none."""
    import boto3

    iam = boto3.client("iam", endpoint_url=s3_server.endpoint())
    iam.create_user(UserName="reader")
    keys = iam.create_access_key(UserName="reader")["AccessKey"]
    statements = [
        {"Effect": "Allow", "Action": ["s3:List*", "s3:GetObject"], "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/guarded/s_0001.tif"},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="reader", PolicyName="reading", PolicyDocument=policy)
    requests.post(f"{s3_server.endpoint()}/moto-api/reset-auth", data="0", timeout=10)
    yield {"AWS_ACCESS_KEY_ID": keys["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"]}
    requests.post(f"{s3_server.endpoint()}/moto-api/reset-auth", data="inf", timeout=10)


class TestFaults:
    def test_who_asks_and_what_they_may(
        self, guarded: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        requests.post(f"{s3_server.endpoint()}/moto-api/reset-auth", data="100", timeout=10)
        put_stack("guarded", noise(3, 50, 60), tmp_path)
        requests.post(f"{s3_server.endpoint()}/moto-api/reset-auth", data="0", timeout=10)
        for missing in ("fail", "fill"):
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", guarded["AWS_ACCESS_KEY_ID"])
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", guarded["AWS_SECRET_ACCESS_KEY"])
            with pytest.raises(AccessError, match=r"guarded/s_0001\.tif: S3 answers AccessDenied\..*may not do that"):
                reading("guarded", missing=missing).facts()
            with pytest.raises(AccessError, match=r"AccessDenied"):
                write(writing("guarded-out"), WRITTEN, noise(4, 43, 70))
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dont-tell")
            with pytest.raises(AccessError, match=r"SignatureDoesNotMatch.*are not valid: check AWS_ACC") as caught:
                reading("guarded", missing=missing).facts()
            assert "dont-tell" not in repr(caught.value) + repr(caught.value.__cause__)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
            with pytest.raises(AccessError, match=r"source\.path=s3://planes/guarded: S3 answers InvalidAccessKeyId"):
                reading("guarded", missing=missing).facts()

    def test_no_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        with pytest.raises(
            AccessError, match=r"no credentials.*source\.profile, or, for a public bucket, source\.anon"
        ):
            reading("x").facts()
        with pytest.raises(AccessError, match=r"destination\.profile=lab: there is no such profile"):
            writing("x", profile="lab").check(volume_of(WRITTEN))

    def test_no_bucket_and_no_prefix(self) -> None:
        source = s3.Source(path="s3://nobodys/x", endpoint_url=s3_server.endpoint())
        with pytest.raises(Missing, match=r"source\.path=s3://nobodys/x: there is no bucket nobodys"):
            open_source(job_of(source)).facts()
        destination = s3.Destination(path="s3://nobodys/x", endpoint_url=s3_server.endpoint())
        with pytest.raises(Missing, match="there is no bucket nobodys"):
            open_destination(job_of(destination=destination)).check(volume_of(WRITTEN))
        with pytest.raises(Missing, match=r"s3://planes/nothing: there is nothing of that name in the bucket planes"):
            reading("nothing").facts()

    def test_nobody_there_and_something_else_there(self, tmp_path: Path) -> None:
        with pytest.raises(Unreachable, match=r"nobody answers at http://127\.0\.0\.1:9\. .*source\.endpoint_url"):
            reading("x", "http://127.0.0.1:9").facts()
        (tmp_path / "index.html").write_text("<html>no bucket</html>")
        from tile_trees import serving

        with serving(tmp_path) as web, pytest.raises((JobError, PermanentError), match=r"s3://planes/x"):
            reading("x", web.url).facts()

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(503, "SlowDown"),
            Answer(500, "InternalError"),
            Answer(429, "TooManyRequests"),
            Answer(400, "RequestTimeout"),
            Answer(206, "", cut=1000),
            Answer(412, "PreconditionFailed"),
        ],
        ids=lambda answer: answer.code or "cut short",
    )
    def test_what_may_pass_is_tried_as_the_job_says(
        self, answer: Answer, prefix: str, door: Gate, tmp_path: Path
    ) -> None:
        put_stack(prefix, noise(3, 50, 60), tmp_path)
        store = reading(prefix, door.url, missing="fill")
        store.facts()
        key = ("GET", f"/{BUCKET}/{prefix}/s_0001.tif")
        door.script[key] = [answer]
        door.asked.clear()
        np.testing.assert_array_equal(store.read(BOX, 0).array, noise(3, 50, 60))
        assert len(door.asked) == 4
        door.script[key] = [answer] * 2
        with pytest.raises(TransientError, match=r"s_0001\.tif"):
            store.read(BOX, 0)
        assert door.script[key] == [], "two attempts, as retry.attempts says, and none of boto3's own"

    @pytest.mark.parametrize("compression", [None, "deflate"])
    def test_what_may_pass_in_the_middle_of_a_plane_is_no_damage(
        self, compression: str | None, prefix: str, door: Gate, tmp_path: Path
    ) -> None:
        plane = noise(400, 500)
        put_stack(prefix, plane[None], tmp_path, compression=compression, rowsperstrip=9)
        store = reading(prefix, door.url, missing="fill")
        store.facts()
        door.script["GET", f"/{BUCKET}/{prefix}/s_0000.tif"] = [None, Answer(503, "SlowDown")]
        piece = store.read(Box.of((0, 500), (0, 400), (0, 1)), 0)
        assert piece.filled == ()
        np.testing.assert_array_equal(piece.array[0], plane)

    def test_an_object_that_is_replaced_while_it_is_read(self, prefix: str) -> None:
        put(prefix, {"plane": bytes(1 << 20)})
        place = place_at(f"s3://{BUCKET}/{prefix}", "key", Access(endpoint_url=s3_server.endpoint()))
        with place.open("plane") as file:
            assert file.read(10) == bytes(10)
            put(prefix, {"plane": b"\1" * (1 << 20)})
            with pytest.raises(TransientError, match="plane has changed while it was read"):
                file.read()

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (Answer(403, "ExpiredToken"), "ExpiredToken.*not valid"),
            (Answer(403, "RequestTimeTooSkewed"), "clock"),
            (Answer(301, "PermanentRedirect"), r"source\.region"),
            (Answer(403, "InvalidObjectState"), "archive"),
        ],
        ids=lambda value: value.code if isinstance(value, Answer) else "",
    )
    def test_what_is_no_absence_is_never_filled(
        self, answer: Answer, words: str, prefix: str, door: Gate, tmp_path: Path
    ) -> None:
        put_stack(prefix, noise(3, 50, 60), tmp_path)
        store = reading(prefix, door.url, missing="fill")
        store.facts()
        door.script["GET", f"/{BUCKET}/{prefix}/s_0001.tif"] = [answer] * 3
        with pytest.raises(JobError, match=words) as caught:
            store.read(BOX, 0)
        assert "secret" not in str(caught.value)
        assert SECRET not in str(caught.value)

    def test_absent_and_damaged_planes_follow_the_policy(self, prefix: str, tmp_path: Path) -> None:
        put_stack(prefix, noise(3, 50, 60), tmp_path, compression="deflate")
        store, filling = reading(prefix), reading(prefix, missing="fill")
        store.facts(), filling.facts()
        data = (tmp_path / "plane.tif").read_bytes()
        put(prefix, {"s_0001.tif": data[:1000]})
        s3_server.client().delete_object(Bucket=BUCKET, Key=f"{prefix}/s_0002.tif")
        with pytest.raises(DamagedData, match=r"s_0001\.tif is damaged"):
            store.read(Box.of((0, 60), (0, 50), (1, 2)), 0)
        with pytest.raises(PermanentError, match=r"s3://planes/.*/s_0002\.tif: there is no such object"):
            store.read(Box.of((0, 60), (0, 50), (2, 3)), 0)
        piece = filling.read(BOX, 0)
        assert piece.filled == (1, 2)
        np.testing.assert_array_equal(piece.array[0], noise(3, 50, 60)[0])
        assert not piece.array[1:].any()

    def test_an_empty_object(self, prefix: str) -> None:
        put(prefix, {"s_0000.tif": b""})
        with pytest.raises(JobError, match=r"s_0000\.tif is empty"):
            reading(prefix).facts()

    @pytest.mark.parametrize(
        ("keys", "words"),
        [
            ({"path": "https://bucket/x"}, "must be s3://bucket/prefix"),
            ({"path": "/data/em"}, "must be s3://bucket/prefix"),
            ({"endpoint_url": "minio:9000"}, "endpoint_url: must be an address such as"),
            ({"endpoint_url": "https://me:secret@minio"}, "without credentials"),
            ({"anonymous": True, "profile": "lab"}, "profile=lab cannot be used"),
        ],
        ids=str,
    )
    def test_settings_that_are_refused(self, keys: dict[str, Any], words: str) -> None:
        with pytest.raises(ValueError, match=words) as caught:
            s3.Source(**{"path": "s3://bucket", **keys})
        assert "secret" not in str(caught.value)

    def test_an_address_without_a_bucket(self) -> None:
        with pytest.raises(JobError, match=r"key=s3:///x: the name of a bucket must follow"):
            place_at("s3:///x", "key", Access())
