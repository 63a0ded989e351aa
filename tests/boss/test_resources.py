"""What a job needs in a BOSS: computed, compared and created."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ndex.boss.fitting import channel_kind, check_reachable, check_readable, check_verifiable, dtype_held, level_box
from ndex.boss.hierarchy import Hierarchy, levels_for
from ndex.boss.records import Channel, CoordinateFrame, Experiment
from ndex.boss.resources import Found, check_names, complete, plan_creation, require_site
from ndex.errors import JobError, Missing
from ndex.geometry import ORIGIN, Box, Span, Vec
from ndex.job import Extent, Frame, Resource
from ndex.volume import Volume

UINT8 = np.dtype("uint8")
EM = Resource("lab", "run7", "em", voxel_size=(5, 5, 40))
BOX = Box.of((10, 1001), (0, 700), (3, 50))
VOLUME = Volume(BOX, UINT8, Span(0, 1), False, ORIGIN, "stamp", Vec(512, 512, 16))

FRAME = CoordinateFrame("lab_run7", Box.of((0, 1001), (0, 700), (0, 50)), (5, 5, 40), "nanometers")
EXPERIMENT = Experiment("lab", "run7", "lab_run7", levels=6, isotropic=False, channels=("em", "seg"))
CHANNEL = Channel("lab", "run7", "em", "image", UINT8)
ALL = Found(True, FRAME, EXPERIMENT, CHANNEL)


# Levels (the table of boss-api 6)


@pytest.mark.parametrize(
    ("isotropic", "iso", "expected"),
    [
        (False, False, [(1001, 700, 50), (501, 350, 50), (251, 175, 50), (126, 88, 50), (63, 44, 50), (32, 22, 50)]),
        (False, True, [(1001, 700, 50), (501, 350, 50), (251, 175, 50), (126, 88, 50), (63, 44, 25), (32, 22, 13)]),
        (True, False, [(1001, 700, 50), (501, 350, 25), (251, 175, 13), (126, 88, 7), (63, 44, 4), (32, 22, 2)]),
        (True, True, [(1001, 700, 50), (501, 350, 25), (251, 175, 13), (126, 88, 7), (63, 44, 4), (32, 22, 2)]),
    ],
)
def test_extents(isotropic: bool, iso: bool, expected: list[tuple[int, int, int]]) -> None:
    levels = Hierarchy.of(FRAME, replace(EXPERIMENT, isotropic=isotropic), iso=iso)
    assert [tuple(levels.extent(level)) for level in range(6)] == expected


def test_voxel_sizes() -> None:
    assert Hierarchy.of(FRAME, EXPERIMENT).voxel_size_at(4) == (80, 80, 40)
    assert Hierarchy.of(FRAME, EXPERIMENT, iso=True).voxel_size_at(4) == (80, 80, 80)
    assert Hierarchy.of(FRAME, replace(EXPERIMENT, isotropic=True)).voxel_size_at(4) == (80, 80, 640)


@pytest.mark.parametrize(
    ("voxels", "level"),
    [
        ((4, 4, 40), 3),
        ((5, 5, 40), 3),
        ((4, 4, 35), 3),
        ((8, 8, 24), 2),
        ((6, 6, 9), 1),
        ((1, 1, 1), 0),
        ((10, 10, 4), 0),
    ],
)
def test_nearest_cube(voxels: tuple[float, float, float], level: int) -> None:
    assert Hierarchy(Vec(1, 1, 1), voxels, isotropic=False).nearest_cube == level


@pytest.mark.parametrize(
    ("stop", "levels"),
    [((1, 1, 9000), 1), ((512, 512, 1), 1), ((513, 1, 1), 2), ((1, 1025, 1), 3), ((1 << 30, 1, 1), 10)],
)
def test_number_of_levels(stop: tuple[int, int, int], levels: int) -> None:
    assert levels_for(Vec(*stop)) == levels


# What would be created


def test_everything_is_missing() -> None:
    site = complete(EM, VOLUME, Found())
    assert site.frame == replace(FRAME, box=BOX)
    assert site.experiment == replace(EXPERIMENT, levels=2, channels=())
    assert site.channel == CHANNEL
    assert plan_creation(EM, VOLUME, Found()) == [
        "collection lab",
        "coordinate frame lab_run7: x 10:1001, y 0:700, z 3:50, voxels of 5 x 5 x 40 nanometers",
        "experiment lab/run7: anisotropic, levels: 2, time samples: 1",
        "channel lab/run7/em: image of uint8",
    ]


def test_nothing_is_missing() -> None:
    assert plan_creation(EM, VOLUME, ALL) == []
    assert plan_creation(replace(EM, create=False), VOLUME, ALL) == []


def test_source_channels() -> None:
    resource = replace(EM, channel="seg", source_channels=("em", "raw"))
    volume = replace(VOLUME, dtype=np.dtype("uint64"))
    found = replace(ALL, channel=None, sources=("em",))
    assert plan_creation(resource, volume, found) == [
        "channel lab/run7/raw: image of uint8, as a source of seg",
        "channel lab/run7/seg: annotation of uint64",
    ]
    assert complete(resource, volume, found).channel.sources == ("em", "raw")


def test_what_the_job_says_is_used() -> None:
    resource = replace(
        EM,
        frame=Frame("big", x=(5, 2000), y=(0, 4000)),
        voxel_size=(8, 8, 8),
        voxel_unit="micrometers",
        hierarchy_levels=3,
        time_samples=7,
        description="bench data",
    )
    site = complete(resource, replace(VOLUME, times=Span(2, 5)), Found())
    box = Box.of((5, 2000), (0, 4000), (3, 50))
    assert site.frame == CoordinateFrame("big", box, (8, 8, 8), "micrometers")
    assert site.experiment == Experiment("lab", "run7", "big", levels=3, isotropic=True, time_samples=7)
    assert site.channel.description == "bench data"
    assert complete(EM, replace(VOLUME, times=Span(2, 5)), Found()).experiment.time_samples == 5


@pytest.mark.parametrize(("voxels", "stop"), [((5, 5, 40), (4004, 2800, 50)), ((5, 5, 5), (4004, 2800, 200))])
def test_frames_are_made_for_level_0(voxels: tuple[float, float, float], stop: tuple[int, int, int]) -> None:
    site = complete(replace(EM, resolution=2, voxel_size=voxels), VOLUME, Found())
    assert site.frame.box == Box(BOX.start, Vec(*stop))
    assert site.channel.base == 2
    assert level_box(site.frame, Hierarchy.of(site.frame, site.experiment), 2).contains(BOX)


def test_a_frame_needs_voxel_sizes() -> None:
    with pytest.raises(JobError, match=r"resource\.voxel_size"):
        plan_creation(replace(EM, voxel_size=None), VOLUME, Found())
    assert plan_creation(replace(EM, voxel_size=None), VOLUME, ALL) == []


def test_creation_may_be_forbidden() -> None:
    with pytest.raises(Missing, match=r"no channel lab/run7/em.*resource\.create=true"):
        plan_creation(replace(EM, create=False), VOLUME, replace(ALL, channel=None))


@pytest.mark.parametrize("field", ["collection", "experiment", "channel"])
def test_names(field: str) -> None:
    with pytest.raises(JobError, match=rf"resource\.{field}='my\.lab'"):
        check_names(replace(EM, **{field: "my.lab"}))


def test_more_names() -> None:
    with pytest.raises(JobError, match=r"resource\.frame\.name='a b'"):
        check_names(replace(EM, frame=Frame("a b")))
    with pytest.raises(JobError, match=r"resource\.source_channels='é'"):
        check_names(replace(EM, source_channels=("em", "é")))


# What does not fit


@pytest.mark.parametrize(
    ("found", "resource", "volume", "words"),
    [
        (replace(ALL, channel=replace(CHANNEL, dtype=np.dtype("uint16"))), {}, {}, ["uint8", "uint16"]),
        (
            replace(ALL, channel=replace(CHANNEL, dtype=np.dtype("uint32"))),
            {},
            {"dtype": np.dtype("uint32")},
            ["uint32"],
        ),
        (ALL, {"channel_type": "annotation"}, {}, ["annotation", "image"]),
        (replace(ALL, channel=replace(CHANNEL, storage="cloudvol")), {}, {}, ["cloudvol"]),
        (ALL, {"resolution": 2}, {"box": Box.of((0, 9), (0, 9), (0, 9))}, ["resolution=2", "0 or 1"]),
        (replace(ALL, channel=replace(CHANNEL, base=3)), {"resolution": 2}, {}, ["resolution=2", "3 or 4"]),
        (replace(ALL, experiment=replace(EXPERIMENT, levels=1)), {"resolution": 1}, {}, ["resolution=1", "0."]),
        (ALL, {"iso": True}, {}, ["resource.iso=true"]),
        (ALL, {"frame": Frame("other")}, {}, ["other", "lab_run7"]),
        (ALL, {"frame": Frame(x=(0, 1000))}, {}, ["[0, 1000]", "[0, 1001]"]),
        (ALL, {"voxel_size": (4, 4, 40)}, {}, ["[4, 4, 40]", "[5, 5, 40]"]),
        (ALL, {"voxel_unit": "micrometers"}, {}, ["micrometers", "nanometers"]),
        (ALL, {}, {"times": Span(0, 3)}, ["up to 2", "1"]),
        (ALL, {}, {"box": BOX.shift(Vec(1, 0, 0))}, ["x 11:1002", "x 0:1001"]),
        (ALL, {"resolution": 1}, {"box": Box.of((0, 502), (0, 9), (0, 9))}, ["x 0:502", "x 0:501"]),
        (Found(), {"frame": Frame(z=(5, 50))}, {}, ["z 3:50", "z 5:50"]),
        (Found(), {"channel_type": "image"}, {"dtype": np.dtype("uint64")}, ["uint64", "uint16"]),
        (Found(), {"datatype": "uint32"}, {}, ["uint32"]),
    ],
)
def test_contradictions(found: Found, resource: dict, volume: dict, words: list[str]) -> None:
    with pytest.raises(JobError) as caught:
        plan_creation(replace(EM, **resource), replace(VOLUME, **volume), found)
    text = str(caught.value)
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("resource", "dtype", "expected"),
    [
        ({}, "uint8", ("image", "uint8")),
        ({}, "uint16", ("image", "uint16")),
        ({}, "uint32", ("annotation", "uint64")),
        ({}, "uint64", ("annotation", "uint64")),
        ({"channel_type": "annotation"}, "uint32", ("annotation", "uint64")),
        ({"channel_type": "annotation"}, "uint8", ("annotation", "uint64")),
        ({"channel_type": "annotation", "datatype": "uint8"}, "uint8", ("annotation", "uint8")),
        ({"channel_type": "annotation", "datatype": "uint64"}, "uint16", ("annotation", "uint64")),
    ],
)
def test_kind_of_channel(resource: dict, dtype: str, expected: tuple[str, str]) -> None:
    kind, held = channel_kind(replace(EM, **resource), np.dtype(dtype))
    assert (kind, held.name) == expected
    assert dtype_held(replace(EM, **resource), None, np.dtype(dtype)) == held


def test_only_labels_are_widened() -> None:
    seg = replace(CHANNEL, type="annotation", dtype=np.dtype("uint64"))
    assert dtype_held(EM, seg, np.dtype("uint32")) == np.dtype("uint64")
    with pytest.raises(JobError, match=r"uint8.*uint16.*convert\.dtype=uint16"):
        dtype_held(EM, replace(CHANNEL, dtype=np.dtype("uint16")), UINT8)
    with pytest.raises(JobError, match=r"convert\.dtype=uint8"):
        dtype_held(replace(EM, datatype="uint8"), None, np.dtype("uint16"))


# Reading


def test_readable() -> None:
    check_readable(FRAME, EXPERIMENT, CHANNEL, EM)
    check_readable(FRAME, EXPERIMENT, replace(CHANNEL, base=2), replace(EM, resolution=2))
    check_readable(FRAME, EXPERIMENT, replace(CHANNEL, downsampled="DOWNSAMPLED"), replace(EM, resolution=5))


@pytest.mark.parametrize(
    ("channel", "resource", "words"),
    [
        (CHANNEL, {"resolution": 1}, "NOT_DOWNSAMPLED"),
        (replace(CHANNEL, type="annotation"), {"resolution": 1}, "NOT_DOWNSAMPLED"),
        (replace(CHANNEL, downsampled="QUEUED"), {"resolution": 1}, "QUEUED"),
        (replace(CHANNEL, downsampled="DOWNSAMPLED"), {"resolution": 6}, "0 to 5"),
        (replace(CHANNEL, base=2), {"resolution": 1}, "2 to 7"),
        (replace(CHANNEL, dtype=np.dtype("uint32")), {}, "uint32"),
    ],
)
def test_unreadable(channel: Channel, resource: dict, words: str) -> None:
    with pytest.raises(JobError, match=words):
        check_readable(FRAME, EXPERIMENT, channel, replace(EM, **resource))


def test_labels_above_their_base_cannot_be_verified() -> None:
    seg = replace(CHANNEL, type="annotation")
    check_verifiable(seg, EM)
    check_verifiable(CHANNEL, replace(EM, resolution=1))
    with pytest.raises(JobError, match="verify=none"):
        check_verifiable(seg, replace(EM, resolution=1))


def test_iso_needs_square_voxels() -> None:
    with pytest.raises(JobError, match=r"resource\.iso"):
        check_readable(replace(FRAME, voxel_size=(4, 5, 40)), EXPERIMENT, CHANNEL, replace(EM, iso=True))


def test_frames_that_do_not_start_at_0() -> None:
    frame = replace(FRAME, box=Box.of((1000, 5000), (0, 700), (7, 50)))
    levels = Hierarchy.of(frame, EXPERIMENT)
    check_reachable(frame, levels, 0, 0, Extent())
    check_reachable(frame, levels, 2, 2, Extent())
    check_reachable(frame, levels, 0, 1, Extent(x=(1000, 2500)))
    with pytest.raises(JobError, match=r"from 500 on.*extent\.x=\[1000, 2500\]"):
        check_reachable(frame, levels, 0, 1, Extent())
    with pytest.raises(JobError, match=r"resolution 0\.$"):
        check_reachable(frame, levels, 0, 3, Extent())


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Found(), "no such collection"),
        (Found(True), "no such experiment"),
        (replace(ALL, channel=None), "It has em, seg"),
    ],
)
def test_what_is_missing_is_named(found: Found, words: str) -> None:
    with pytest.raises(Missing, match=rf"on boss\.org.*{words}|boss\.org has {words}"):
        require_site(found, EM, "boss.org")
    assert require_site(ALL, EM, "boss.org").channel == CHANNEL
