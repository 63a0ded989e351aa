"""Jobs that convert voxels on the way, end to end: windows, labels that are widened, casts that would lose values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ndex.__main__ import main
from ndex.boss.client import BossClient
from ndex.job import Boss, Retry
from ndex.server.process import TOKEN_ENV, running

SHAPE = (19, 45, 70)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("boss")) as address:
        yield address


@pytest.fixture
def client(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BossClient]:
    monkeypatch.chdir(tmp_path)
    client = BossClient.connect(Boss(host=host, protocol="http", token_env=TOKEN_ENV), Retry(attempts=1))
    yield client
    client.close()


def planes(dtype: str, most: int | None = None) -> np.ndarray:
    """A folder `in` with noise in it, all the dtype can hold; the noise."""
    values = np.random.default_rng(1).integers(0, most or np.iinfo(dtype).max, SHAPE, dtype, endpoint=True)
    Path("in").mkdir()
    for z, plane in enumerate(values):
        tifffile.imwrite(f"in/p_{z:03d}.tif", plane)
    return values


def to_boss(client: BossClient, channel: str, *more: str) -> list[str]:
    return [
        *("boss=custom", f"boss.host={client.host}", "boss.protocol=http", f"boss.token_env={TOKEN_ENV}"),
        *("source=images", "source.path=in", "resource.collection=c", f"resource.experiment={channel}"),
        *(f"resource.channel={channel}", "resource.voxel_size=[1,1,1]", "verify=full", *more),
    ]


def stored(client: BossClient, channel: str) -> np.ndarray:
    found, frame = client.channel("c", channel, channel), client.frame(f"c_{channel}")
    assert found is not None
    assert frame is not None
    return client.get_cutout(found, 0, frame.box, None)


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_window_makes_8_bits_of_16(backend: str, client: BossClient) -> None:
    values = planes("uint16")
    window = ["convert.dtype=uint8", "convert.window=[1000,60000]", f"parallel={backend}"]
    assert main(to_boss(client, f"window_{backend}", *window)) == 0
    expected = np.rint(np.clip((values - 1000.0) * 255 / 59_000, 0, 255))
    np.testing.assert_array_equal(stored(client, f"window_{backend}"), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_labels_become_64_bits_wide_and_come_back(dtype: str, client: BossClient) -> None:
    values = planes(dtype)
    job = to_boss(client, f"labels_{dtype}", "resource.channel_type=annotation")
    assert main(job) == 0
    assert stored(client, f"labels_{dtype}").dtype == np.uint64
    np.testing.assert_array_equal(stored(client, f"labels_{dtype}"), values)
    back = [key for key in job if not key.startswith("source")]
    narrow = [f"convert.dtype={dtype}", "convert.lossy=true"]
    assert main([*back, "destination=images", "destination.path=out", *narrow]) == 0
    planes_back = np.stack([tifffile.imread(path) for path in sorted(Path("out").glob("*.tif"))])
    assert planes_back.dtype == dtype
    np.testing.assert_array_equal(planes_back, values)


def test_labels_go_into_a_channel_that_is_there(client: BossClient) -> None:
    values = planes("uint16")
    assert main(to_boss(client, "seg", "resource.channel_type=annotation", "action=create")) == 0
    assert main(to_boss(client, "seg")) == 0
    np.testing.assert_array_equal(stored(client, "seg"), values)


def test_labels_stay_narrow_where_that_is_asked_for(client: BossClient) -> None:
    values = planes("uint16")
    assert main(to_boss(client, "narrow", "resource.channel_type=annotation", "resource.datatype=uint16")) == 0
    assert stored(client, "narrow").dtype == np.uint16
    np.testing.assert_array_equal(stored(client, "narrow"), values)


def test_values_beyond_the_dtype_are_refused_unless_that_is_allowed(
    client: BossClient, capsys: pytest.CaptureFixture[str]
) -> None:
    values = planes("uint16", 400)
    job = to_boss(client, "lossy", "convert.dtype=uint8")
    assert main(job) == 2
    err = capsys.readouterr().err
    assert "convert.dtype=uint8: voxels of uint16 may not fit into uint8" in err
    assert "convert.lossy=true" in err
    assert client.channel("c", "lossy", "lossy") is None
    assert main([*job, "convert.lossy=true"]) == 0
    np.testing.assert_array_equal(stored(client, "lossy"), np.minimum(values, 255))


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (["convert.window=[9,3]"], "convert.window=[9.0, 3.0]: the low value must be below the high one"),
        (["convert.window=[0,inf]"], "convert.window=[0.0, inf]: both must be finite"),
        (["convert.window=[0,nan]"], "convert.window=[0.0, nan]: both must be finite"),
        (
            ["convert.window=[0,9]", "convert.dtype=uint64", "resource.channel_type=annotation"],
            "convert.window=[0, 9] rescales intensities",
        ),
        (["convert.window=[0,9]", "resource.channel_type=annotation"], "convert.window=[0, 9] rescales intensities"),
        (["convert.dtype=uint32"], "resource.datatype"),
        (["resource.datatype=uint8"], "The data are uint16, but resource.datatype=uint8. Give convert.dtype=uint8"),
    ],
)
def test_a_conversion_that_makes_no_sense(
    keys: list[str], sentence: str, client: BossClient, capsys: pytest.CaptureFixture[str]
) -> None:
    planes("uint16")
    assert main(to_boss(client, "nonsense", "resource.channel_type=image", *keys)) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert client.channel("c", "nonsense", "nonsense") is None
