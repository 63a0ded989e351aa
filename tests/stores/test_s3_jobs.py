"""Jobs that read and write planes in a bucket, as a user starts them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import s3_server
import tifffile
from planes import noise

import ndex
from ndex.__main__ import main
from ndex.server.process import TOKEN_ENV, running

BUCKET = "jobs-of-tests"
ENDPOINT = f"endpoint_url={s3_server.endpoint()}"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("boss")) as address:
        yield address


@pytest.fixture(scope="module", autouse=True)
def bucket() -> str:
    return s3_server.new_bucket(BUCKET)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def at(host: str, channel: str) -> list[str]:
    return [
        *("boss=custom", f"boss.host={host}", "boss.protocol=http", f"boss.token_env={TOKEN_ENV}"),
        *(f"resource.collection={channel}", "resource.experiment=run", f"resource.channel={channel}"),
        *("verify=full", "retry.wait=0", "retry.attempts=2", "parallel.n_jobs=2"),
    ]


def put_planes(prefix: str, volume: np.ndarray, first: int) -> None:
    for z, plane in enumerate(volume, first):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, plane, rowsperstrip=7, compression="zlib")
        s3_server.client().put_object(Bucket=BUCKET, Key=f"{prefix}/em_{z:04d}.tif", Body=buffer.getvalue())


def planes_in(prefix: str) -> np.ndarray:
    client = s3_server.client()
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")["Contents"]]
    bodies = [client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in sorted(keys)]
    return np.stack([tifffile.imread(io.BytesIO(body)) for body in bodies])


def ingest(host: str, channel: str, *more: str) -> list[str]:
    return [
        *("job=ingest_s3", f"source.path=s3://{BUCKET}/{channel}", "source.pattern=em_%04d.tif", f"source.{ENDPOINT}"),
        *("resource.voxel_size=[4,4,40]", *at(host, channel), *more),
    ]


@pytest.mark.parametrize(("backend", "dtype"), [("threads", "uint16"), ("processes", "uint8")])
def test_there_and_back(backend: str, dtype: str, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    volume = noise(19, 530, 521, dtype=np.dtype(dtype))
    put_planes(backend, volume, 5)
    up = ingest(host, backend, f"parallel={backend}")
    assert main(up) == 0
    assert main(up) == 0
    assert "nothing is left to do" in capsys.readouterr().out
    down = [
        *("job=download_to_s3", f"destination.path=s3://{BUCKET}/{backend}-back", f"destination.{ENDPOINT}"),
        *(*at(host, backend), f"parallel={backend}", "extent.x=[3,520]", "extent.y=[500,530]", "extent.z=[6,24]"),
    ]
    assert main(down) == 0
    np.testing.assert_array_equal(planes_in(f"{backend}-back"), volume[1:, 500:530, 3:520])
    s3_server.client().delete_object(Bucket=BUCKET, Key=_first(f"{backend}-back"))
    assert main(down) == 0, "the plane that is gone is written again"
    np.testing.assert_array_equal(planes_in(f"{backend}-back"), volume[1:, 500:530, 3:520])
    assert main([*down, "action=verify"]) == 0


def _first(prefix: str) -> str:
    return min(entry["Key"] for entry in s3_server.client().list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"])


def test_from_bucket_to_bucket_without_a_boss(here: Path) -> None:
    volume = noise(3, 40, 50)
    put_planes("from", volume, 0)
    settings = [
        *("source=s3", f"source.path=s3://{BUCKET}/from", "source.pattern=em_%04d.tif", f"source.{ENDPOINT}"),
        *("destination=s3", f"destination.path=s3://{BUCKET}/to", f"destination.{ENDPOINT}", "verify=full"),
    ]
    assert ndex.run(ndex.compose(None, *settings, "destination.pattern=to_%04d.png")).exit_code == 0
    assert [entry.name for entry in here.iterdir() if entry.suffix == ".tif"] == []
    found = s3_server.client().list_objects_v2(Bucket=BUCKET, Prefix="to/")["Contents"]
    assert [entry["Key"] for entry in found] == ["to/to_0000.png", "to/to_0001.png", "to/to_0002.png"]


def test_a_job_onto_itself_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    put_planes("same", noise(1, 4, 5), 0)
    path = f"path=s3://{BUCKET}/same"
    settings = [
        *("source=s3", f"source.{path}/", "source.pattern=em_%04d.tif", f"source.{ENDPOINT}"),
        *("destination=s3", f"destination.{path}", "destination.pattern='em_{z:04d}.tif'", f"destination.{ENDPOINT}"),
    ]
    assert main(settings) == 2
    assert "source and destination are the same" in capsys.readouterr().err
    settings[5] = "destination.pattern=other_%04d.tif"
    assert main([*settings[:7], f"destination.{ENDPOINT}", "destination.overwrite=true"]) == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("source.path=s3://no-such-bucket/em", "there is no bucket no-such-bucket"),
        (f"source.path=s3://{BUCKET}/nothing", "there is nothing of that name in the bucket"),
        ("source.endpoint_url=http://127.0.0.1:9", "nobody answers at http://127.0.0.1:9"),
        ("source.endpoint_url=minio:9000", "source.endpoint_url: must be an address such as"),
        ("source.path=em", "must be s3://bucket/prefix"),
        ("source.profile=lab", "there is no such profile"),
    ],
)
def test_wrong_places_end_with_2(more: str, words: str, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    put_planes("wrong", noise(1, 4, 5), 0)
    assert main(ingest(host, "wrong", more)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_a_damaged_object_is_a_counted_failure(host: str) -> None:
    put_planes("damaged", noise(33, 40, 50), 0)
    client = s3_server.client()
    body = client.get_object(Bucket=BUCKET, Key="damaged/em_0020.tif")["Body"].read()
    client.put_object(Bucket=BUCKET, Key="damaged/em_0020.tif", Body=body[:1500])
    job = ndex.compose(None, *ingest(host, "damaged"))
    result = ndex.run(job)
    assert (result.exit_code, result.done, len(result.failed)) == (1, 2, 1)
    assert "em_0020.tif is damaged" in result.failed[0].reason
    filled = ndex.run(ndex.compose(None, *ingest(host, "damaged", "missing=fill")))
    assert (filled.exit_code, filled.filled) == (0, (20,))
