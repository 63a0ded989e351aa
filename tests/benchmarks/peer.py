"""The script that a user would write with `intern` and `tifffile`: slab by slab, with their defaults.

python tests/benchmarks/peer.py up|down HOST FOLDER SIDE DEPTH DTYPE
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tifffile
from intern.remote.boss import BossRemote
from PIL import Image

SLAB = 16


def main(direction: str, host: str, folder: str, side: str, depth: str, dtype: str) -> None:
    boss = BossRemote({"protocol": "http", "host": host, "token": "bench"})
    channel = boss.get_channel("e", "c", "bench")
    size, planes = [0, int(side)], int(depth)
    files = sorted(path for path in Path(folder).iterdir() if path.suffix in (".tif", ".png"))
    for z in range(0, planes, SLAB):
        if direction == "down":
            slab = boss.get_cutout(channel, 0, size, size, [z, z + SLAB])
            for i, plane in enumerate(slab):
                tifffile.imwrite(Path(folder) / f"p_{z + i:04d}.tif", plane, compression="zlib")
        else:
            slab = np.stack([read(path) for path in files[z : z + SLAB]]).astype(dtype)
            boss.create_cutout(channel, 0, size, size, [z, z + SLAB], slab)


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)) if path.suffix == ".png" else tifffile.imread(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
