"""Jobs that read trees of tiles, as a user starts them: into the embedded BOSS, and into files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import s3_server
import tifffile
from planes import noise
from tile_trees import serving, upload_tree, write_tree

import ndex
from ndex.__main__ import main
from ndex.server.process import TOKEN_ENV, running

VOLUME = noise(18, 90, 521)
"""Tiles of 50 x 40 do not divide it, nor cuboids."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("boss")) as address:
        yield address


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    write_tree(folder, VOLUME, 5, "{z}/{y}_{x}_0.png")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ingest(host: str, channel: str, path: object, *more: str) -> list[str]:
    return [
        *("job=ingest_tiles", f"source.path={path}", 'source.pattern="{z}/{y}_{x}_0.png"', "source.tile=[50,40]"),
        *("boss=custom", f"boss.host={host}", "boss.protocol=http", f"boss.token_env={TOKEN_ENV}"),
        *(f"resource.collection={channel}", "resource.experiment=run", "resource.channel=em"),
        *("resource.voxel_size=[4,4,40]", "verify=full", "parallel.n_jobs=2", "retry.wait=0", "retry.attempts=2"),
        *more,
    ]


def back(host: str, channel: str) -> np.ndarray:
    """What the BOSS has, as a download brings it."""
    down = [
        *("destination=images", "destination.path=back", "destination.pattern=z%04d.tif"),
        *(setting for setting in ingest(host, channel, "") if setting.startswith(("boss", "resource"))),
    ]
    assert ndex.run(ndex.compose(None, *down)).exit_code == 0
    return np.stack([tifffile.imread(path) for path in sorted(Path("back").iterdir())])


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_folder(backend: str, host: str, tree: Path) -> None:
    assert main(ingest(host, backend, tree, f"parallel={backend}")) == 0
    np.testing.assert_array_equal(back(host, backend), VOLUME)


def test_a_bucket(host: str, here: Path) -> None:
    write_tree(here / "tree", VOLUME[:5], 5, "{z}/{y}_{x}_0.png")
    upload_tree(here / "tree", s3_server.new_bucket("tiles-of-jobs"), "level0")
    more = [f"source.endpoint_url={s3_server.endpoint()}", "source.size=[521,90]", "source.z=[5,23]"]
    extent = ["extent.z=[6,9]", "extent.x=[45,160]"]
    assert main(ingest(host, "bucket", "s3://tiles-of-jobs/level0", *more, *extent)) == 0
    np.testing.assert_array_equal(back(host, "bucket"), VOLUME[1:4, :, 45:160])


def test_the_web(host: str, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(tree) as web:
        assert main(ingest(host, "web", web.url)) == 2
        assert "files on the web cannot be listed" in capsys.readouterr().err
        assert main(ingest(host, "web", web.url, "source.size=[521,90]", "source.z=[5,23]")) == 0
    np.testing.assert_array_equal(back(host, "web"), VOLUME)


def test_into_files_without_a_boss(tree: Path) -> None:
    settings = ["source=tiles", f"source.path={tree}", 'source.pattern="{z}/{y}_{x}_0.png"', "source.tile=[50,40]"]
    more = ["destination=images", "destination.path=out", "destination.pattern=z%04d.tif", "verify=full"]
    assert main([*settings, *more, "source.origin=[-7,30,0]", "offset=auto", "extent.y=[33,110]"]) == 0
    found = np.stack([tifffile.imread(path) for path in sorted(Path("out").iterdir())])
    np.testing.assert_array_equal(found, VOLUME[:, 3:80])


def test_tiles_that_are_missing(host: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    volume = VOLUME[:3]
    write_tree(here / "tree", volume, 5, "{z}/{y}_{x}_0.png")
    (here / "tree/6/1_3_0.png").unlink()
    assert main(ingest(host, "missing", here / "tree")) == 2
    assert "1 tile is missing:" in capsys.readouterr().err
    result = ndex.run(ndex.compose(None, *ingest(host, "missing", here / "tree", "missing=fill")))
    assert (result.exit_code, result.filled) == (0, (6,))
    expected = volume.copy()
    expected[1, 40:80, 150:200] = 0
    np.testing.assert_array_equal(back(host, "missing"), expected)


def test_one_that_vanishes_fails_its_task_only(host: str, here: Path) -> None:
    write_tree(here / "tree", VOLUME, 5, "{z}/{y}_{x}_0.png")
    (here / "tree/20/1_3_0.png").unlink()
    known = ["source.size=[521,90]", "source.z=[5,23]"]
    result = ndex.run(ndex.compose(None, *ingest(host, "vanished", here / "tree", *known)))
    assert (result.exit_code, result.done, len(result.failed)) == (1, 1, 1)
    assert "1_3_0.png" in result.failed[0].reason
