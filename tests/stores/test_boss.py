"""The kind `boss`, end to end against the embedded server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import stamina

from ndex.boss.client import BossClient
from ndex.errors import AccessError, JobError, Missing, PermanentError, Unreachable
from ndex.geometry import ORIGIN, Box, Span, Vec
from ndex.job import Blocks, Boss, Extent, Job, Parallel, Resource, Retry
from ndex.server.process import running
from ndex.stores import open_destination, open_source
from ndex.stores.boss import Destination, Source
from ndex.stores.boss.destination import BossDestination
from ndex.stores.boss.source import BossSource
from ndex.volume import Facts, Volume

Make = Callable[..., Job]

BOX = Box.of((3, 900), (5, 603), (7, 40))
"""Aligned to nothing, and of several requests with BLOCKS."""
BLOCKS = Blocks(512, 512, 16)
ONCE = Span(0, 1)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boss]:
    """One server for all tests: each works in a collection of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NDEX_EMBEDDED_TOKEN", "test-token")
        root = tmp_path_factory.mktemp("boss")
        with running(root) as host:
            yield Boss(root=root, host=host, protocol="http", timeout=20)


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    stamina.set_testing(True, attempts=3, cap=True)
    yield
    stamina.set_testing(False)


@pytest.fixture
def make(embedded: Boss, request: pytest.FixtureRequest) -> Make:
    collection = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)

    def job(**changes: object) -> Job:
        resource = Resource(collection, "run7", "em", voxel_size=(4, 4, 40))
        resource = replace(resource, **changes.pop("resource", {}))
        return Job(
            **{
                **{"boss": embedded, "resource": resource, "source": Source(), "destination": Destination()},
                **{"retry": Retry(attempts=3, wait=0), "blocks": BLOCKS, "parallel": Parallel(requests=3)},
                **changes,
            }
        )

    return job


def destination(job: Job) -> BossDestination:
    store = open_destination(job)
    assert isinstance(store, BossDestination)
    return store


def source(job: Job) -> BossSource:
    store = open_source(job)
    assert isinstance(store, BossSource)
    return store


def volume(dtype: str = "uint8", box: Box = BOX, times: Span = ONCE, offset: Vec = ORIGIN) -> Volume:
    return Volume(box, np.dtype(dtype), times, False, offset, "stamp", Vec(512, 512, 16))


def noise(dtype: str, box: Box = BOX, seed: int = 0) -> np.ndarray:
    """No zeros, values of the whole range, soon packed."""
    values = np.linspace(1, np.iinfo(dtype).max - 1024, 200).astype(dtype) if dtype != "uint8" else np.arange(1, 200)
    return np.random.default_rng(seed).choice(values.astype(dtype), box.shape)


def write(store: BossDestination, box: Box, array: np.ndarray, t: int = 0) -> None:
    with store.writer(box, t) as writer:
        writer.write(box, array)


def client_of(job: Job) -> BossClient:
    return BossClient.connect(job.boss, job.retry)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint64"])
def test_create_write_read(make: Make, embedded: Boss, dtype: str) -> None:
    job = make()
    store = destination(job)
    assert len(store.check(volume(dtype))) == 4
    assert not store.held([(BOX, 0)]).all()
    assert len(destination(job).check(volume(dtype))) == 4
    store.prepare(volume(dtype))
    assert store.check(volume(dtype)) == []
    voxels = noise(dtype)
    write(store, BOX, voxels)
    np.testing.assert_array_equal(store.read(BOX, 0).array, voxels)
    assert store.held([(BOX, 0)]).all()

    assert job.resource is not None
    where = f"{job.resource.collection}/run7/em"
    reader = source(job)
    assert reader.facts() == Facts(
        label=f"{where} at resolution 0 on the embedded BOSS in {embedded.root}",
        identity=f"boss://{embedded.root.as_posix() if embedded.root else ''}/{where}/0",
        box=BOX,
        dtype=np.dtype(dtype),
        grid=Vec(512, 512, 16),
        voxel_size=(4, 4, 40),
        voxel_unit="nanometers",
    )
    assert (reader.facts().label, reader.facts().identity) == (store.label, store.identity)
    inner = Box.of((500, 700), (5, 600), (8, 17))
    np.testing.assert_array_equal(reader.read(inner, 0).array, voxels[BOX.slices(inner)])
    reader.close()
    store.close()


def test_times(make: Make) -> None:
    job = make(extent=Extent(t=(0, 3)))
    box = Box.of((0, 20), (0, 20), (0, 3))
    store = destination(job)
    store.prepare(volume(box=box, times=Span(0, 3)))
    samples = [noise("uint8", box, seed) for seed in range(3)]
    for t, voxels in enumerate(samples):
        write(store, box, voxels, t)
    reader = source(make())
    assert reader.facts().times == Span(0, 3)
    for t, voxels in enumerate(samples):
        np.testing.assert_array_equal(reader.read(box, t).array, voxels)
    emptying = destination(make(extent=Extent(t=(0, 3)), empty="erase"))
    write(emptying, box, np.zeros_like(samples[1]), 1)
    assert not reader.read(box, 1).array.any()
    np.testing.assert_array_equal(reader.read(box, 2).array, samples[2])


@pytest.mark.parametrize(("empty", "erased"), [("skip", False), ("erase", True)])
def test_zeros_over_older_data(make: Make, empty: str, erased: bool) -> None:
    job = make(empty=empty)
    store = destination(job)
    store.prepare(volume())
    old = noise("uint8", seed=1)
    write(store, BOX, old)
    new = noise("uint8", seed=2)
    new[:, ::2] = 0
    new[:9] = 0  # blocks without any voxel
    write(store, BOX, new)
    np.testing.assert_array_equal(store.read(BOX, 0).array, new if erased else np.where(new, new, old))


def test_empty_blocks_are_not_sent(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = destination(make())
    store.prepare(volume())
    sent: list[Box] = []
    send = BossClient.put_frame

    def counting(self: BossClient, channel: object, resolution: int, box: Box, *rest: object) -> None:
        sent.append(box)
        send(self, channel, resolution, box, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(BossClient, "put_frame", counting)
    voxels = np.zeros(BOX.shape, np.uint8)
    voxels[-1, -1, -1] = 7
    write(store, BOX, voxels)
    assert sent == [Box.of((512, 900), (512, 603), (32, 40))]


def test_labels_that_add_up_to_nothing(make: Make) -> None:
    store = destination(make())
    store.prepare(volume("uint64"))
    voxels = np.zeros(BOX.shape, np.uint64)
    voxels[0, 0, :2] = 1 << 63
    write(store, BOX, voxels)
    np.testing.assert_array_equal(store.read(BOX, 0).array, voxels)


def test_filter(make: Make) -> None:
    store = destination(make())
    store.prepare(volume("uint64"))
    voxels = np.random.default_rng(4).integers(1, 9, BOX.shape, np.uint64)
    write(store, BOX, voxels)
    reader = source(make(source=Source(filter=(3, 5))))
    assert reader.facts().identity.endswith("/0#3,5")
    np.testing.assert_array_equal(reader.read(BOX, 0).array, np.where(np.isin(voxels, (3, 5)), voxels, 0))


def test_filter_is_for_annotations(make: Make) -> None:
    destination(make()).prepare(volume())
    with pytest.raises(JobError, match=r"source\.filter"):
        source(make(source=Source(filter=(3,)))).facts()


def test_shards_create_at_once(make: Make) -> None:
    resource = {"channel": "seg", "source_channels": ("em", "raw")}
    stores = [destination(make(resource=resource)) for _ in range(6)]
    barrier, failures = threading.Barrier(len(stores)), []

    def prepare(store: BossDestination) -> None:
        barrier.wait()
        try:
            store.prepare(volume("uint64", offset=Vec(1, 2, 3)))
        except Exception as error:  # told by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=prepare, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    job = make(resource=resource)
    assert job.resource is not None
    client = client_of(job)
    assert sorted(client.list_channels(job.resource.collection, "run7")) == ["em", "raw", "seg"]
    assert client.get_metadata("offsets", job.resource.collection, "run7") == "[1, 2, 3]"


def test_shards_that_disagree(make: Make) -> None:
    destination(make()).prepare(volume())
    with pytest.raises(JobError, match=r"uint16.*uint8"):
        destination(make()).prepare(volume("uint16"))
    with pytest.raises(JobError, match="x 3:901"):
        destination(make()).check(volume(box=replace(BOX, stop=Vec(901, 603, 40))))


def test_accepts(make: Make) -> None:
    store = destination(make(resource={"channel_type": "annotation"}))
    assert store.accepts(np.dtype("uint32")) == np.dtype("uint64")
    store.prepare(volume("uint64"))
    assert store.accepts(np.dtype("uint32")) == np.dtype("uint64")
    existing = destination(make(resource={"channel": "grey"}))
    existing.prepare(volume("uint8"))
    with pytest.raises(JobError, match=r"convert\.dtype=uint8"):
        existing.accepts(np.dtype("uint16"))


def test_wrong_arrays_are_not_sent(make: Make) -> None:
    store = destination(make())
    store.prepare(volume())
    with pytest.raises(PermanentError, match="uint16"):
        write(store, BOX, noise("uint16"))
    with pytest.raises(PermanentError, match="does not fit"):
        write(store, BOX, noise("uint8")[1:])
    assert not store.read(BOX, 0).array.any()


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"collection": "nowhere"}, r"resource\.collection=nowhere"),
        ({"experiment": "run8"}, r"resource\.experiment=run8"),
        ({"channel": "em2"}, r"resource\.channel=em2.*It has em\."),
    ],
)
def test_a_missing_source(make: Make, resource: dict[str, str], words: str) -> None:
    destination(make()).prepare(volume())
    with pytest.raises(Missing, match=words):
        source(make(resource=resource)).facts()


def test_levels_that_are_not_there(make: Make) -> None:
    destination(make()).prepare(volume())
    with pytest.raises(JobError, match="NOT_DOWNSAMPLED"):
        source(make(resource={"resolution": 1})).facts()
    with pytest.raises(JobError, match="0 to 1"):
        source(make(resource={"resolution": 2})).facts()


def test_lower_resolutions(make: Make) -> None:
    """A channel of its own base, written and read at resolution 2."""
    job = make(resource={"resolution": 2})
    store = destination(job)
    store.prepare(volume())
    voxels = noise("uint8")
    write(store, BOX, voxels)
    facts = source(job).facts()
    assert facts.box == BOX
    assert facts.voxel_size == (16, 16, 40)
    np.testing.assert_array_equal(source(job).read(BOX, 0).array, voxels)


def test_a_failing_block_stops_the_others(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = destination(make(parallel=Parallel(requests=1)))
    store.prepare(volume())
    asked: list[Box] = []

    def refuse(self: BossClient, channel: object, resolution: int, box: Box, *rest: object, **options: object) -> None:
        asked.append(box)
        raise PermanentError("no")

    monkeypatch.setattr(BossClient, "get_cutout", refuse)
    before = threading.active_count()
    with pytest.raises(PermanentError, match="no"):
        store.read(BOX, 0)
    assert len(asked) == 1
    assert threading.active_count() == before


def test_wrong_token(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NDEX_EMBEDDED_TOKEN", "another-token")
    for ask in (source(make()).facts, lambda: destination(make()).check(volume())):
        with pytest.raises(AccessError, match="NDEX_EMBEDDED_TOKEN") as caught:
            ask()
        assert "another-token" not in str(caught.value)


def test_nobody_answers(make: Make, embedded: Boss) -> None:
    away = replace(embedded, host="127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        source(make(boss=away)).facts()
    own = make(boss=away, destination=Destination(boss=embedded))
    assert len(destination(own).check(volume())) == 4


def test_blocks_are_those_of_the_plan(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = destination(make())
    store.prepare(volume())
    store.expect(replace(volume(), block=Vec(900, 603, 8)))
    sent: list[Box] = []
    monkeypatch.setattr(BossClient, "put_frame", lambda self, channel, resolution, box, *rest: sent.append(box))
    write(store, BOX, noise("uint8"))
    assert sorted(box.z for box in sent) == [(7, 8), (8, 16), (16, 24), (24, 32), (32, 40)]


def test_opening_does_nothing(make: Make) -> None:
    boss = Boss(host="nowhere.invalid", token_file=Path("no-such-file"))
    store = destination(make(boss=boss))
    with pytest.raises(AccessError, match=r"boss\.token_file=no-such-file"):
        store.check(volume())
    with pytest.raises(JobError, match="resource is not set"):
        open_source(replace(make(), resource=None))
