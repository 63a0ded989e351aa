"""Compares ndex with what a user would write instead (peer) and with bare loops over the same libraries (floor).

    python tests/benchmarks/run.py [--side 4096] [--depth 64] [--rounds 5] [--only NAME ...] [--folder DIR]

Each row is measured side by side in one run, the contestants in turn; what is printed are medians, and ratios of them.
A contestant is a process of its own; its time includes its start.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests
from volumes import write

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "BOSS_TOKEN": "bench"}


@dataclass(frozen=True)
class Row:
    """One thing that is measured."""

    name: str
    direction: str
    kind: str = "tif"
    """Of the files that are uploaded."""
    contestants: tuple[str, ...] = ("ndex", "peer", "floor")
    compression: str = "deflate"
    latency: float = 0.0
    bandwidth: float | None = None
    scale: int = 1
    """Divides side, for rows that a slow line would make long."""
    deep: int = 1
    """Times as many planes."""


ROWS = [
    Row("download to deflate planes", "down"),
    Row("download uncompressed", "down", compression="none", contestants=("ndex", "floor")),
    Row("upload TIFF", "up"),
    Row("upload PNG", "up", "png"),
    Row("upload deflate TIFF", "up", "deflate"),
    Row("upload labels", "up", "labels", scale=2),
    Row("upload, 50 ms", "up", latency=0.05, contestants=("ndex", "peer")),
    Row("upload, 300 ms", "up", latency=0.3, contestants=("ndex", "peer")),
    Row("download, 50 ms", "down", latency=0.05, contestants=("ndex", "peer")),
    Row("download, 300 ms", "down", latency=0.3, contestants=("ndex", "peer")),
    Row("upload, 100 Mbit/s", "up", bandwidth=12.5e6, contestants=("ndex",), scale=4),
    Row("download, 100 Mbit/s", "down", bandwidth=12.5e6, contestants=("ndex",), scale=4),
    Row("download, 1 Gbit/s", "down", bandwidth=125e6, contestants=("ndex",)),
    *(Row(f"upload, {deep} times as deep", "up", contestants=("ndex",), scale=2, deep=deep) for deep in (1, 16)),
]


@dataclass(frozen=True)
class Measured:
    seconds: float
    cpu: float
    """CPU seconds of the contestant, without the server."""
    memory: int
    """Largest sum of the resident memory of its processes, bytes."""
    wire: int
    """Bytes of voxels that crossed the line."""
    files: int
    """Bytes of the files that it wrote."""


class Bench:
    """One row on one server."""

    def __init__(self, row: Row, planes: Path, side: int, depth: int, scratch: Path) -> None:
        self.row, self.planes, self.side, self.depth, self.scratch = row, planes, side, depth, scratch
        self.dtype = "uint64" if row.kind == "labels" else "uint8"

    @contextmanager
    def server(self) -> Iterator[str]:
        command = [sys.executable, str(HERE / "bare.py"), "--latency", str(self.row.latency)]
        if self.row.bandwidth is not None:
            command += ["--bandwidth", str(self.row.bandwidth)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        host = f"127.0.0.1:{process.stdout.readline().strip()}"
        try:
            self._create(host)
            yield host
        finally:
            process.communicate()

    def _create(self, host: str) -> None:
        kind = "annotation" if self.dtype == "uint64" else "image"
        stops = {"x_stop": self.side, "y_stop": self.side, "z_stop": self.depth}
        frame = {"name": "f", "x_start": 0, "y_start": 0, "z_start": 0, **stops}
        sizes = {"x_voxel_size": 4.0, "y_voxel_size": 4.0, "z_voxel_size": 40.0, "voxel_unit": "nanometers"}
        experiment = {"name": "bench", "collection": "c", "coord_frame": "f", "num_hierarchy_levels": 1}
        more = {"hierarchy_method": "anisotropic", "num_time_samples": 1, "time_step": 0, "time_step_unit": "seconds"}
        channel = {
            "name": "e",
            "type": kind,
            "datatype": self.dtype,
            "base_resolution": 0,
            "sources": [],
            "related": [],
        }
        for path, body in (
            ("collection/c", {"name": "c"}),
            ("coord/f", {**frame, **sizes}),
            ("collection/c/experiment/bench", {**experiment, **more}),
            ("collection/c/experiment/bench/channel/e", channel),
        ):
            requests.post(f"http://{host}/v1/{path}", json=body, timeout=10).raise_for_status()

    def fill(self, host: str) -> None:
        """Put the volume there for the downloads, and have each contestant's cutouts packed once."""
        subprocess.run(self._floor("up", host, self.planes), check=True, env=ENVIRONMENT)

    def measure(self, contestant: str, host: str) -> Measured:
        out = Path(tempfile.mkdtemp(dir=self.scratch))
        folder = self.planes if self.row.direction == "up" else out / "planes"
        folder.mkdir(exist_ok=True)
        try:
            before = self._wire(host)
            seconds, cpu, memory = timed(self._command(contestant, host, folder, out), out)
            files = sum(path.stat().st_size for path in (out / "planes").glob("*.tif"))
            return Measured(seconds, cpu, memory, self._wire(host) - before, files)
        finally:
            shutil.rmtree(out)

    def _wire(self, host: str) -> int:
        stats = requests.get(f"http://{host}/v1/stats", timeout=10).json()
        return int(stats[self.row.direction])

    def _command(self, contestant: str, host: str, folder: Path, out: Path) -> list[str]:
        if contestant == "ndex":
            return self._ndex(host, folder)
        if contestant == "floor":
            return self._floor(self.row.direction, host, folder)
        script = str(HERE / "peer.py")
        return [
            sys.executable,
            script,
            self.row.direction,
            host,
            str(folder),
            str(self.side),
            str(self.depth),
            self.dtype,
        ]

    def _floor(self, direction: str, host: str, folder: Path) -> list[str]:
        size = [str(self.side), str(self.depth), self.dtype]
        return [sys.executable, str(HERE / "floor.py"), direction, host, str(folder), *size, self.row.compression]

    def _ndex(self, host: str, folder: Path) -> list[str]:
        resource = ["resource.collection=c", "resource.experiment=bench", "resource.channel=e", "verify=none"]
        boss = ["boss=custom", f"boss.host={host}", "boss.protocol=http"]
        if self.row.direction == "up":
            pattern = "p_%04d.png" if self.row.kind == "png" else "p_%04d.tif"
            end = ["source=images", f"source.path={folder}", f"source.pattern={pattern}"]
        else:
            end = [
                "destination=images",
                f"destination.path={folder}",
                f"destination.compression={self.row.compression}",
            ]
        return [sys.executable, "-m", "ndex", *boss, *resource, *end]


def timed(command: Sequence[str], cwd: Path) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and peak memory of a command with its children. Raises when it fails."""
    begin = time.perf_counter()
    process = psutil.Popen(command, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    peak, cpu = 0, 0.0
    while process.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in family))
            times = [member.cpu_times() for member in family]
            cpu = max(cpu, sum(t.user + t.system + t.children_user + t.children_system for t in times))
        except psutil.NoSuchProcess:
            pass  # it ended between two looks
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"failed with {process.returncode}: {' '.join(command)}")
    return time.perf_counter() - begin, cpu, peak


def median(runs: Sequence[Measured]) -> Measured:
    return Measured(*(statistics.median(getattr(run, name) for run in runs) for name in Measured.__annotations__))


def run_row(row: Row, folder: Path, side: int, depth: int, rounds: int) -> None:
    side, depth = side // row.scale, depth * row.deep
    planes = write(folder, row.kind, side, depth)
    bench = Bench(row, planes, side, depth, folder)
    runs: dict[str, list[Measured]] = {name: [] for name in row.contestants}
    with bench.server() as host:
        if row.direction == "down":
            bench.fill(host)
        for name in row.contestants:
            bench.measure(name, host)  # warms caches of files and of the server
        for _ in range(rounds):
            for name in row.contestants:
                runs[name].append(bench.measure(name, host))
    voxels = side * side * depth * (8 if row.kind == "labels" else 1)
    medians = {name: median(measured) for name, measured in runs.items()}
    print(f"\n{row.name}: {side} x {side} x {depth}, {voxels / 1e6:,.0f} MB of voxels")
    for name, m in medians.items():
        ratio = m.seconds / medians["ndex"].seconds
        columns = [
            f"  {name:6} {m.seconds:7.2f} s  {ratio:5.2f} x ndex  {voxels / m.seconds / 1e6:6.0f} MB/s",
            f"CPU {m.cpu:6.2f} s",
            f"{m.memory / 1e6:5.0f} MB of memory",
            f"wire {m.wire / 1e6:7.1f} MB",
            f"files {m.files / 1e6:7.1f} MB",
        ]
        print("  ".join(columns), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--depth", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="rows whose name contains one of these")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ndex-benchmark")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        if not options.only or any(part in row.name for part in options.only):
            run_row(row, options.folder, options.side, options.depth, options.rounds)


if __name__ == "__main__":
    main()
