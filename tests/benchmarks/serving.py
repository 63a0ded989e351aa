"""How fast the embedded server takes and gives voxels, kept on disk, with two clients that cost next to nothing.

    python tests/benchmarks/serving.py [--rounds 5] [--gib 1] [--threads 4] [--folder DIR]

Each client is a process with threads; its frames are packed before the clock starts. The floor is the same work without
a server: two threads that unpack each frame, and write its cuboids to files, or read them and pack the answer. The
last row says what the machine takes when files of that size are only written: the first voxels of a channel go to pages
that a virtual machine may still have to be given, and then no server is faster than that.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
import requests
import volumes

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from ndex.boss import wire  # noqa: E402 - of this checkout, whatever is installed

SIDE, DEPTH, CUBOID = 1024, 16, 512
CLIENTS = 2
TOKEN = "bench"
MEASURES = ("POST", "GET", "GET, unpacked", "POST over it", "floor of POST", "floor of GET", "bare files")


@dataclass(frozen=True)
class Kind:
    """What is sent: voxels of one kind in cutouts of SIDE x SIDE x DEPTH."""

    name: str
    datatype: str
    plane: Callable[[int, int], np.ndarray]
    columns: int
    """Cutouts along x and y, all different; along z they repeat."""

    def blocks(self) -> list[np.ndarray]:
        slab = np.stack([self.plane(self.columns * SIDE, z) for z in range(DEPTH)])
        tiles = range(0, self.columns * SIDE, SIDE)
        return [np.ascontiguousarray(slab[:, y : y + SIDE, x : x + SIDE]) for y in tiles for x in tiles]

    @property
    def nbytes(self) -> int:
        """Of one cutout."""
        return SIDE * SIDE * DEPTH * np.dtype(self.datatype).itemsize


KINDS = (Kind("EM", "uint8", volumes.em, 4), Kind("labels", "uint64", volumes.labels, 2))


def path_of(kind: Kind, number: int, channel: str) -> str:
    z, rest = divmod(number, kind.columns**2)
    y, x = divmod(rest, kind.columns)
    ranges = "/".join(f"{i * size}:{(i + 1) * size}" for i, size in ((x, SIDE), (y, SIDE), (z, DEPTH)))
    return f"/v1/cutout/c/e/{channel}/0/{ranges}/"


class Client:
    """One process: every CLIENTS-th cutout is its own."""

    def __init__(self, kind: Kind, index: int, count: int, threads: int) -> None:
        self._kind = kind
        blocks = kind.blocks()
        self._frames = [wire.encode(block, fast=True) for block in blocks]
        self._sums = [zlib.crc32(block) for block in blocks]
        self._numbers = range(index, count, CLIENTS)
        self._pool = ThreadPoolExecutor(threads)
        self._local = threading.local()

    def run(self, measure: str, host: str, channel: str) -> tuple[float, float]:
        """Wall and CPU seconds."""
        self._local = threading.local()
        work = {"POST": self._post, "POST over it": self._post, "GET": self._get, "check": self._check}
        work["GET, unpacked"] = self._unpack
        start, cpu = time.perf_counter(), time.process_time()
        list(self._pool.map(lambda number: work[measure](number, host, channel), self._numbers))
        return time.perf_counter() - start, time.process_time() - cpu

    def _post(self, number: int, host: str, channel: str) -> None:
        self._request(host, "POST", path_of(self._kind, number, channel), self._frames[number % len(self._frames)])

    def _get(self, number: int, host: str, channel: str) -> memoryview:
        return self._request(host, "GET", path_of(self._kind, number, channel))

    def _unpack(self, number: int, host: str, channel: str) -> np.ndarray:
        frame = self._get(number, host, channel)
        if not hasattr(self._local, "voxels"):
            self._local.voxels = np.empty((DEPTH, SIDE, SIDE), self._kind.datatype)
        wire.decode_into(frame, self._local.voxels)
        return self._local.voxels

    def _check(self, number: int, host: str, channel: str) -> None:
        if zlib.crc32(self._unpack(number, host, channel)) != self._sums[number % len(self._sums)]:
            raise ValueError(f"the server answers with other voxels than were sent: cutout {number}")

    def _request(self, host: str, verb: str, path: str, body: bytes | None = None) -> memoryview:
        local = self._local
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(host)
            local.buffer = bytearray(self._kind.nbytes + (1 << 20))
        headers = {
            "Authorization": f"Token {TOKEN}",
            "Content-Type": "application/blosc",
            "Accept": "application/blosc",
        }
        local.connection.request(verb, path, body, headers)
        response = local.connection.getresponse()
        length, done = int(response.headers["Content-Length"]), 0
        while done < length:
            done += response.readinto(memoryview(local.buffer)[done:length])
        response.close()
        if response.status not in (200, 201):
            raise ValueError(f"{response.status}: {bytes(local.buffer[:length])!r}")
        return memoryview(local.buffer)[:length]


def client(pipe: Connection, kind: Kind, index: int, count: int, threads: int) -> None:
    """A process that does what it is told through the pipe, until that ends."""
    one = Client(kind, index, count, threads)
    pipe.send("ready")
    while True:
        try:
            order = pipe.recv()
        except EOFError:
            return
        pipe.send(one.run(*order))


@contextmanager
def clients(kind: Kind, count: int, threads: int) -> Iterator[list[Connection]]:
    context = multiprocessing.get_context("spawn")
    pipes = []
    for index in range(CLIENTS):
        here, there = context.Pipe()
        context.Process(target=client, args=(there, kind, index, count, threads), daemon=True).start()
        there.close()
        pipes.append(here)
    for pipe in pipes:
        pipe.recv()
    yield pipes
    for pipe in pipes:
        pipe.close()


@contextmanager
def server(root: Path) -> Iterator[tuple[str, psutil.Process]]:
    command = [sys.executable, "-m", "ndex.server", "--root", str(root), "--port", "0", "--token", TOKEN]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip().removeprefix("http://"), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def make_resources(host: str) -> None:
    frame = {f"{axis}_{end}": value for axis in "xyz" for end, value in (("start", 0), ("stop", 1 << 20))}
    sizes = {f"{axis}_voxel_size": 1 for axis in "xyz"}
    make(host, "collection/c", {})
    make(host, "coord/f", {**frame, **sizes, "voxel_unit": "nanometers"})
    make(host, "collection/c/experiment/e", {"coord_frame": "f", "num_hierarchy_levels": 1})


def make(host: str, path: str, content: dict[str, object]) -> None:
    headers = {"Authorization": f"Token {TOKEN}"}
    requests.post(f"http://{host}/v1/{path}", json=content, headers=headers, timeout=60).raise_for_status()


def floor(kind: Kind, frames: list[bytes], count: int, folder: Path) -> list[float]:
    """Wall seconds of unpacking frames into cuboids on disk, of the way back, and of writing the frames as they are."""
    corners = [(y, x) for y in range(0, SIDE, CUBOID) for x in range(0, SIDE, CUBOID)]
    shape, dtype = (DEPTH, SIDE, SIDE), np.dtype(kind.datatype)
    folder.mkdir(parents=True)

    def post(number: int) -> None:
        voxels = wire.decode(frames[number % len(frames)], shape, dtype)
        for y, x in corners:
            path = folder / f"{number}_{y}_{x}"
            path.with_suffix(".tmp").write_bytes(wire.encode(voxels[:, y : y + CUBOID, x : x + CUBOID], fast=True))
            path.with_suffix(".tmp").replace(path)

    def get(number: int) -> None:
        voxels = np.empty(shape, dtype)
        for y, x in corners:
            part = voxels[:, y : y + CUBOID, x : x + CUBOID]
            part[...] = wire.decode((folder / f"{number}_{y}_{x}").read_bytes(), part.shape, dtype)
        wire.encode(voxels, fast=True)

    def bare(number: int) -> None:
        (folder / str(number)).write_bytes(frames[number % len(frames)])

    seconds = []
    with ThreadPoolExecutor(2) as pool:
        for work in (post, get, bare):
            start = time.perf_counter()
            list(pool.map(work, range(count)))
            seconds.append(time.perf_counter() - start)
    return seconds


@dataclass(frozen=True)
class Result:
    """Of one measure in one round."""

    rate: float
    """Voxels, MB/s."""
    server: float = 0.0
    """CPU seconds per GB of voxels, as below."""
    clients: float = 0.0


def measured(measure: str, pipes: list[Connection], host: str, process: psutil.Process, nbytes: int) -> Result:
    before = sum(process.cpu_times()[:2])
    for pipe in pipes:
        pipe.send((measure, host, "v"))
    answers = [pipe.recv() for pipe in pipes]
    spent = sum(process.cpu_times()[:2]) - before
    seconds, clients = max(wall for wall, _ in answers), sum(cpu for _, cpu in answers)
    return Result(nbytes / seconds / 1e6, spent / nbytes * 1e9, clients / nbytes * 1e9)


def one_round(
    kind: Kind, frames: list[bytes], pipes: list[Connection], count: int, root: Path
) -> tuple[dict[str, Result], float]:
    """All measures, and the most memory that the server has had, MiB."""
    results, nbytes = {}, count * kind.nbytes
    with server(root) as (host, process):
        make_resources(host)
        channel_type = "annotation" if kind.name == "labels" else "image"
        make(host, "collection/c/experiment/e/channel/v", {"type": channel_type, "datatype": kind.datatype})
        for measure in MEASURES[:4]:
            results[measure] = measured(measure, pipes, host, process, nbytes)
        measured("check", pipes, host, process, nbytes)
        peak = peak_memory(process)
    shutil.rmtree(root)
    for measure, seconds in zip(MEASURES[4:], floor(kind, frames, count, root), strict=True):
        results[measure] = Result(nbytes / 1e6 / seconds)
    shutil.rmtree(root)
    return results, peak


def peak_memory(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return process.memory_info().rss / 2**20
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024


def report(kind: Kind, rounds: list[tuple[dict[str, Result], float]], nbytes: int) -> None:
    peak = max(peak for _, peak in rounds)
    size = f"{nbytes / 2**30:.1f} GiB"
    print(f"\n{kind.name}, {kind.datatype}: {size}, medians of {len(rounds)}; server at most {peak:.0f} MiB")
    print(f"{'':16}{'MB/s':>8}{'from':>8}{'to':>8}   CPU s/GB: server  clients")
    for measure in MEASURES:
        results = [results[measure] for results, _ in rounds]
        rates = [result.rate for result in results]
        line = f"{measure:16}{statistics.median(rates):8.0f}{min(rates):8.0f}{max(rates):8.0f}"
        if measure in MEASURES[:4]:
            spent = (
                statistics.median(values) for values in zip(*((r.server, r.clients) for r in results), strict=True)
            )
            line += "{:19.2f}{:9.2f}".format(*spent)
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gib", type=float, default=1.0, help="size of the volume")
    parser.add_argument("--threads", type=int, default=4, help="of each client")
    parser.add_argument("--folder", type=Path, help="on the disk that is measured")
    parser.add_argument("--kind", choices=[kind.name for kind in KINDS], action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for kind in KINDS:
            if kind.name in (options.kind or [kind.name]):
                count = max(CLIENTS, int(options.gib * 2**30) // kind.nbytes)
                frames = [wire.encode(block, fast=True) for block in kind.blocks()]
                with clients(kind, count, options.threads) as pipes:
                    root = Path(folder) / "root"
                    rounds = [one_round(kind, frames, pipes, count, root) for _ in range(options.rounds)]
                report(kind, rounds, count * kind.nbytes)


if __name__ == "__main__":
    main()
