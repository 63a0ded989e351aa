"""The JSON Schema of job files: what ships is right by it, mistakes are wrong, and every key is explained."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from ndex.jobs import CONF, JOBS, names_in
from ndex.schema import comments, job_schema, main

SCHEMA = job_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", names_in(JOBS))
def test_every_job_that_ships_is_right(name: str) -> None:
    VALIDATOR.validate(yaml.safe_load((JOBS / f"{name}.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "job",
    [
        {"resource": {"channel": 7, "voxel_size": [4, 4, 40.5]}, "extent": {"z": [0, 10]}, "offset": "auto"},
        {"resource": {"channel": "???"}, "shard": {"count": "${oc.env:PARTS}"}, "parallel": {"memory": "4GiB"}},
        {"source": {"kind": "tiles", "tile": [1024, 1024]}, "destination": {"resource": {"channel": "copy"}}},
        {"defaults": ["_self_", {"override /boss": "bossdb"}, {"override /hydra/launcher": "submitit_slurm"}]},
    ],
)
def test_what_a_job_may_hold(job: dict[str, Any]) -> None:
    VALIDATOR.validate(job)


@pytest.mark.parametrize(
    ("job", "at"),
    [
        ({"resouce": {}}, []),
        ({"resource": {"chanel": "em"}}, ["resource"]),
        ({"verify": "all"}, ["verify"]),
        ({"extent": {"x": [0, 1, 2]}}, ["extent", "x"]),
        ({"source": {"kind": "images", "tile": [1, 1]}}, ["source"]),
        ({"destination": {"kind": "render"}}, ["destination"]),
        ({"parallel": {"n_jobs": "many"}}, ["parallel", "n_jobs"]),
        ({"defaults": [{"override /boss": "bosdb"}]}, ["defaults", 0]),
    ],
)
def test_what_is_wrong_is_marked_where_it_stands(job: dict[str, Any], at: list[object]) -> None:
    errors = list(VALIDATOR.iter_errors(job))
    assert [list(error.path) for error in errors] == [at]


def test_every_key_is_explained_by_conf() -> None:
    places = {"job": SCHEMA, **SCHEMA["$defs"]}
    unsaid = [f"{name}.{key}" for name, place in places.items() for key, inner in place["properties"].items()
              if not inner.get("description")]  # fmt: skip
    assert unsaid == []
    assert SCHEMA["$defs"]["Boss"]["properties"]["timeout"]["description"].startswith("seconds without a byte")


def test_comments_above_beside_and_below_a_key_are_found() -> None:
    found = comments(CONF / "source" / "render.yaml")
    assert found[""].startswith("A stack of a render web service")
    assert found["window"].endswith("convert.dtype=uint8 do the same here")
    assert comments(CONF / "config.yaml")["resource.resolution"].startswith("level of the hierarchy")


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(SCHEMA))
