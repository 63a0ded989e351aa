"""Measures how long commands take before anything is transferred, beside what their libraries take to be imported.

    python tests/benchmarks/start.py [--rounds 7] [--checkout DIR ...]

The commands are run in turn; what is printed are medians, in seconds: of the wall, and of the processor, of which a
machine that does other things as well takes no more. Checkouts of other versions are measured side by side.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import psutil

HERE = Path(__file__).resolve().parents[2]
ENDS = ["source=images", "destination=images", "source.path=planes", "source.pattern=%02d.png"]
FLOORS = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import hydra, numpy, pydantic, requests'": ["-c", "import hydra, numpy, pydantic, requests"],
}
COMMANDS = {
    "ndex --version": ["--version"],
    "ndex --help": ["--help"],
    "ndex action=plan, from a folder to another": [*ENDS, "destination.path=copies", "action=plan"],
    "ndex action=plan job=demo, with the embedded BOSS": ["job=demo", "action=plan"],
}
PLANES = """
import numpy as np
from PIL import Image
for z in range(32):
    Image.fromarray(np.full((250, 250), z, np.uint8)).save(f"planes/{z:02d}.png")
"""


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--rounds", type=int, default=7)
    parse.add_argument(
        "--checkout", type=Path, nargs="*", default=[], help="also measure ndex as it is in these folders"
    )
    options = parse.parse_args()
    rows = {name: (HERE, arguments) for name, arguments in FLOORS.items()}
    for checkout in (HERE, *options.checkout):
        where = "" if checkout == HERE else f" in {checkout.name}"
        rows |= {name + where: (checkout, ["-m", "ndex", *words]) for name, words in COMMANDS.items()}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "planes").mkdir()
        subprocess.run([sys.executable, "-c", PLANES], cwd=folder, check=True)
        taken = [[once(arguments, folder, root) for root, arguments in rows.values()] for _ in range(options.rounds)]
    print(f"{'wall':>7} {'cpu':>7}")
    for name, times in zip(rows, zip(*taken, strict=True), strict=True):
        wall, processor = (median(column) for column in zip(*times, strict=True))
        print(f"{wall:7.2f} {processor:7.2f}  {name}")


def once(arguments: Sequence[str], folder: str, root: Path) -> tuple[float, float]:
    """Seconds of the wall and of the processor, children included."""
    command = [sys.executable, "-P", *arguments]
    before, begin = spent(), time.perf_counter()
    subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - begin, spent() - before


def spent() -> float:
    """Seconds of the processor that children have taken."""
    times = psutil.Process().cpu_times()
    return float(times.children_user + times.children_system)


if __name__ == "__main__":
    main()
