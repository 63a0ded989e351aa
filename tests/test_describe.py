"""`action: describe`: what is shown of a resource, to whom, and when only a part of it is named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

import ndex
from ndex.__main__ import main
from ndex.boss.client import BossClient
from ndex.boss.records import Channel, Collection, CoordinateFrame, Experiment
from ndex.geometry import Box
from ndex.job import Boss, Described, Retry
from ndex.server.process import TOKEN_ENV, running
from ndex.tree import tree

HIDDEN = "not readable with this token"
FRAME = CoordinateFrame("run7_frame", Box.of((0, 1001), (10, 700), (5, 50)), (4.0, 4.0, 40.0), "nanometers")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A BOSS with a private collection and a public channel in it, and one that is public altogether."""
    with running(tmp_path_factory.mktemp("boss")) as address:
        client = BossClient.connect(Boss(host=address, protocol="http", token_env=TOKEN_ENV), Retry(attempts=1))
        client.create_frame(FRAME)
        for collection in ("lab", "open", "locked"):
            client.create_collection(Collection(collection, "bench data"))
            client.create_experiment(Experiment(collection, "run7", FRAME.name, levels=3, isotropic=False))
        for collection, name, dtype in (("lab", "em", "uint8"), ("lab", "raw", "uint16"), ("open", "em", "uint8")):
            client.create_channel(Channel(collection, "run7", name, "image", np.dtype(dtype), base=int(name == "raw")))
        client.put_metadata("offsets", "[53, 0, 3]", "lab", "run7")
        for path in (
            "lab/experiment/run7/channel/em",
            "open",
            "open/experiment/run7",
            "open/experiment/run7/channel/em",
        ):
            headers = {"Authorization": f"Token {os.environ[TOKEN_ENV]}"}
            url = f"http://{address}/v1/collection/{path}"
            assert requests.put(url, json={"public": True}, headers=headers, timeout=9).ok
        client.close()
        yield address


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asking(host: str, *names: str, token: str = TOKEN_ENV) -> list[str]:
    """To describe as much of collection, experiment and channel as there are names."""
    resource = [
        f"resource.{key}={name}" for key, name in zip(("collection", "experiment", "channel"), names, strict=False)
    ]
    boss = ["boss=custom", f"boss.host={host}", "boss.protocol=http", f"boss.token_env={token}"]
    return ["action=describe", *boss, *resource]


def described(host: str, *names: str, token: str = TOKEN_ENV) -> dict:
    return ndex.run(ndex.compose(None, *asking(host, *names, token=token))).details


def anonymous(host: str, *names: str) -> dict:
    return described(host, *names, token="NDEX_TEST_NO_SUCH_VARIABLE")


def test_all_of_a_channel_as_facts(host: str, here: Path) -> None:
    def level(x: int, y: int, voxel: float, data: str) -> dict:
        return {"extent": {"x": [0, x], "y": [10, y], "z": [5, 50]}, "voxel_size": [voxel, voxel, 40.0], "data": data}

    assert described(host, "lab", "run7", "raw") == {
        "host": host,
        "collection": {"name": "lab", "description": "bench data", "experiments": ["run7"], "metadata": {}},
        "experiment": {
            "name": "run7",
            "description": "",
            "channels": ["em", "raw"],
            "levels": 3,
            "hierarchy": "anisotropic",
            "time_samples": 1,
            "metadata": {"offsets": "[53, 0, 3]"},
        },
        "coordinate_frame": {
            "name": "run7_frame",
            "description": "",
            "extent": {"x": [0, 1001], "y": [10, 700], "z": [5, 50]},
            "voxel_size": [4.0, 4.0, 40.0],
            "voxel_unit": "nanometers",
        },
        "channel": {
            "name": "raw",
            "description": "",
            "type": "image",
            "datatype": "uint16",
            "base_resolution": 1,
            "source_channels": [],
            "related_channels": [],
            "downsampling": "NOT_DOWNSAMPLED",
            "resolutions": {
                "0": level(1001, 700, 4.0, "none"),
                "1": level(501, 350, 8.0, "as uploaded"),
                "2": level(251, 175, 16.0, "not computed"),
            },
            "metadata": {},
        },
    }
    assert not list(here.iterdir())


def test_what_a_person_reads(host: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(asking(host, "lab", "run7", "em")) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"host  {host}",
        "collection lab",
        "  description  bench data",
        "  experiments  run7",
        "experiment run7",
        "  channels      em, raw",
        "  levels        3",
        "  hierarchy     anisotropic",
        "  time samples  1",
        "  metadata",
        "    offsets  [53, 0, 3]",
        "coordinate frame run7_frame",
        "  extent      x 0:1001, y 10:700, z 5:50",
        "  voxel size  4 x 4 x 40",
        "  voxel unit  nanometers",
        "channel em",
        "  type             image",
        "  datatype         uint8",
        "  base resolution  0",
        "  downsampling     NOT_DOWNSAMPLED",
        "  resolutions",
        "    0  x 0:1001, y 10:700, z 5:50  4 x 4 x 40    as uploaded",
        "    1  x 0:501, y 10:350, z 5:50   8 x 8 x 40    not computed",
        "    2  x 0:251, y 10:175, z 5:50   16 x 16 x 40  not computed",
    ]


def test_what_a_program_reads(host: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*asking(host, "lab", "run7", "em"), "report.format=json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["details"] == described(host, "lab", "run7", "em")


def test_as_much_as_is_named(host: str, here: Path) -> None:
    assert sorted(described(host)["collections"]) == ["lab", "locked", "open"]
    assert list(described(host, "lab")) == ["host", "collection"]
    assert described(host, "lab")["collection"]["experiments"] == ["run7"]
    assert list(described(host, "lab", "run7")) == ["host", "collection", "experiment", "coordinate_frame"]
    assert described(host, "lab", "run7")["experiment"]["channels"] == ["em", "raw"]


def test_a_public_channel_in_a_private_experiment(host: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = anonymous(host, "lab", "run7", "em")
    assert facts["collection"] == {"name": "lab", "access": HIDDEN, "experiments": []}
    assert facts["experiment"] == {"name": "run7", "access": HIDDEN, "channels": ["em"]}
    assert "coordinate_frame" not in facts
    assert facts["channel"]["metadata"] == HIDDEN
    assert facts["channel"]["datatype"] == "uint8"
    level = facts["channel"]["resolutions"]["1"]
    assert level["extent"] == {"x": [None, 501], "y": [None, 350], "z": [None, 50]}, "the frame is not told"
    assert main(asking(host, "lab", "run7", "em", token="NDEX_TEST_NO_SUCH_VARIABLE")) == 0
    assert "    1  x ?:501, y ?:350, z ?:50   8 x 8 x 40    not computed" in capsys.readouterr().out.splitlines()
    assert anonymous(host, "lab", "run7")["experiment"]["channels"] == ["em"]


def test_public_resources_whose_metadata_is_not(host: str, here: Path) -> None:
    facts = anonymous(host, "open", "run7", "em")
    assert [facts[key]["metadata"] for key in ("collection", "experiment", "channel")] == [HIDDEN] * 3
    assert facts["coordinate_frame"]["extent"]["y"] == [10, 700]
    assert anonymous(host)["collections"] == ["open"]


@pytest.mark.parametrize("names", [("locked",), ("locked", "run7"), ("lab",), ("lab", "run7", "raw")])
def test_what_nobody_may_see_is_an_error(
    names: tuple[str, ...], host: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asking(host, *names, token="NDEX_TEST_NO_SUCH_VARIABLE")) == 2
    assert names[-1] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("lap",), "resource.collection=lap: {host} has no such collection; did you mean lab?"),
        (("lab", "xyz"), "resource.experiment=xyz: lab has no such experiment; there is run7"),
        (("lab", "run7", "ram"), "resource.channel=ram: lab/run7 has no such channel; did you mean raw?"),
        (("lab", "a.b"), "names consist of"),
    ],
)
def test_what_is_not_there(
    names: tuple[str, ...], line: str, host: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asking(host, *names)) == 2
    err = capsys.readouterr().err
    assert line.format(host=host) in err
    assert len(err.splitlines()) == 1


def test_it_needs_no_ends_but_still_names_wrong_keys(host: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*asking(host, "lab"), "source=images", "destination=images"]) == 0
    assert main(["job=ingest", *asking(host, "lab", "run7")]) == 0
    capsys.readouterr()
    assert main([*asking(host, "lab"), "resource.chanel=em", "source.pth=x", "resource.resolution=a"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[2].partition(";")[0].partition(":")[0] for line in lines] == [
        "unknown key source.pth", "unknown key resource.chanel", "resource.resolution=a",
    ]  # fmt: skip


def test_a_part_needs_what_it_is_in(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["action=describe", "resource.collection=lab", "resource.channel=em"]) == 2
    assert "resource.channel=em: resource.experiment must be given as well" in capsys.readouterr().err


def test_an_end_with_a_resource_of_its_own_is_described_where_the_job_has_none() -> None:
    end = ["source.boss={host: api.bossdb.io}", "source.resource={collection: kharris15, experiment: apical}"]
    about = ndex.compose(None, "action=describe", *end).source
    assert isinstance(about, Described)
    assert about.boss is not None
    assert (about.boss.host, about.collection, about.experiment, about.channel) == (
        *("api.bossdb.io", "kharris15", "apical", None),
    )


def test_a_tree_leaves_out_what_is_empty_and_is_harmless() -> None:
    facts = {
        "nothing": [], "none": {}, "text": "", "zero": 0, "two_lines": "a\x1b[31mb\nc",
        "channels": [f"c{i}" for i in range(70)], "inner": {"name": "n", "key": "v"},
    }  # fmt: skip
    lines = tree(facts)
    assert lines[:3] == ["zero       0", "two lines  a [31mb", "           c"]
    assert lines[3].endswith("c58, c59 and 10 more")
    assert lines[4:] == ["inner n", "  key  v"]
