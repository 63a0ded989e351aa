"""How long ndex takes to find that a job of very many tasks is complete.

    python tests/benchmarks/resume.py [--tasks 1000000] [--rounds 5] [--runs 1] [--profile]

A channel of an embedded BOSS is copied within it; the journal is written here, without any task having been done. Each
time is that of a whole command in a process of its own, its start and that of the BOSS included.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

import ndex
from ndex.checksum import checksum
from ndex.entries import Kind, packed
from ndex.history import History
from ndex.runner import plan_of

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
SIDE = 1 << 17
"""Voxels of the volume along x and y."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=10**6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=1, help="between which the tasks were divided, in any order")
    parser.add_argument("--profile", action="store_true", help="show where the time of one resuming goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        job = prepare(arguments.tasks, arguments.runs)
        if arguments.profile:
            command(job, profile=True)
            return
        bare = statistics.median(timed(["--help"])[0] for _ in range(arguments.rounds))
        print(f"{'ndex --help':24}{bare:6.2f} s")
        for action in ("run", "status", "plan"):
            took = [timed([*job, f"action={action}"]) for _ in range(arguments.rounds)]
            seconds, cpu = (statistics.median(column) for column in zip(*took, strict=True))
            print(f"{'action=' + action:24}{seconds:6.2f} s {cpu:6.2f} s CPU")


def prepare(tasks: int, runs: int) -> list[str]:
    """A job of at least so many tasks, all of which its journal knows as done."""
    names = ["resource.collection=lab", "resource.experiment=run"]
    tifffile.imwrite("000.tif", np.zeros((8, 8), np.uint8))
    frame = [f"resource.frame.{axis}=[0,{SIDE if axis != 'z' else 1 << 20}]" for axis in "xyz"]
    made = ["source=images", "source.path=.", "resource.channel=em", "resource.voxel_size=[4,4,40]", "verify=none"]
    command([*names, *made, *frame, "action=create"])
    copy = [*names, "resource.channel=copy", "source.resource.channel=em", "report.html=false"]
    small = ["parallel.memory=64MB", "blocks.x=512", "blocks.y=512", "blocks.z=16"]
    command([*copy, "action=create"])
    in_a_layer = plan_of(ndex.compose(None, *copy, *small, "extent.z=[0,16]")).total
    job = [*copy, *small, f"extent.z=[0,{16 * -(-tasks // in_a_layer)}]"]
    write_journal(job, runs)
    return job


def write_journal(job: list[str], runs: int) -> None:
    composed = ndex.compose(None, *job)
    plan = plan_of(composed)
    print(f"{plan.total:,} tasks of {plan.requests // plan.total} blocks", flush=True)
    folder = History(composed, plan).folder
    folder.mkdir(parents=True)
    order = list(range(plan.total))
    if runs > 1:
        random.Random(1).shuffle(order)
    sums = checksum(np.zeros(8, np.uint8)).to_bytes(4, "little") * (plan.requests // plan.total)
    for run in range(runs):
        mine = order[run::runs]
        content = b"".join(packed(Kind.DONE, 1e9 + place, task, sums) for place, task in enumerate(mine))
        (folder / f"shard-0-of-1.{run + 1}.journal").write_bytes(content + packed(Kind.ENDED, 2e9))


def timed(words: list[str]) -> tuple[float, float]:
    """Seconds and CPU seconds of a command."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command(words)
    seconds, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def command(words: list[str], profile: bool = False) -> None:
    python = [sys.executable, *(["-m", "cProfile", "-s", "cumulative"] if profile else [])]
    call = [*python, "-m", "ndex", *words]
    done = subprocess.run(call, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise SystemExit(f"ndex {' '.join(words)}:\n{done.stdout}{done.stderr}")
    if profile:
        print("\n".join(done.stdout.splitlines()[:90]))


if __name__ == "__main__":
    main()
