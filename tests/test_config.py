"""From composed configuration to a frozen job: what is taken over, and how each kind of mistake is said."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ndex.composing import compose
from ndex.config import job_from
from ndex.errors import JobError
from ndex.job import Boss, Convert, Extent, Job, Parallel, Shard
from ndex.job_file import read_job_file
from ndex.jobs import CONF

NAMES = ("resource.collection=lab", "resource.experiment=run7", "resource.channel=em")
FROM_IMAGES = ("source=images", "source.path=em", *NAMES)


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(*overrides: str, job: str | None = None) -> list[str]:
    """The lines with which a job is refused."""
    with pytest.raises(JobError) as caught:
        compose(job, *overrides)
    return str(caught.value).splitlines()


def test_defaults_are_those_of_the_dataclasses() -> None:
    job = compose(None, *FROM_IMAGES)
    for field in dataclasses.fields(Job):
        if field.name not in ("name", "boss", "resource", "source", "destination", "journal"):
            assert getattr(job, field.name) == field.default, field.name


def test_values_are_typed() -> None:
    job = compose(
        None,
        *FROM_IMAGES,
        "extent={x: [0, 512], z: [-5, 5]}",
        "offset=[0,0,5]",
        "convert.window=[200,4000]",
        "convert.dtype=uint8",
        "parallel.memory=500MB",
        "shard.index=1",
        "shard.count=4",
        "resource.collection=2017",
        "resource.voxel_size=[4,4,40]",
    )
    assert job.extent == Extent(x=(0, 512), z=(-5, 5))
    assert job.offset == (0, 0, 5)
    assert job.convert == Convert(dtype="uint8", window=(200.0, 4000.0))
    assert isinstance(job.parallel, Parallel)
    assert job.parallel.memory == 500_000_000
    assert job.shard == Shard(1, 4)
    assert job.resource is not None
    assert (job.resource.collection, job.resource.voxel_size) == ("2017", (4.0, 4.0, 40.0))


@pytest.mark.parametrize(("text", "nbytes"), [("4GiB", 4 << 30), ("500MB", 500_000_000), ("1000000", 1_000_000)])
def test_memory_is_a_size(text: str, nbytes: int) -> None:
    assert compose(None, *FROM_IMAGES, f"parallel.memory={text}").parallel.memory == nbytes


@pytest.mark.parametrize("name", ["2017", "2018_01", "007", "on", "1e3", "2018-01-02"])
def test_names_stay_as_they_are_written(name: str, tmp_path: Path) -> None:
    def channel(job: Job) -> str:
        assert job.resource is not None
        return job.resource.channel

    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/named.yaml").write_text(f"source: {{kind: images, path: em}}\nresource: {{channel: {name}}}\n")
    assert channel(compose("named", *NAMES[:2])) == name
    if name not in ("on", "1e3"):
        assert channel(compose(None, *FROM_IMAGES, f"resource.channel={name}")) == name


def test_paths_are_seen_from_the_directory_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    job = compose(None, *FROM_IMAGES, 'boss.token_file="~/token"')
    assert job.source.path == str(tmp_path / "em")  # type: ignore[attr-defined]
    assert (job.boss.root, job.journal) == (tmp_path / ".ndex/boss", tmp_path / ".ndex/journal")
    assert job.boss.token_file == tmp_path / "home/token"
    assert compose(None, *FROM_IMAGES, "source.path=s3://bucket/em").source.path == "s3://bucket/em"  # type: ignore[attr-defined]


def test_all_that_is_missing_is_said_at_once() -> None:
    (line,) = refusal("source=images")
    assert line.startswith("missing: source.path, resource.collection, resource.experiment, resource.channel;")


def test_a_job_file_may_insist_on_a_key_that_has_a_default(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/strict.yaml").write_text("verify: ???\nextent:\n  x: ???\nresource:\n  description: ???\n")
    (line,) = refusal(*FROM_IMAGES, job="strict")
    assert line.startswith("missing: resource.description, extent.x, verify;")
    given = ("verify=none", "extent.x=[0,1]", "resource.description=d")
    assert compose("strict", *FROM_IMAGES, *given).verify == "none"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("resource.resolution=-1", "resource.resolution=-1: must be a whole number from 0 to 9"),
        ("extent.x=[10,5]", "extent.x=[10, 5]: the start must be below the stop, which is the first one not included"),
        ("extent.x=[10,10]", "extent.x=[10, 10]: the start must be below"),
        ("extent.t=[-1,2]", "extent.t=[-1, 2]: time samples count from 0"),
        ("extent.x=[1,2,3]", "extent.x=[1, 2, 3]: must be a list of 2 whole numbers or null"),
        ("extent.x=5", "extent.x=5: must be a list of 2 whole numbers or null"),
        ("extent=5", "extent=5: must be a mapping of x, y, z, t"),
        ("extent.x=[0.5,2]", "extent.x=[0.5, 2]: must be a list of 2 whole numbers or null"),
        ("resource.frame.z=[3,1]", "resource.frame.z=[3, 1]: the start must be below"),
        ("offset=atuo", "offset=atuo: must be auto, a list of 3 whole numbers or null; did you mean auto?"),
        ("convert.window=[5,5]", "convert.window=[5.0, 5.0]: the low value must be below the high one"),
        ("convert.dtype=float32", "convert.dtype=float32: must be uint8, uint16, uint32, uint64 or null"),
        ("parallel.memory=lots", "parallel.memory=lots: must be a size such as 4GiB"),
        ("parallel.n_jobs=0", "parallel.n_jobs=0: must be 1 or more, or -1"),
        ("shard.index=4", "shard.index=4 must be below shard.count=1"),
        ("verify=ful", "verify=ful: must be none, sample or full; did you mean full?"),
        ("action=pln", "action=pln: must be run, plan, describe, create, verify or status; did you mean plan?"),
        ("resource.voxel_size=[4,4,0]", "resource.voxel_size=[4, 4, 0]: must be a list of 3 numbers above 0 or null"),
        ("resource.channel=''", "resource.channel=: must be a text, not empty"),
        ("resource.iso=maybe", "resource.iso=maybe: must be true or false"),
        ("resource.colection=x", "unknown key resource.colection; did you mean resource.collection?"),
        ("source.patern=x", "unknown key source.patern; did you mean source.pattern?"),
        ("verfy=full", "unknown key verfy; did you mean verify?"),
        ("zzz=1", "unknown key zzz; there is action, blocks"),
        ("source.kind=zarr", "source.kind=zarr: there is no such kind of source; there is boss, images"),
        ("name=x", "unknown key name"),
        ("boss.host=example.org", "boss.host=example.org: the embedded BOSS is chosen (boss.root="),
        ("boss=custom", "missing: boss.host, or boss.config_file"),
        ("resource=null", "missing: resource.collection, resource.experiment, resource.channel"),
        ("source.path=${oc.env:NDEX_NOT_SET}", "source.path: "),
    ],
)
def test_one_line_names_key_value_and_remedy(override: str, line: str) -> None:
    (said,) = refusal(*FROM_IMAGES, override)
    assert said.startswith(line)


def test_several_problems_are_all_said() -> None:
    wrong = [f"resource.a{i}=1" for i in range(4)]
    said = refusal(*FROM_IMAGES, *wrong, "extent.y=[2,1]", "source.z_step=0", "shard.count=0", "source.path=???")
    assert len(said) == 7
    assert said[5] == "and 2 more"
    assert said[6].startswith("missing: source.path;")


def test_a_kind_in_the_job_file_alone_replaces_the_default(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/plain.yaml").write_text("source: {kind: images, path: em}\n")
    job = compose("plain", *NAMES, "source.pattern=s_%03d.png")
    assert (job.source.kind, job.source.pattern) == ("images", "s_%03d.png")  # type: ignore[attr-defined]


def test_an_end_takes_over_what_it_does_not_say() -> None:
    job = compose(
        None,
        *NAMES,
        "boss=custom",
        "boss.host=one.example.org",
        "boss.timeout=9",
        "source.boss={host: two.example.org, token_env: OTHER_TOKEN}",
        "source.resource={channel: raw, frame: {name: f}}",
    )
    assert job.source.boss == Boss(host="two.example.org", token_env="OTHER_TOKEN", timeout=9)  # type: ignore[attr-defined]
    assert str(job.source.resource) == "lab/run7/raw"  # type: ignore[attr-defined]
    assert str(job.resource) == "lab/run7/em"
    assert job.destination.boss is None  # type: ignore[attr-defined]


def test_an_end_may_leave_the_embedded_boss() -> None:
    job = compose(None, *NAMES, "+boss@source.boss=bossdb")
    assert (job.source.boss.host, job.source.boss.root) == ("api.bossdb.io", None)  # type: ignore[attr-defined]
    assert job.boss.embedded


def test_ends_with_resources_of_their_own_need_none_of_the_job() -> None:
    whole = "{collection: lab, experiment: run7, channel: %s}"
    job = compose(None, f"source.resource={whole % 'a'}", f"destination.resource={whole % 'b'}")
    assert job.resource is None
    (line,) = refusal("source.resource={collection: lab, channel: a}", "destination.resource={channel: b}")
    assert line.startswith("missing: resource.experiment, resource.collection;")


def test_no_boss_needs_no_resource() -> None:
    job = compose(None, "source=images", "source.path=a", "destination=images", "destination.path=b")
    assert job.resource is None


def test_a_job_does_not_copy_onto_itself() -> None:
    (line,) = refusal(*NAMES)
    assert line.startswith("source and destination are the same resource")
    assert compose(None, *NAMES, "action=describe").action == "describe"
    assert compose(None, *NAMES, "destination.resource={channel: copy}")


@pytest.mark.parametrize("key", ["boss.token", "source.secret", "aws_secret_access_key", "boss.api_token", "+password"])
def test_a_secret_is_refused_and_not_repeated(key: str) -> None:
    (line,) = refusal(*FROM_IMAGES, f"{key}=hunter2")
    assert "boss.token_file" in line
    assert "hunter2" not in line


def test_a_token_in_place_of_the_name_of_its_variable_is_refused() -> None:
    (line,) = refusal(*FROM_IMAGES, f"boss.token_env={'0123456789' * 4}")
    assert "0123456789" not in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("boss: {token: hunter2}", "a secret must not stand in a job"),
        ("a: [1\nb: hunter2", "line 2 is not YAML"),
        ("- a\n- b", "must hold keys with values"),
        ("hydra: {callbacks: {x: {_target_: os.system}}}", "a job names no code"),
        ("source: [{_target_: os.system}]", "a job names no code"),
        ("a: 1\na: 2", "is not YAML"),
    ],
)
def test_a_job_file_that_cannot_be_used(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(JobError, match=said) as caught:
        read_job_file(path)
    assert str(path) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_composing_again_and_again_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compose("demo")
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    second = compose("demo", "verify=none")
    assert (first.name, first.verify, second.verify) == ("demo", "full", "none")
    assert first.source == second.source
    assert second.boss.root == tmp_path / "deep/.ndex/boss"


def test_another_hydra_application_is_left_alone() -> None:
    with hydra.initialize_config_dir(str(CONF), job_name="other", version_base="1.3"):
        mine = GlobalHydra.instance().hydra
        compose("demo")
        assert GlobalHydra.instance().hydra is mine


def test_a_job_is_plain_python(tmp_path: Path) -> None:
    """No OmegaConf inside: a worker unpickles a job without it."""

    def parts(value: Any) -> list[Any]:
        inner = [getattr(value, f.name) for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
        return [value, *(part for one in inner for part in parts(one))]

    job = compose("demo")
    assert not [part for part in parts(job) if type(part).__module__.startswith("omegaconf")]
    assert not [part for part in parts(job) if isinstance(part, list | dict)]


def test_interpolations_reach_the_job() -> None:
    cfg = OmegaConf.create(
        {
            "boss": {"root": "r"},
            "resource": {"collection": "a", "experiment": "${.collection}", "channel": "c"},
            "source": {"kind": "images", "path": "p"},
            "destination": {"kind": "boss"},
        }
    )
    resource = job_from(cfg, "x").resource
    assert resource is not None
    assert resource.experiment == "a"
