"""Command lines of the first ndex become jobs that compose."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import ndex
from ndex.errors import JobError
from ndex.job import Job
from ndex.migrate import expand_stacks, migrated, ndpull, ndpush
from ndex.migrate.__main__ import main
from ndex.migrate.options import Options

PULL = "--collection kharris15 --experiment apical --channel em"
FULL = f"{PULL} --x 4096 4608 --y 4608 5120 --z 90 100"
PUSH = (
    "--base_path /data/<ch>/ --base_filename em<ch>_<p:4> --extension tif --collection lab --experiment run7 "
    "--channel Ch1 --voxel_size 4 4.5 40 --voxel_unit nanometers --datatype uint8"
)
EXTENTS = "--x_extent 0 1000 --y_extent 0 900 --z_extent 0 100"
RENDER = (
    "--datasource render --render_owner o --render_project p --render_stack s --render_baseURL "
    "https://user:hidden@render.example.org/render-ws/v1/ --collection lab --experiment run7 --channel em "
    "--voxel_size 4 4 40 --datatype uint8"
)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def job_of(program: str, line: str, *overrides: str) -> Job:
    """What the printed file composes to."""
    Path("jobs").mkdir(exist_ok=True)
    Path("jobs/old.yaml").write_text(migrated([program, *shlex.split(line)]))
    return ndex.compose("old", *overrides)


def check(job: Job, expected: dict[str, object], folder: Path) -> None:
    found = {key: at(job, key) for key in expected}
    assert found == {key: here(value, key, folder) for key, value in expected.items()}


def at(job: Job, key: str) -> object:
    value: object = job
    for part in key.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            FULL,
            {
                "resource.collection": "kharris15",
                "resource.experiment": "apical",
                "resource.channel": "em",
                "extent.x": (4096, 4608),
                "extent.y": (4608, 5120),
                "extent.z": (90, 100),
                "boss.host": "api.boss.neurodata.io",
            },
        ),
        (
            f"{FULL} --config_file my.cfg --res 2 --iso --outdir out --force_datatype uint16 --threads 8",
            {
                "boss.config_file": Path("my.cfg"),
                "resource.resolution": 2,
                "resource.iso": True,
                "destination.path": "out",
                "convert.dtype": "uint16",
                "convert.lossy": True,
                "parallel.n_jobs": 8,
            },
        ),
        (
            f"{FULL} --url https://api.bossdb.io --outdir out --stack_filename em.tif",
            {"boss.host": "api.bossdb.io", "destination.kind": "stack", "destination.path": "out/em.tif"},
        ),
        (
            f"{PULL} --url http://boss.example.org:8080 --full",
            {"boss.host": "boss.example.org:8080", "boss.protocol": "http", "extent.x": None},
        ),
        (f"{PULL} --print_metadata", {"action": "describe"}),
    ],
)
def test_options_of_ndpull(line: str, expected: dict[str, object], tmp_path: Path) -> None:
    check(job_of("ndpull", line), expected, tmp_path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            PUSH,
            {
                "boss.config_file": Path("neurodata.cfg"),
                "source.kind": "images",
                "source.path": "/data/<ch>",
                "source.pattern": "em<ch>_<p:4>.tif",
                "resource.voxel_size": (4, 4.5, 40),
                "resource.voxel_unit": "nanometers",
                "resource.datatype": "uint8",
            },
        ),
        (
            f"{PUSH} --boss_config_file my.cfg --z_step 2 --res 1 --create_resources --warn_missing_files",
            {
                "boss.config_file": Path("my.cfg"),
                "source.z_step": 2,
                "resource.resolution": 1,
                "action": "create",
                "missing": "fill",
            },
        ),
        (
            f"{PUSH} --source_channel em --slack_usr U0123",
            {
                "resource.channel_type": "annotation",
                "resource.datatype": "uint64",
                "resource.source_channels": ("em",),
                "notify.channel": "@U0123",
                "notify.token_file": Path("slack_token"),
            },
        ),
        (
            f"{PUSH} --datasource s3 --s3_bucket_name bucket --base_path a/b/ --aws_profile lab --slack_usr U1 "
            "--slack_token_file t",
            {"source.path": "s3://bucket/a/b", "source.profile": "lab", "notify.token_file": Path("t")},
        ),
        (f"{PUSH} --datasource s3 --s3_bucket_name bucket --aws_profile default", {"source.profile": None}),
        (
            f"{PUSH} {EXTENTS} --forced_offsets 1 2 3",
            {"extent.x": (0, 1000), "extent.z": (0, 100), "resource.frame.z": None, "offset": (1, 2, 3)},
        ),
        (
            f"{PUSH} {EXTENTS} --z_range 16 32 --limit_x 100 200 --limit_y 300 400",
            {
                "extent.x": (100, 200),
                "extent.y": (300, 400),
                "extent.z": (16, 32),
                "resource.frame.y": (0, 900),
                "resource.frame.z": (0, 100),
                "offset": None,
            },
        ),
        (f"{PUSH} {EXTENTS} --limit_z 10 20", {"extent.z": (10, 20), "resource.frame.z": (0, 100)}),
        (
            f"{PUSH} --x_extent -10 990 --y_extent 5 905 --z_extent -10 90 --z_range -10 6 --offset_extents",
            {
                "extent.x": (0, 1000),
                "extent.y": (0, 900),
                "extent.z": (-10, 6),
                "offset": (0, 5, 10),
                "resource.frame.z": (0, 100),
            },
        ),
        (
            f"{PUSH} --coord_frame_x_extent 0 2000 --coord_frame_y_extent 0 3000 --coord_frame_z_extent 0 400",
            {"resource.frame.x": (0, 2000), "resource.frame.y": (0, 3000), "resource.frame.z": (0, 400)},
        ),
        (
            f"{RENDER} --render_channel c1 --render_scale 0.5 --render_window 0 5000 --limit_x -100 301 "
            "--offset_extents",
            {
                "source.url": "https://render.example.org/render-ws/v1/",
                "source.owner": "o",
                "source.project": "p",
                "source.stack": "s",
                "source.channel": "c1",
                "source.scale": 0.5,
                "source.window": (0, 5000),
                "extent.x": (-50, 150),
                "offset": "auto",
            },
        ),
        (f"{RENDER} --render_window 0 5000 --datatype uint16", {"source.dtype": "uint16", "source.window": None}),
    ],
)
def test_options_of_ndpush(line: str, expected: dict[str, object], tmp_path: Path) -> None:
    check(job_of("ndpush", line), expected, tmp_path)


def test_a_list_of_channels_is_a_job_for_each() -> None:
    line = PUSH.replace("--channel Ch1", "--channels_list_file channels.txt")
    assert "channels_file: channels.txt" in migrated(["ndpush", *shlex.split(line)])
    assert str(job_of("ndpush", line, "resource.channel=Ch2").resource) == "lab/run7/Ch2"


def test_options_of_expand_stacks() -> None:
    job = job_of("expand_stacks", "data/em.tif --datatype uint8 --split_RGB")
    assert (at(job, "source.kind"), at(job, "destination.kind"), at(job, "source.band")) == ("stack", "images", 0)
    assert Path(str(at(job, "destination.path"))) == Path("data/em/0").absolute()
    assert (job.convert.dtype, job.convert.lossy) == ("uint8", True)
    assert str(at(job_of("expand_stacks", "em.tif out"), "destination.path")).endswith("out")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ndpull --tokn=hidden", "had no option --tokn; did you mean --token?"),
        ("ndpull --tokn hidden", "did you mean --token?"),
        ("ndpull hidden", "a value stands without an option"),
        ("ndpull --x hidden 3", "argument --x: invalid int value"),
        ("ndpull --c=hidden", "ambiguous option: --c"),
        ("ndpull --x 1 2 --full_extent", "--full_extent goes with none of"),
        ("ndpush --datasource hidden", "argument --datasource: invalid choice"),
        ("ndpush --z_extent 0 10 --limit_z 20 30", "--limit_z and the extent have nothing in common"),
        ("ndpul --x 1 2", "name the old program first; did you mean ndpull?"),
    ],
)
def test_what_the_programs_did_not_take_is_refused(line: str, said: str) -> None:
    with pytest.raises(JobError) as refused:
        migrated(line.split())
    assert said in str(refused.value)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "line", [f"ndpull {FULL} --token hidden", f"ndpull {FULL} --tok=hidden", f"ndpush {RENDER}", f"ndpull {FULL} --url "
             "https://me:hidden@boss.example.org"]
)  # fmt: skip
def test_secrets_of_the_old_command_line_stay_out_of_the_job(line: str) -> None:
    assert "hidden" not in migrated(shlex.split(line))


def test_the_command_prints_the_job_or_says_in_a_line_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ndpull", *shlex.split(FULL)]) == 0
    assert capsys.readouterr().out.startswith("# From a command line of ndpull")
    assert main(["ndpull", "--nothing"]) == 2
    assert capsys.readouterr().err.startswith("ndex.migrate: ndpull had no option --nothing")
    assert main([]) == 0
    assert "python -m ndex.migrate PROGRAM" in capsys.readouterr().out


def here(value: object, key: str, folder: Path) -> object:
    """Paths of a job are absolute."""
    if isinstance(value, Path):
        return folder / value
    if key.endswith(".path") and isinstance(value, str) and "://" not in value:
        return str(folder / value)
    return value


@pytest.mark.parametrize(
    "options", [ndpull.options(), ndpush.options(), expand_stacks.options()], ids=lambda it: it.prog
)
def test_the_readme_maps_every_option(options: Options) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## From the first ndex")[2].partition("\n## ")[0]
    names = [option for action in options._actions for option in action.option_strings or [action.dest]]
    assert [name for name in names if f"`{name}`" not in section] == []
