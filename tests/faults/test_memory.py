"""Planes far larger than the memory that a job may use, both directions, over a network that fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import wire_faults as wire
from proxy import Proxy, seeded

import ndex
from ndex.server.process import TOKEN_ENV

SIDE = 4096
PLANES = 16
MEMORY = 32 << 20
MARGIN = 160 << 20
"""What the libraries themselves may take; promised are 300 MB, but then the planes would have to be larger."""

RUN = """
import sys
from ndex.__main__ import main
code = main(sys.argv[1:])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) * 1024, file=sys.stderr)
sys.exit(code)
"""
"""ndex, and the most memory that it held at once; getrusage would count what the parent held before it began."""


def peak_of(arguments: list[str], folder: Path) -> int:
    """Bytes. Nothing appears in the folder for temporary files at any time that something is reported."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(Path(ndex.__file__).parents[1])}
    command = [sys.executable, "-c", RUN, *arguments, "report.format=json"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stdout:
        event = json.loads(line)
        assert not list(temporary.iterdir())
    said = process.stderr.read()
    assert process.wait() == 0, said
    assert (event["event"], event["exit_code"]) == ("Result", 0)
    return int(said.split()[-1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_follows_the_budget_and_not_the_planes(proxy: Proxy, tmp_path: Path) -> None:
    plane = np.add.outer(np.arange(SIDE) // 64, np.arange(SIDE) // 64).astype(np.uint8)
    (tmp_path / "in").mkdir()
    for z in range(PLANES):
        tifffile.imwrite(tmp_path / f"in/p_{z:04d}.tif", plane + np.uint8(z), compression="zlib", rowsperstrip=64)
    proxy.script = seeded(3, 0.15, {"read": wire.READS, "write": wire.WRITES})
    common = [
        *("boss=custom", f"boss.host={proxy.host}", "boss.protocol=http", f"boss.token_env={TOKEN_ENV}"),
        *("resource.collection=large", "resource.experiment=run", "resource.channel=em", "resource.voxel_size=[1,1,1]"),
        *("parallel.n_jobs=2", f"parallel.memory={MEMORY}", "retry.wait=0", "retry.max_wait=0", "verify=none"),
    ]
    up = ["source=images", f"source.path={tmp_path / 'in'}", "source.pattern=p_%04d.tif"]
    down = ["destination=images", f"destination.path={tmp_path / 'out'}", "destination.pattern=p_%04d.tif"]
    for direction in (up, down):
        assert peak_of([*direction, *common], tmp_path) < MEMORY + MARGIN < SIDE * SIDE * PLANES
    assert proxy.hit["write"] >= 3
    assert proxy.hit["read"] >= 3
    for z in range(PLANES):
        assert np.array_equal(tifffile.imread(tmp_path / f"out/p_{z:04d}.tif"), plane + np.uint8(z))
