"""Job files come from colleagues and papers: none can run code, read what it should not, or write beside its folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

import ndex
from ndex.__main__ import main
from ndex.errors import NdexError

PLANES = """
defaults: [override /source: images, override /destination: images]
source: {path: em, pattern: p_%02d.tif}
destination: {path: out}
resource: {collection: lab, experiment: run7, channel: em}
parallel: {backend: serial}
"""
CODE = "{_target_: pathlib.Path.touch, self: {_target_: pathlib.Path, _args_: [pwned]}}"
HANDLER = "{version: 1, root: {handlers: [x]}, handlers: {x: {(): os.mkdir, path: pwned}}}"

POWER = {
    "a class": f"source: {CODE}",
    "a class in a list": f"resource: {{source_channels: [{CODE}]}}",
    "a callback": f"hydra: {{callbacks: {{x: {CODE}}}}}",
    "a launcher": f"hydra: {{launcher: {CODE}}}",
    "a sweeper": f"hydra: {{sweeper: {CODE}}}",
    "a class as parameter of a sweep": "hydra: {sweeper: {params: {+hydra.callbacks.x._target_: os.getcwd}}}",
    "a setting of Hydra as parameter of a sweep": "hydra: {sweeper: {params: {++hydra.job.env_set.PYTHONPATH: /tmp}}}",
    "a handler of the log": f"hydra: {{job_logging: {HANDLER}}}",
    "a handler of Hydra's log": f"hydra: {{hydra_logging: {HANDLER}}}",
    "a handler below a package": f"# @package hydra.job_logging\nversion: 1\n{HANDLER[13:-1]}",
    "all of Hydra by interpolation": "x: {callbacks: {y: 1}}\nhydra: ${x}",
    "a part of Hydra by interpolation": "x: {y: 1}\nhydra: {job_logging: '${x}'}",
    "a search path": "hydra: {searchpath: ['file://.']}",
    "the environment": "hydra: {job: {env_set: {PYTHONPATH: .}}}",
    "a folder": "hydra: {job: {chdir: true}}",
    "lines of a batch script": "hydra: {launcher: {setup: ['touch pwned']}}",
    "an interpreter of a batch job": "hydra: {launcher: {python: ./evil}}",
    "options of a batch job": "hydra: {launcher: {additional_parameters: {wrap: touch pwned}}}",
    "a file above": "defaults: [../evil]",
    "a file above in a group": "defaults: [override /source: ../../evil]",
    "an absolute file": "defaults: ['//{here}/evil']",
    "an absolute file in a group": "defaults: [{/source@x: '{here}/evil'}]",
    "a file by interpolation": "where: ../../evil\ndefaults: [override /source: '${where}']",
    "a group of Hydra": "defaults: [override /hydra/job_logging: default]",
    "another callback": "defaults: [/hydra/callbacks: x]",
    "a group put into Hydra": "defaults: ['/source@hydra.callbacks: images']",
    "a tag": "source: !!python/object/apply:os.mkdir [pwned]",
    "a tag for a name": "source: !!python/name:os.mkdir ''",
    "a tag of one's own": "source: !x {}",
    "anchors without end": "a: &a [1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
    + "".join(
        f"{y}: &{y} [{','.join([f'*{x}'] * 10)}]\n" for x, y in zip("bcdefgh", "cdefghi", strict=True)
    ),
    "an anchor in itself": "a: &a [*a]",
    "a mapping in itself": "a: &a {b: *a}",
    "depth": "a: " + "[" * 5000,
    "depth that ends": "a: " + "[" * 3000 + "]" * 3000,
    "size": "# " + "x" * (2 << 20),
    "many values": "a: [" + "1," * 150_000 + "]",
    "a NUL": "source: {path: \"a\\0b\"}\nx: \0",
    "control characters": "a: \x07",
    "no text": "\udcff",
    "twice the same key": "source: {path: a}\nsource: {path: b}",
    "a list": "[1, 2]",
    "a key that is a list": "? [a, b]\n: 1",
    "a secret variable": "source: {pattern: '${oc.env:NDEX_TEST_TOKEN}'}",
    "a secret variable in a description": "resource: {description: '${oc.env:NDEX_TEST_TOKEN}'}",
    "a secret variable in a host": "boss: {host: '${oc.env:NDEX_TEST_TOKEN}.example.org'}",
    "a secret variable in a folder": "hydra: {run: {dir: &d 'out/${oc.env:NDEX_TEST_TOKEN}'}, sweep: {dir: *d}}",
    "a secret variable by another way": "x: env\nresource: {description: '${oc.${x}:NDEX_TEST_TOKEN}'}",
    "a secret variable, decoded": "resource: {description: '${oc.decode:\"\\${oc.env:NDEX_TEST_TOKEN}\"}'}",
    "a secret variable, created": "resource: {description: '${oc.create:\"x: \\${oc.env:NDEX_TEST_TOKEN}\"}'}",
    "a secret variable with a default": "resource: {description: '${oc.env:NDEX_TEST_TOKEN,x}'}",
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with three planes, and with a file of code beside it."""
    folder = tmp_path / "here"
    for name in ("em", "jobs"):
        (folder / name).mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NDEX_TEST_TOKEN", "hunter2-of-the-environment")
    for z in range(3):
        tifffile.imwrite(folder / f"em/p_{z:02d}.tif", np.full((6, 5), z + 1, np.uint8))
    for place in (tmp_path, folder):
        (place / "evil.yaml").write_text(f"# @package _global_\nhydra: {{callbacks: {{x: {CODE}}}}}\n")
    return folder


def tree(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*")}


@pytest.mark.parametrize("sweep", [[], ["-m"]])
@pytest.mark.parametrize("case", POWER)
def test_no_key_has_power(case: str, sweep: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = POWER[case].replace("{here}", str(here))
    (here / "jobs/evil.yaml").write_bytes(text.encode(errors="surrogateescape"))
    before = tree(here.parent)
    assert (
        main([*sweep, "job=evil", "source=images", "source.path=em", "destination=images", "destination.path=out"]) == 2
    )
    out, err = capsys.readouterr()
    assert out == ""
    assert 1 <= len(err.splitlines()) <= 3, err
    assert "Traceback" not in err
    assert max(map(len, err.splitlines())) < 700
    made = tree(here.parent).keys() - before.keys()
    assert not [path for path in made if not path.startswith("here/.ndex")], made
    assert "hunter2" not in err + "".join(made)
    for path in here.joinpath(".ndex").rglob("*.*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        "hydra: {sweeper: {params: {resource.channel: 'a,b'}}}",
        "hydra: {launcher: {n_jobs: 2}}\ndefaults: [override /hydra/launcher: joblib]",
        "hydra: {run: {dir: elsewhere}, sweep: {dir: elsewhere}}",
        "# @package resource\ncollection: other",
        "defaults: [_self_, {override /source: images}, {override /notify: none}]",
        "source: {path: '${oc.env:NDEX_TEST_FOLDER,em}'}",
        "source: {path: '${ndex.shipped:medulla}'}",
        "resource: {description: &d text}\nsource: {pattern: *d}",
    ],
)  # fmt: skip
def test_what_a_job_file_may_say(text: str, here: Path) -> None:
    if "joblib" in text:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    (here / "jobs/good.yaml").write_text(text)
    ends = ["source.path=em", "destination=images", "destination.path=out", "action=plan"]
    resource = ["resource.collection=c", "resource.experiment=e", "resource.channel=em"]
    ndex.compose("good", "source=images", *ends, *resource)


@pytest.mark.parametrize(
    "name", ["../evil", "..", "/etc/passwd", "{here}/evil", "link", "sub/evil", "jobs/../../evil", "x\\0"]
)
def test_no_name_of_a_job_leads_out_of_the_folder(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "jobs/link.yaml").symlink_to(here / "evil.yaml")
    (here / "jobs/sub").symlink_to(here)
    assert main([f"job={name}".replace("{here}", str(here)), "action=plan"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert not (here / "pwned").exists()


OUTSIDE = {
    "pattern above": ["destination.pattern=../p_%02d.tif"],
    "pattern far above": ["destination.pattern=a/../../p_%02d.tif"],
    "absolute pattern": ["destination.pattern={outside}/p_%02d.tif"],
    "drive": ["destination.pattern='C:p_%02d.tif'"],
    "drive with a folder": ["destination.pattern='C:\\\\p_%02d.tif'"],
    "share": ["destination.pattern='\\\\\\\\host\\\\share\\\\p_%02d.tif'"],
    "share with slashes": ["destination.pattern=//host/share/p_%02d.tif"],
    "backslashes": ["destination.pattern='..\\\\p_%02d.tif'"],
    "channel in the pattern": ["destination.pattern='{channel}_%02d.tif'", "resource.channel='../../outside/p'"],
    "channel in the path": ["destination.path='out/{channel}'", "resource.channel='../../../outside'"],
    "channel as a folder": ["destination.pattern='{channel}/%02d.tif'", "resource.channel='../../outside'"],
    "channel of the first ndex": ["destination.pattern='<ch>_%02d.tif'", "resource.channel='/tmp/p'"],
    "NUL": ["destination.pattern=\"p_%02d\\0.tif\""],
    "folder that is a link": ["destination.pattern=link/p_%02d.tif"],
    "folder in a folder that is a link": ["destination.pattern=link/deep/p_%02d.tif"],
}  # fmt: skip


@pytest.mark.parametrize("case", OUTSIDE)
def test_nothing_is_written_beside_the_destination(case: str, here: Path) -> None:
    outside = here.parent / "outside"
    outside.mkdir()
    (here / "jobs/copy.yaml").write_text(PLANES)
    (here / "out").mkdir()
    (here / "out/link").symlink_to(outside)
    before = tree(here.parent)
    overrides = [override.replace("{outside}", str(outside)) for override in OUTSIDE[case]]
    with pytest.raises(NdexError) as caught:
        ndex.run(ndex.compose("copy", *overrides))
    assert len(str(caught.value).splitlines()) <= 2
    made = tree(here.parent).keys() - before.keys()
    assert not [path for path in made if not path.startswith(("here/out/", "here/.ndex"))]


def test_default_names_are_names(here: Path) -> None:
    (here / "jobs/copy.yaml").write_text(PLANES)
    names = ["resource.collection='../../outside'", "resource.experiment=/tmp/x", "resource.channel='C:em'"]
    assert ndex.run(ndex.compose("copy", *names)).exit_code == 0
    assert len(list((here / "out").iterdir())) == 3
    assert all(path.name.startswith("_.._outside__tmp_x_C_em") for path in (here / "out").iterdir())


@pytest.mark.parametrize("key", ["boss.token_file", "boss.config_file", "notify.token_file", "resource.channels_file"])
@pytest.mark.parametrize(
    "content", ["root:x:0:0:root:/root:/bin/bash\nhunter2 x\n", "hunter2\0", "hunter2\nhunter2 hunter2"]
)
def test_files_of_secrets_are_not_quoted(
    key: str, content: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "passwd").write_text(content)
    job = ["source=images", "source.path=em", "resource.voxel_size=[1,1,1]", "resource.collection=c"]
    job += ["resource.experiment=e", *(["resource.channel=em"] if "channels" not in key else [])]
    if key.startswith("notify"):
        job += ["notify=slack", "notify.channel=x", "notify.base_url=http://127.0.0.1:1/"]
    elif key.startswith("boss"):
        job += ["boss=custom", "boss.host=127.0.0.1:1", "boss.protocol=http", "retry.attempts=1"]
    assert main([*job, f"{key}=passwd"]) == 2
    out, err = capsys.readouterr()
    assert "hunter2" not in out + err
    assert "root:" not in out + err
    for path in (here / ".ndex").rglob("*.*"):
        assert not path.is_file() or not {b"hunter2", b"root:"} & {path.read_bytes()}


def test_oc_env_is_as_it_was(here: Path) -> None:
    from omegaconf import OmegaConf

    (here / "jobs/copy.yaml").write_text(PLANES)
    ndex.compose("copy")
    assert OmegaConf.create({"x": "${oc.env:NDEX_TEST_TOKEN}"}).x == os.environ["NDEX_TEST_TOKEN"]
