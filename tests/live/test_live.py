"""Against a real BOSS and a real Slack. Skipped unless BOSS_TOKEN and BOSS_HOST, or SLACK_TOKEN and SLACK_CHANNEL, are
set in the environment or in `.env`: BOSS_TOKEN=public BOSS_HOST=api.bossdb.io python -m pytest -m live tests/live
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from settings import given

import ndex
from ndex.errors import AccessError, Missing
from ndex.job import Notify
from ndex.notifications import Message
from ndex.slack import Sender, find_token

pytestmark = pytest.mark.live

APICAL = ["resource.collection=kharris15", "resource.experiment=apical", "resource.channel=em"]


@pytest.fixture
def boss(live: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Overrides that lead to the BOSS, in an empty working directory. BOSS_PROTOCOL=http reaches one on loopback."""
    _, host = live("BOSS_TOKEN", "BOSS_HOST")
    monkeypatch.chdir(tmp_path)
    protocol = given("BOSS_PROTOCOL")["BOSS_PROTOCOL"] or "https"
    return ["boss=custom", f"boss.host={host}", f"boss.protocol={protocol}"]


def test_a_public_download(boss: list[str], tmp_path: Path) -> None:
    part = ["extent.x=[4096,4224]", "extent.y=[4608,4700]", "extent.z=[90,93]"]
    job = ndex.compose(None, *boss, *APICAL, *part, "destination=images", "destination.path=apical", "verify=full")
    try:
        result = ndex.run(job)
    except Missing as missing:
        pytest.skip(str(missing))
    assert (result.exit_code, result.verified) == (0, result.tasks)
    planes = [tifffile.imread(path) for path in sorted((tmp_path / "apical").glob("*.tif"))]
    assert [plane.shape for plane in planes] == [(92, 128)] * 3
    assert all(plane.any() for plane in planes)
    assert ndex.run(job).resumed == result.tasks


def test_describe(boss: list[str]) -> None:
    job = ndex.compose(None, *boss, *APICAL, "action=describe", "destination=images", "destination.path=x")
    try:
        details = ndex.run(job).details
    except Missing as missing:
        pytest.skip(str(missing))
    assert {"kharris15", "apical"} <= set(re.findall(r"\w+", str(details)))


def test_an_ingest_comes_back_equal(boss: list[str], tmp_path: Path) -> None:
    """In a collection of its own, which is deleted afterwards; skipped when the account may not make one."""
    name = f"ndex_live_{secrets.token_hex(4)}"
    volume = np.random.default_rng(1).integers(1, 255, (3, 70, 600), np.uint8)
    (tmp_path / "in").mkdir()
    for z, plane in enumerate(volume):
        tifffile.imwrite(tmp_path / "in" / f"{z:04d}.tif", plane)
    resource = [f"resource.collection={name}", "resource.experiment=run", "resource.channel=em", *boss]
    up = ["source=images", "source.path=in", "source.pattern=%04d.tif", "resource.voxel_size=[4,4,40]", "verify=full"]
    down = ["destination=images", "destination.path=out", "destination.pattern=%04d.tif"]
    try:
        assert ndex.run(ndex.compose(None, *up, *resource)).exit_code == 0
        assert ndex.run(ndex.compose(None, *down, *resource)).exit_code == 0
    except AccessError as denied:
        pytest.skip(f"this account may not ingest: {denied}")
    finally:
        remove(name)
    back = [tifffile.imread(path) for path in sorted((tmp_path / "out").glob("*.tif"))]
    assert np.array_equal(np.stack(back), volume)


def remove(collection: str) -> None:
    """Delete what the ingest made, as much of it as there is."""
    from intern.remote.boss import BossRemote
    from intern.resource.boss import ChannelResource, CollectionResource, CoordinateFrameResource, ExperimentResource
    from requests import HTTPError

    found = given("BOSS_TOKEN", "BOSS_HOST", "BOSS_PROTOCOL")
    protocol = found["BOSS_PROTOCOL"] or "https"
    remote = BossRemote({"protocol": protocol, "host": found["BOSS_HOST"], "token": found["BOSS_TOKEN"]})
    inside_out = (
        ChannelResource("em", collection, "run"),
        ExperimentResource("run", collection),
        CoordinateFrameResource(f"{collection}_run"),
        CollectionResource(collection),
    )
    for resource in inside_out:
        try:
            remote.delete_project(resource)
        except HTTPError as error:
            print(f"{resource.name} was not deleted: {error}")


def test_a_message_with_a_file(live: Callable[..., list[str]], caplog: pytest.LogCaptureFixture) -> None:
    _, channel = live("SLACK_TOKEN", "SLACK_CHANNEL")
    notify = Notify("slack", channel=channel)
    Sender(notify, find_token(notify))(Message("*ndex*: a live test", "the last line of a log"))
    assert caplog.text == ""
