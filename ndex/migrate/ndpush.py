"""ndpush: image files, or a stack of a render service, as a channel. Also what gen_commands printed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..errors import JobError
from .draft import Draft
from .options import Options

Pair = list[int]


def draft(arguments: Sequence[str]) -> Draft:
    """The job of a command line. Raises JobError where ndpush would have refused it."""
    given = options().read(arguments)
    job = Draft()
    job.reach(None, given.boss_config_file or "neurodata.cfg")
    if given.create_resources:
        job.set("action", "create", "leave this out to transfer")
    _source(job, given)
    _resource(job, given)
    _Geometry(job, given).write()
    if given.warn_missing_files:
        job.set("missing", "fill", "absent planes become zeros, and are reported")
    _slack(job, given)
    return job


def options() -> Options:
    """What it took."""
    taken = Options("ndpush")
    taken.add_argument("--datasource", choices=["local", "s3", "render"], default="local")
    taken.text("base_path", "base_filename", "extension", "s3_bucket_name", "aws_profile")
    taken.text("collection", "experiment", "channel", "channels_list_file", "source_channel")
    taken.add_argument("--voxel_size", type=float, nargs=3)
    taken.text("voxel_unit", "datatype", "boss_config_file", "slack_token_file", "slack_usr")
    taken.whole("res", "z_step")
    taken.pair("x_extent", "y_extent", "z_extent", "z_range", "limit_x", "limit_y", "limit_z")
    taken.pair("coord_frame_x_extent", "coord_frame_y_extent", "coord_frame_z_extent")
    taken.add_argument("--forced_offsets", type=int, nargs=3)
    taken.flag("offset_extents", "create_resources", "warn_missing_files")
    taken.text("render_owner", "render_project", "render_stack", "render_channel", "render_baseURL")
    taken.add_argument("--render_scale", type=float)
    taken.add_argument("--render_window", type=int, nargs=2)
    return taken


def _source(job: Draft, given: Namespace) -> None:
    if given.datasource == "render":
        _render(job, given)
        return
    job.choices["source"] = "s3" if given.datasource == "s3" else "images"
    path = given.base_path or "???"
    if given.datasource == "s3":
        path = f"s3://{given.s3_bucket_name or '???'}/{'' if path == '???' else path.strip('/')}"
        if given.aws_profile not in (None, "default"):
            job.set("source.profile", given.aws_profile, "of ~/.aws/config")
    job.set("source.path", path)
    name = f"{given.base_filename}.{given.extension or 'tif'}" if given.base_filename else "???"
    job.set("source.pattern", name, "%04d and {z:04d} stand for the number of the plane as well")
    job.set("source.z_step", given.z_step)


def _render(job: Draft, given: Namespace) -> None:
    job.choices["source"] = "render"
    job.set("source.url", _without_user(given.render_baseURL or "???"))
    for name in ("owner", "project", "stack"):
        job.set(f"source.{name}", getattr(given, f"render_{name}") or "???")
    job.set("source.channel", given.render_channel)
    job.set("source.scale", given.render_scale)
    job.set("source.dtype", given.datatype)
    if given.datatype != "uint16":
        job.set("source.window", given.render_window)
    elif given.render_window:
        job.notes.append("--render_window is left out: it never changed 16-bit values. For 8 bits: convert.window")


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _resource(job: Draft, given: Namespace) -> None:
    for name in ("collection", "experiment"):
        job.set(f"resource.{name}", getattr(given, name) or "???")
    if given.channels_list_file:
        job.set("resource.channels_file", given.channels_list_file, "a job for each channel that it names")
    else:
        job.set("resource.channel", given.channel or "???")
    job.set("resource.resolution", given.res or None)
    if given.source_channel:
        job.set("resource.channel_type", "annotation")
        job.set("resource.source_channels", [given.source_channel])
    job.set("resource.datatype", "uint64" if given.source_channel else given.datatype)
    if given.voxel_size:
        job.set("resource.voxel_size", [int(side) if side.is_integer() else side for side in given.voxel_size])
    job.set("resource.voxel_unit", given.voxel_unit)


def _slack(job: Draft, given: Namespace) -> None:
    if not given.slack_usr:
        return
    job.choices["notify"] = "slack"
    job.set("notify.channel", f"@{given.slack_usr}", "Slack now wants the ID of a member here, or a channel")
    job.set("notify.token_file", given.slack_token_file or "slack_token")


class _Geometry:
    """Extents, offsets and the coordinate frame.

    ndpush placed the first pixel of every file at the start of x_extent and y_extent; here pixels count from 0, and the
    offset puts them there.
    """

    def __init__(self, job: Draft, given: Namespace) -> None:
        self._job = job
        self._given = given
        self._whole: dict[str, Pair | None] = {axis: getattr(given, f"{axis}_extent") for axis in "xyz"}
        self._render = given.datasource == "render"
        if self._render:  # the service knows its bounds in x and y
            self._whole.update(x=None, y=None)

    def write(self) -> None:
        shifts = {axis: self._shift(i, axis) for i, axis in enumerate("xyz")}
        for axis in "xyz":
            self._job.set(f"extent.{axis}", self._part(axis))
        if self._render and self._given.offset_extents and not self._given.forced_offsets:
            self._job.set("offset", "auto", "shifts what this job transfers; for parts of a volume give [x, y, z]")
        else:
            starts = {axis: (self._whole[axis] or [0])[0] if axis != "z" else 0 for axis in "xyz"}
            offset = [starts[axis] + shifts[axis] for axis in "xyz"]
            self._job.set("offset", offset if any(offset) else None, "BOSS coordinate = source coordinate + offset")
        for axis in "xyz":
            self._job.set(f"resource.frame.{axis}", self._frame(axis, shifts[axis]))
        if self._given.z_range and self._given.z_range != self._whole["z"]:
            self._job.notes.append(
                "This is one part of the volume. One job does all of it: leave extent.z out and cut it with "
                "shard.count, as in ndex -m job=NAME shard.count=4 'shard.index=range(0,4)'"
            )

    def _shift(self, index: int, axis: str) -> int:
        """By how much ndpush moved the extents."""
        if self._given.forced_offsets:
            shift: int = self._given.forced_offsets[index]
            return shift
        whole = self._whole[axis]
        return max(0, -whole[0]) if self._given.offset_extents and whole else 0

    def _part(self, axis: str) -> Pair | None:
        """What is transferred, in coordinates of the source."""
        limit: Pair | None = getattr(self._given, f"limit_{axis}")
        whole = self._given.z_range or self._whole["z"] if axis == "z" else self._whole[axis]
        if self._render and limit and axis != "z":
            return [round(bound * (self._given.render_scale or 1)) for bound in limit]
        part = _common(whole, limit, axis)
        first = self._whole[axis][0] if axis != "z" and self._whole[axis] else 0  # type: ignore[index]
        return part and [bound - first for bound in part]

    def _frame(self, axis: str, shift: int) -> Pair | None:
        """Bounds of the coordinate frame, where they are not simply those of what is transferred."""
        forced: Pair | None = getattr(self._given, f"coord_frame_{axis}_extent")
        whole = self._whole[axis]
        parts: list[Any] = [getattr(self._given, f"limit_{axis}"), self._given.z_range if axis == "z" else None]
        if forced is None and whole and any(part not in (None, whole) for part in parts):
            return [bound + shift for bound in whole]
        return forced


def _common(whole: Pair | None, limit: Pair | None, axis: str) -> Pair | None:
    if whole is None or limit is None:
        return whole or limit
    both = [max(whole[0], limit[0]), min(whole[1], limit[1])]
    if both[0] >= both[1]:
        raise JobError(f"ndpush: --limit_{axis} and the extent have nothing in common")
    return both
