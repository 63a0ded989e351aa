"""What more workers bring on a server with 100 ms of latency, and what it costs when one of them is killed.

    python tests/benchmarks/scaling.py [--side 2048] [--depth 128] [--latency 0.1] [--folder DIR]

Each row uploads the same planes with 1, 2 and 4 workers: threads, processes, a Dask cluster of this machine, and
shards, which are commands of their own. Seconds are from the first event to the last task. Of workers that are
processes one is killed after its first task in a further run; the voxels on the server are compared with the planes
after every run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import blosc
import numpy as np
import psutil
import requests
import tifffile
from run import ENVIRONMENT, Bench, Row
from volumes import write

BLOCK = 512


@dataclass(frozen=True)
class Measured:
    seconds: float
    repeated: int
    """Blocks that were sent more than once."""
    different: int
    """Voxels on the server that are not those of the planes."""


class Scaling:
    """Uploads of one volume."""

    def __init__(self, folder: Path, side: int, depth: int, latency: float) -> None:
        self.folder, self.side, self.depth = folder, side, depth
        self.planes = write(folder, "tif", side, depth)
        self.bench = Bench(Row("scaling", "up", latency=latency), self.planes, side, depth, folder)
        self.voxels = np.stack([tifffile.imread(path) for path in sorted(self.planes.iterdir())])

    def measure(self, kind: str, workers: int, kill: bool = False) -> Measured:
        with self.bench.server() as host:
            settings = ["report.format=json", "report.html=false", f"blocks.x={BLOCK}", f"blocks.y={BLOCK}"]
            command = [*self.bench._ndex(host, self.planes), *settings]
            shards = workers if kind == "shards" else 1
            backend = "threads" if kind == "shards" else kind
            jobs = 1 if kind == "shards" else workers
            out = Path(tempfile.mkdtemp(dir=self.folder))
            try:
                runs = [
                    self._start(out, [*command, f"parallel={backend}", f"parallel.n_jobs={jobs}", *shard])
                    for shard in ([f"shard.index={i}", f"shard.count={shards}"] for i in range(shards))
                ]
                seconds = max(self._follow(run, kill) for run in runs)
            finally:
                shutil.rmtree(out)
            return Measured(seconds, self._repeated(host), self._different(host))

    def _start(self, folder: Path, command: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)

    def _follow(self, run: subprocess.Popen[str], kill: bool) -> float:
        """Seconds from the first event to the last task. Raises SystemExit when the run fails."""
        assert run.stdout is not None
        begin = last = 0.0
        for line in run.stdout:
            event = json.loads(line)["event"]
            if event == "Started":
                begin = last = time.monotonic()
            elif event == "TaskDone":
                last = time.monotonic()
                if kill:
                    kill = not _kill_a_worker(run.pid)
        if run.wait():
            raise SystemExit(f"failed with {run.returncode}: {run.args}")
        return last - begin

    def _repeated(self, host: str) -> int:
        stats = requests.get(f"http://{host}/v1/stats", timeout=10).json()
        return int(stats["writes"]) - int(stats["blocks"])

    def _different(self, host: str) -> int:
        different = 0
        for z in range(0, self.depth, 16):
            for y in range(0, self.side, BLOCK):
                part = self.voxels[z : z + 16, y : y + BLOCK]
                path = f"cutout/c/bench/e/0/0:{self.side}/{y}:{y + part.shape[1]}/{z}:{z + len(part)}/"
                frame = requests.get(f"http://{host}/v1/{path}", timeout=60).content
                there = np.frombuffer(blosc.decompress(frame), np.uint8).reshape(part.shape)
                different += int(np.count_nonzero(there != part))
        return different


def _kill_a_worker(parent: int) -> bool:
    """Whether one was there to be killed: a process of joblib, or one that a nanny of Dask watches over."""
    for child in psutil.Process(parent).children(recursive=True):
        line = " ".join(child.cmdline())
        if ("loky" in line and "resource_tracker" not in line) or "spawn_main" in line:
            child.kill()
            return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--depth", type=int, default=128)
    parser.add_argument("--latency", type=float, default=0.1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ndex-benchmark")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    scaling = Scaling(options.folder, options.side, options.depth, options.latency)
    print(f"{scaling.voxels.nbytes / 1e6:,.0f} MB of voxels, {options.latency * 1000:.0f} ms a request")
    for kind in ("threads", "processes", "dask", "shards"):
        alone = 0.0
        for workers in (1, 2, 4):
            found = scaling.measure(kind, workers)
            alone = alone or found.seconds
            line = f"{kind:9} {workers}  {found.seconds:6.2f} s  {alone / found.seconds:5.2f} x one worker"
            print(f"{line}  {found.repeated} blocks repeated  {found.different} voxels differ", flush=True)
    for kind in ("processes", "dask"):
        found = scaling.measure(kind, 2, kill=True)
        line = f"{kind:9} 2  {found.seconds:6.2f} s  one killed  {found.repeated} blocks repeated"
        print(f"{line}  {found.different} voxels differ", flush=True)


if __name__ == "__main__":
    main()
