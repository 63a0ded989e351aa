"""A render web service as a source: what is asked of it, what comes of its answers."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stamina
from render_ws import RenderService, Reply, Request, Stack, changed, outlines, png, serving, told

from ndex.errors import DamagedData, JobError, Missing, PermanentError, ServerError, TransientError, Unreachable
from ndex.geometry import Box, Span
from ndex.job import Boss, Extent, Job, Parallel, Retry
from ndex.stores.images import Destination
from ndex.stores.render import Source, open_source
from ndex.stores.render.source import RenderSource

Script = Callable[[Request], Reply | None]
ATTEMPTS = 6


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    stamina.set_testing(True, attempts=ATTEMPTS, cap=True)
    yield
    stamina.set_testing(False)


@pytest.fixture(scope="module")
def running() -> Iterator[RenderService]:
    with serving() as service:
        yield service


@pytest.fixture
def service(running: RenderService) -> RenderService:
    """One that has forgotten the test before."""
    running.stacks = {
        "aligned": Stack(),
        "deep": Stack(depth=16, channels=("c1", "c2")),
        "gappy": Stack(sections=(3, 5, 6)),
        "loading": Stack(state="LOADING"),
        "offline": Stack(state="OFFLINE"),
    }
    running.seen, running.script = [], lambda request: None
    return running


def source(service: RenderService, stack: str = "aligned", **keys: Any) -> RenderSource:
    of_job = {key: keys.pop(key) for key in ("missing", "extent", "parallel") if key in keys}
    settings = {"url": service.url, "owner": "optics", "project": "p1", "stack": stack, **keys}
    return open_source(
        Job(
            boss=Boss(host="nowhere"),
            source=Source(**settings),
            destination=Destination(path="nowhere"),
            retry=Retry(attempts=ATTEMPTS, wait=0, max_wait=0),
            **of_job,
        )
    )


def expected(stack: Stack, box: Box, scale: float = 1, channel: str | None = None) -> np.ndarray:
    return np.stack([stack.scaled(range(*box.x), range(*box.y), z, scale, channel) for z in range(*box.z)])


def test_facts_come_from_the_service(service: RenderService) -> None:
    facts = source(service, "aligned").facts()
    assert facts.box == Box.of((-53, 612), (12, 341), (3, 6)), "one more column and row, to be safe"
    assert (facts.dtype, facts.times, facts.grain[:2]) == (np.uint8, Span(0, 1), (1, 1))
    assert (facts.voxel_size, facts.voxel_unit) == ((4, 4, 40), "nanometers")
    assert facts.label == f"optics/p1/aligned at scale 1 on 127.0.0.1:{service.port}"


@pytest.mark.parametrize("ending", ["", "/", "/render-ws/v1", "/render-ws/v1/"])
def test_the_address_may_end_as_users_write_it(ending: str, service: RenderService) -> None:
    facts = source(service, url=service.url + ending).facts()
    assert facts.identity == source(service).facts().identity


@pytest.mark.parametrize(
    ("scale", "box", "grain"),
    [
        (0.5, Box.of((-27, 306), (6, 171), (3, 6)), 1),
        (0.25, Box.of((-14, 153), (3, 86), (3, 6)), 1),
        (0.3, Box.of((-16, 184), (3, 103), (3, 6)), 3),
        (1 / 3, Box.of((-18, 204), (4, 114), (3, 6)), 1),
        (0.29, Box.of((-16, 178), (3, 99), (3, 6)), 29),
    ],
)
def test_coordinates_are_those_of_the_world_times_the_scale(
    scale: float, box: Box, grain: int, service: RenderService
) -> None:
    facts = source(service, scale=scale).facts()
    assert (facts.box, facts.grain.x, facts.grain.z) == (box, grain, 1)
    assert facts.voxel_size == pytest.approx((4 / scale, 4 / scale, 40))


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25, 0.3, 1 / 3, 0.29, 0.57, 0.125])
@pytest.mark.parametrize(("stack", "channel", "dtype"), [("aligned", None, "uint8"), ("deep", "c2", "uint16")])
def test_every_box_has_the_pixels_of_the_world(
    scale: float, stack: str, channel: str | None, dtype: str, service: RenderService
) -> None:
    """Whatever box is asked for, its pixels are those of one grid: no seams, nothing shifted."""
    store = source(service, stack, scale=scale, channel=channel, dtype=dtype)
    whole = store.facts().box
    array = expected(service.stacks[stack], whole, scale, channel)
    random = np.random.default_rng(1)
    boxes = [whole]
    for _ in range(4):
        x, y, z = (sorted(random.choice(np.arange(a.start, a.stop + 1), 2, replace=False).tolist())
                   for a in (whole.x, whole.y, whole.z))  # fmt: skip
        boxes.append(Box.of(x, y, z))
    for box in boxes:
        piece = store.read(box, 0)
        assert (piece.array.dtype, piece.filled) == (dtype, ())
        np.testing.assert_array_equal(piece.array, array[whole.slices(box)])


def test_wide_boxes_become_several_requests(service: RenderService) -> None:
    service.stacks["wide"] = Stack(tiles=(-5000, 0, 5000, 9), sections=(0,))
    store = source(service, "wide", scale=0.57)
    box = store.facts().box
    np.testing.assert_array_equal(store.read(box, 0).array, expected(service.stacks["wide"], box, 0.57))
    sizes = [float(r.path.split("/")[-2].split(",")[2]) * 0.57 for r in service.images]
    assert len(sizes) == 2
    assert max(sizes) <= 4096


def test_each_request_names_channel_window_limit_and_version(service: RenderService) -> None:
    store = source(service, "deep", channel="c2", window=(100, 4000.5))
    box = store.facts().box
    piece = store.read(box, 0)
    (request, *_) = service.images
    assert request.path == "deep/z/3/box/-53,12,665,329,1.0/png-image"
    assert request.query == {
        "maxTileSpecsToRender": "999999",
        "channels": "c2",
        "minIntensity": "100",
        "maxIntensity": "4000.5",
        "v": "2024-03-01T10:20:30.456Z",
    }
    values = expected(service.stacks["deep"], box, 1, "c2")
    windowed = np.rint(np.clip((values - 100) * 255 / 3900.5, 0, 255)) * (values > 0)
    np.testing.assert_array_equal(piece.array, windowed)


def test_a_changed_stack_is_another_one(service: RenderService) -> None:
    before = source(service).facts().identity
    service.stacks["aligned"] = changed(service.stacks["aligned"])
    after = source(service).facts().identity
    views: list[dict[str, Any]] = [{}, {"scale": 0.5}, {"window": (1, 2)}, {"dtype": "uint16"}]
    others = [source(service, "deep", channel="c1", **view).facts().identity for view in views]
    others.append(source(service, "deep", channel="c2").facts().identity)
    assert len({before, after, *others}) == 7


def test_a_gap_in_z_is_an_error_or_filled_and_counted(service: RenderService) -> None:
    with pytest.raises(JobError, match=r"source\.stack=gappy: .* no section z=4\. Give missing=fill"):
        source(service, "gappy").facts()
    assert source(service, "gappy", extent=Extent(z=(5, 7))).facts().box.z == Span(3, 7)
    store = source(service, "gappy", missing="fill")
    box = store.facts().box
    piece = store.read(box, 0)
    assert piece.filled == (4,)
    np.testing.assert_array_equal(piece.array, expected(service.stacks["gappy"], box))
    assert not piece.array[1].any()
    assert not [request for request in service.images if "/z/4/" in request.path]


def test_a_fractional_z_is_the_plane_below(service: RenderService) -> None:
    service.stacks["torn"] = Stack(sections=(-0.5, 0, 1.25))
    store = source(service, "torn")
    assert store.facts().box.z == Span(-1, 2)
    piece = store.read(Box.of((0, 9), (20, 30), (-1, 2)), 0)
    np.testing.assert_array_equal(
        piece.array, [service.stacks["torn"].scaled(range(9), range(20, 30), z, 1) for z in (-0.5, 0, 1.25)]
    )
    assert {request.path.split("/")[2] for request in service.images} == {"-0.5", "0", "1.25"}


def test_two_sections_of_one_plane_are_refused_where_they_are_asked_for(service: RenderService) -> None:
    service.stacks["torn"] = Stack(sections=(16, 17, 17.1))
    with pytest.raises(JobError, match=r"sections 17\.0, 17\.1 of optics/p1/torn would all become plane 17"):
        source(service, "torn").facts()
    assert source(service, "torn", extent=Extent(z=(16, 17))).facts()


def test_a_stack_without_statistics_is_looked_at_section_by_section(service: RenderService) -> None:
    facts = source(service, "loading").facts()
    assert facts.box == source(service, "aligned").facts().box
    assert "loading (LOADING) at" in facts.label
    assert sorted(r.path for r in service.seen if "z/" in r.path) == [f"loading/z/{z}/bounds" for z in (3, 4, 5)]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"stack": "alinged"}, r"source\.stack=alinged: .* has no stack optics/p1/alinged. There are aligned, deep, "),
        ({"project": "p2"}, "Nor any other of owner optics and project p2"),
        ({"stack": "offline"}, "is OFFLINE, its tiles are gone"),
        ({"stack": "deep"}, r"source\.channel is not set, and optics/p1/deep has c1, c2"),
        ({"stack": "deep", "channel": "c3"}, r"source\.channel=c3: .* no such channel; there is c1, c2"),
        ({"channel": "c1"}, r"source\.channel=c1: optics/p1/aligned has no named channels. Leave source\.channel out"),
        ({"scale": 0.333333}, r"source\.scale=0\.333333 is no ratio .* Use 0\.3333333333333333"),
        ({"url": "http://127.0.0.1:1"}, r"nobody answers at source\.url=http://127\.0\.0\.1:1/render-ws/v1"),
    ],
)
def test_what_cannot_be_read_is_refused_before_the_plan(
    keys: dict[str, Any], sentence: str, service: RenderService
) -> None:
    with pytest.raises((JobError, Unreachable), match=sentence):
        source(service, **{"stack": "aligned", **keys}).facts()
    assert not service.images


def test_a_channel_that_cannot_be_looked_up_must_show_something(service: RenderService) -> None:
    """An unknown name brings empty images with status 200."""
    service.stacks["young"] = Stack(state="LOADING", channels=("c1",), sections=tuple(range(9)))
    assert source(service, "young", channel="c1").facts().box.z == Span(0, 9)
    assert len(service.images) == 1
    service.seen = []
    with pytest.raises(JobError, match=r"source\.channel=c2: .* shows nothing of this one"):
        source(service, "young", channel="c2").facts()
    assert [request.path.split("/")[2] for request in service.images] == ["0", "4", "8"]
    assert all(request.query["channels"] == "c2" for request in service.images)


def test_an_empty_stack_is_refused(service: RenderService) -> None:
    service.stacks["empty"] = Stack(state="LOADING", sections=())
    with pytest.raises(JobError, match="optics/p1/empty has no tiles"):
        source(service, "empty").facts()


@pytest.mark.parametrize(
    "keys",
    [
        {"url": "render.example.org"},
        {"url": "ftp://render.example.org"},
        {"url": "http://me:secret@host/"},
        {"url": "http://host/?x=1"},
        {"url": "http://host:99999/"},
        {"owner": "two__underscores"},
        {"project": "my-project"},
        {"stack": "_v1"},
        {"stack": "v" * 96},
        {"channel": "a__0.5__b__0.5"},
        {"window": (5, 5)},
        {"window": (0, float("inf"))},
        {"window": (0, 9), "dtype": "uint16"},
    ],
)
def test_settings_that_a_service_would_answer_with_500_or_nonsense(keys: dict[str, Any]) -> None:
    (key, *_) = keys
    with pytest.raises(ValueError, match=f"^{key}[=:]") as caught:
        Source(**{"url": "http://host", "owner": "optics", "project": "p1", "stack": "aligned", **keys})
    assert "secret" not in str(caught.value)


def images_only(answer: Callable[[], Reply | None]) -> Script:
    return lambda request: answer() if request.path.endswith("-image") else None


@pytest.mark.parametrize(
    ("reply", "error", "sentence"),
    [
        (outlines(665, 329), PermanentError, "tile outlines .*red, green and blue differ"),
        (png(np.ones((329, 664, 4), np.uint8)), PermanentError, "has 664 x 329 pixels instead of 665 x 329"),
        (png(np.ones((329, 665, 4), np.uint16)), PermanentError, "no 8-bit image of the kind asked for"),
        (Reply(200, b"\x89PNG\r\n\x1a\n", "image/png"), DamagedData, "not a PNG"),
        (Reply(200, png(np.ones((329, 665, 4), np.uint8)).body[:200], "image/png"), DamagedData, "damaged"),
        (Reply(200, bytes(2_000_000), "image/png"), DamagedData, "longer than it can be"),
        (Reply(200, b"abc", "image/jpeg"), DamagedData, "image/jpeg instead of image/png"),
        (Reply(404, b"gone"), Missing, "answered 404: gone"),
        (Reply(302, b""), JobError, "points elsewhere"),
    ],
)
def test_an_answer_that_is_no_data_is_an_error_and_not_asked_for_again(
    reply: Reply, error: type[Exception], sentence: str, service: RenderService
) -> None:
    service.script = images_only(lambda: reply)
    store = source(service)
    with pytest.raises(error, match=sentence):
        store.read(Box.of((-53, 612), (12, 341), (3, 4)), 0)
    assert len(service.images) == 1
    with pytest.raises(error):  # a mistake is not filled either
        source(service, missing="fill").read(Box.of((-53, 612), (12, 341), (3, 4)), 0)


def test_outlines_in_place_of_16_bits(service: RenderService) -> None:
    service.script = images_only(lambda: outlines(665, 329))
    with pytest.raises(PermanentError, match=r"tile outlines .*no 16-bit image"):
        source(service, "deep", channel="c1", dtype="uint16").read(Box.of((-53, 612), (12, 341), (3, 4)), 0)


@pytest.mark.parametrize(
    ("failure", "tries", "error"),
    [
        (Reply(400, b"cannot read /data/tile.tif"), 4, ServerError),
        (Reply(500, b"out of memory"), 4, ServerError),
        (Reply(503, b"<html>busy</html>", "text/html"), ATTEMPTS, TransientError),
        (Reply(200, b"<html>login</html>", "text/html"), ATTEMPTS, TransientError),
        (Reply(200, b"cut short", "image/png", claimed=5000), ATTEMPTS, TransientError),
    ],
)
def test_what_may_pass_is_tried_again(
    failure: Reply, tries: int, error: type[Exception], service: RenderService
) -> None:
    box = Box.of((0, 9), (20, 30), (3, 4))
    service.script = images_only(lambda: failure if len(service.images) < 3 else None)
    np.testing.assert_array_equal(source(service).read(box, 0).array, expected(Stack(), box))
    assert len(service.images) == 3
    service.seen, service.script = [], images_only(lambda: failure)
    with pytest.raises(error):
        source(service).read(box, 0)
    assert len(service.images) == tries


def test_a_section_that_cannot_be_rendered_is_filled_if_that_is_the_policy(service: RenderService) -> None:
    service.script = lambda r: Reply(400, b"no such file") if "/z/4/" in r.path else None
    box = Box.of((0, 9), (20, 30), (3, 6))
    piece = source(service, missing="fill").read(box, 0)
    wanted = expected(Stack(), box)
    wanted[1] = 0
    assert piece.filled == (4,)
    np.testing.assert_array_equal(piece.array, wanted)


NOWHERE = {"minX": float("nan"), "minY": 0, "maxX": 9, "maxY": 9}


@pytest.mark.parametrize(
    "told_instead",
    [
        *([], {}, 7, {"state": "COMPLETE", "stats": {"stackBounds": {"minX": "x"}}}),
        {"state": "COMPLETE", "stats": {"stackBounds": NOWHERE}},
    ],
)
def test_metadata_that_is_none(told_instead: object, service: RenderService) -> None:
    service.script = lambda request: None if "/" in request.path else told(told_instead)
    with pytest.raises(DamagedData, match="lacks a field or has a wrong one"):
        source(service).facts()


def test_a_page_in_place_of_metadata(service: RenderService) -> None:
    service.script = lambda request: Reply(200, b"<html>hello</html>", "text/html")
    with pytest.raises(TransientError, match=r"Is source\.url=.* a render service"):
        source(service).facts()
    assert len(service.seen) == 3, "impatient before the plan"


def test_metadata_is_asked_for_again_a_few_times(service: RenderService) -> None:
    service.script = lambda request: Reply(500, b"database failure") if len(service.seen) < 3 else None
    assert source(service).facts()
    service.seen, service.script = [], lambda request: Reply(400, b"statistics are missing")
    with pytest.raises(PermanentError, match="answered 400: statistics are missing"):
        source(service).facts()
    assert len(service.seen) == 1


def test_neither_proxies_nor_passwords_come_in_between(
    service: RenderService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert source(service).facts(), "this machine is not reached through a proxy"
    monkeypatch.delenv("HTTP_PROXY")
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    if sys.platform != "win32":  # where 0.0.0.0 is this machine, but not by a name that says so
        assert source(service, url=service.url.replace("127.0.0.1", "0.0.0.0")).facts()
    assert not [request for request in service.seen if "Authorization" in request.headers]


def test_no_more_requests_at_once_than_the_service_likes(service: RenderService) -> None:
    here, most, lock = 0, 0, threading.Lock()
    service.stacks["many"] = Stack(sections=tuple(range(40)))
    reached = threading.Event()

    def count(request: Request) -> None:
        nonlocal here, most
        if not request.path.endswith("-image"):
            return
        with lock:
            here += 1
            most = max(most, here)
            if here == 8:
                reached.set()
        reached.wait(5)
        with lock:
            here -= 1

    service.script = count
    source(service, "many", parallel=Parallel(requests=30)).read(Box.of((0, 9), (20, 30), (0, 40)), 0)
    assert most == 8
