"""Every wrong job ends with exit code 2 and one or two lines that name key and value; nothing is made or moved."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ndex.__main__ import main
from ndex.boss.client import BossClient
from ndex.job import Boss, Retry
from ndex.server.process import TOKEN_ENV, running

PLANES = [f"p_{z:03d}.tif" for z in range(5)]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("boss")) as address:
        yield address


@pytest.fixture(scope="module")
def client(host: str) -> BossClient:
    return BossClient.connect(Boss(host=host, protocol="http", token_env=TOKEN_ENV), Retry(attempts=1))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a folder of five good planes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "em").mkdir()
    for name in PLANES:
        tifffile.imwrite(tmp_path / "em" / name, np.full((8, 9), 7, np.uint8))
    return tmp_path


def resource(host: str, channel: str = "em", collection: str = "wrong") -> list[str]:
    return [
        *("boss=custom", f"boss.host={host}", "boss.protocol=http", f"boss.token_env={TOKEN_ENV}"),
        *(f"resource.collection={collection}", "resource.experiment=run", f"resource.channel={channel}"),
    ]


def upload(host: str, *more: str, **names: str) -> list[str]:
    files = ["source=images", "source.path=em", "source.pattern=p_%03d.tif", "resource.voxel_size=[1,1,1]"]
    return [*files, *resource(host, **names), *more]


def break_plane(content: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: tifffile.imwrite(folder / "em" / PLANES[2], content)


def nothing(folder: Path) -> None:
    """The files are good."""


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


WRONG = {
    "unknown key": (nothing, ["resource.chanel=x"], ["resource.chanel", "resource.channel"]),
    "unknown top-level key": (nothing, ["extend.x=[0,1]"], ["extend", "extent"]),
    "missing keys": (nothing, ["resource.channel=???", "source.path=???"], ["resource.channel", "source.path"]),
    "reversed extent": (nothing, ["extent.x=[5,3]"], ["extent.x", "[5, 3]"]),
    "negative extent": (nothing, ["extent.z=[-5,3]"], ["extent.z", "[-5, 3]", "0 to 5"]),
    "extent out of range": (nothing, ["extent.y=[0,100]"], ["extent.y", "[0, 100]", "0 to 8"]),
    "extent of a wrong length": (nothing, ["extent.y=[0]"], ["extent.y"]),
    "not a number": (nothing, ["shard.count=many"], ["shard.count", "many"]),
    "shard beyond the count": (nothing, ["shard.count=2", "shard.index=2"], ["shard.index=2", "shard.count=2"]),
    "unknown action": (nothing, ["action=upload"], ["action", "upload", "run"]),
    "impossible name": (nothing, ["resource.channel=my.em"], ["my.em"]),
    "missing folder": (nothing, ["source.path=nowhere"], ["source.path", "nowhere"]),
    "no matching file": (nothing, ["source.pattern=q_%03d.tif"], ["source.pattern", "q_%03d.tif"]),
    "a gap in z": (lambda folder: (folder / "em" / PLANES[2]).unlink(), [], ["2", "missing"]),
    "a plane of another size": (break_plane(np.zeros((8, 10), np.uint8)), [], [PLANES[2], "10", "9"]),
    "a plane of another type": (break_plane(np.zeros((8, 9), np.uint16)), [], [PLANES[2], "uint16", "uint8"]),
    "a plane of floats": (break_plane(np.zeros((8, 9), np.float32)), [], [PLANES[2], "float"]),
    "a plane of signed integers": (break_plane(np.zeros((8, 9), np.int16)), [], [PLANES[2], "signed"]),
    "a plane of colours": (break_plane(np.zeros((8, 9, 3), np.uint8)), [], [PLANES[2]]),
    "another datatype": (nothing, ["resource.datatype=uint16"], ["uint8", "uint16", "convert.dtype"]),
    "a lossy cast": (nothing, ["resource.datatype=uint8", "source.path=em16"], ["uint16", "uint8"]),
    "no voxel size": (nothing, ["resource.voxel_size=null"], ["resource.voxel_size"]),
    "nothing may be created": (nothing, ["resource.create=false"], ["resource.create", "wrong"]),
    "too little memory": (nothing, ["parallel.memory=1"], ["parallel.memory"]),
    "a token as a value": (nothing, ["+boss.token=abc123"], ["token", "token_env"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_upload_is_refused(
    case: str, host: str, client: BossClient, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, overrides, named = WRONG[case]
    (here / "em16").mkdir()
    for name in PLANES:
        tifffile.imwrite(here / "em16" / name, np.full((8, 9), 700, np.uint16))
    spoil(here)
    assert main(upload(host, *overrides)) == 2
    _, err = capsys.readouterr()
    assert 1 <= len(err.splitlines()) <= 2, err
    assert all(name in err for name in named), err
    assert "Traceback" not in err
    assert "abc123" not in err
    assert client.collection("wrong") is None
    assert not (here / ".ndex" / "journal").exists()


def test_the_channel_holds_another_type(host: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(upload(host, collection="held")) == 0
    capsys.readouterr()
    for name in PLANES:
        tifffile.imwrite(here / "em" / name, np.full((8, 9), 700, np.uint16))
    assert main(upload(host, collection="held")) == 2
    err = capsys.readouterr().err
    assert "uint8" in err
    assert "uint16" in err
    assert len(err.splitlines()) <= 2


def test_the_frame_is_too_small(host: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(upload(host, "extent.x=[0,5]", collection="small")) == 0
    assert main(upload(host, collection="small")) == 2
    err = capsys.readouterr().err
    assert "0:5" in err or "5" in err
    assert "9" in err


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["resource.channel=absent"], ["absent"]),
        (["boss.token_env=NDEX_TEST_WRONG_TOKEN"], ["token"]),
        (["boss.token_env=NDEX_TEST_NO_SUCH_VARIABLE", "resource.collection=hidden"], ["hidden"]),
        (["boss.token_file=nowhere.txt"], ["boss.token_file", "nowhere.txt"]),
        (["extent.x=[0,100]"], ["extent.x", "[0, 100]"]),
        (["resource.resolution=1"], ["resolution"]),
        (["destination.pattern=../p_%03d.tif"], ["destination.pattern"]),
        (["destination.path=em", "destination.pattern=p_%03d.tif"], ["destination", "overwrite"]),
    ],
)
def test_a_wrong_download_is_refused(
    overrides: list[str], named: list[str], host: str, here: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("NDEX_TEST_WRONG_TOKEN", "sesame-open")
    assert main(upload(host, collection="good")) == 0
    capsys.readouterr()
    before = sorted(here.rglob("em/*"))
    assert main(["destination=images", "destination.path=out", *resource(host, collection="good"), *overrides]) == 2
    err = capsys.readouterr().err
    assert 1 <= len(err.splitlines()) <= 2, err
    assert all(name in err for name in named), err
    assert "sesame" not in err
    assert not (here / "out").exists()
    assert sorted(here.rglob("em/*")) == before


def test_an_unreachable_host(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = free_port()
    assert main([*upload(nobody), "retry.wait=0"]) == 2
    err = capsys.readouterr().err
    assert nobody in err
    assert len(err.splitlines()) <= 2


def test_source_and_destination_are_the_same(host: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(resource(host, collection="good")) == 2
    assert "same" in capsys.readouterr().err


def test_a_script_finds_the_reason_in_the_last_line(host: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*upload(host), "extent.z=[0,99]", "report.format=json"]) == 2
    out, err = capsys.readouterr()
    result = json.loads(out.splitlines()[-1])
    assert (result["event"], result["exit_code"]) == ("Result", 2)
    assert result["error"] in err
