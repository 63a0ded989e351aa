"""Compares the time that a plan tells with the time that the run takes, over lines of several latencies and widths.

    python tests/benchmarks/forecast.py [--side 1024] [--depth 64] [--block 128] [--folder DIR]

Every row is one run; the time is that from the first task to the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from run import Bench, Row
from volumes import write

from ndex import run
from ndex.events import Event, Result, Started
from ndex.expected import expected
from ndex.job import Blocks, Boss, Expected, Job, Parallel, Resource
from ndex.runner import plan_of
from ndex.stores.boss.settings import Destination as ToBoss
from ndex.stores.boss.settings import Source as FromBoss
from ndex.stores.images.settings import Destination as ToImages
from ndex.stores.images.settings import Source as FromImages

LATENCIES, BANDWIDTHS, WORKERS = (0.05, 0.1, 0.3), (20e6, 50e6, 200e6), (1, 2, 4)
BACKENDS = ("threads", "processes")


def jobs(host: str, planes: Path, out: Path, block: int, line: Any) -> dict[str, Job]:
    """The upload and the download, of one worker."""
    upload = Job(
        boss=Boss(host=host, protocol="http"),
        resource=Resource("c", "bench", "e"),
        source=FromImages(path=str(planes), pattern="p_%04d.tif"),
        destination=ToBoss(),
        blocks=Blocks(block, block, 16),
        plan=Expected(*line),
        verify="none",
    )
    down = replace(upload, source=FromBoss(), destination=ToImages(path=str(out / "planes"), compression="none"))
    return {"up": upload, "down": down}


def seconds(job: Job) -> float:
    """From the first task to the end. Raises SystemExit for a run that fails."""
    at: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Started | Result):
            at.append(time.monotonic())

    if run(job, [note]).exit_code:
        raise SystemExit("a run failed")
    return at[1] - at[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--depth", type=int, default=64)
    parser.add_argument("--block", type=int, default=128)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ndex-benchmark")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ["BOSS_TOKEN"] = "bench"
    planes = write(options.folder, "tif", options.side, options.depth)
    print("direction  backend    latency  bandwidth  workers  forecast  measured  ratio  limited by")
    for latency, bandwidth in product(LATENCIES, BANDWIDTHS):
        bench = Bench(Row("", "up", latency=latency, bandwidth=bandwidth), planes, options.side, options.depth, Path())
        with bench.server() as host:
            out = Path(tempfile.mkdtemp(dir=options.folder))
            found = jobs(host, planes, out, options.block, (latency, int(bandwidth)))
            for direction, backend, workers in product(found, BACKENDS, WORKERS):
                parallel = Parallel(backend, n_jobs=workers)  # type: ignore[arg-type]  # one of BACKENDS
                job = replace(found[direction], parallel=parallel, journal=out / "journal")
                told = expected(job, plan_of(job), 0, None)
                took = seconds(job)
                print(
                    f"{direction:9}  {backend:9}  {latency:5.2f} s  {bandwidth / 1e6:4.0f} MB/s  {workers:7}  "
                    f"{told.seconds:6.2f} s  {took:6.2f} s  {told.seconds / took:5.2f}  {told.bottleneck}",
                    flush=True,
                )
                shutil.rmtree(out)
                out.mkdir()
            shutil.rmtree(out)


if __name__ == "__main__":
    main()
