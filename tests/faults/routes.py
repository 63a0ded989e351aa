"""Jobs between a folder of planes and a channel of the BOSS behind a proxy, small and without waiting."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from proxy import Proxy

from ndex import run
from ndex.boss.client import BossClient
from ndex.geometry import Box
from ndex.job import Boss, End, Job, Parallel, Resource, Retry
from ndex.server.process import TOKEN_ENV
from ndex.stores import boss, images

SIDE = 64
ATTEMPTS = 8


@dataclass
class Route:
    """One volume, the folder that it comes from, the channel that it goes to, and a folder that it comes back to."""

    host: str
    folder: Path
    volume: np.ndarray
    changes: dict[str, object] = field(default_factory=dict)
    """Of all jobs."""

    def job(self, source: End, destination: End, channel: str = "em", timeout: float = 60, **changes: object) -> Job:
        label = self.volume.dtype == np.uint64
        resource = Resource(
            self.folder.name, "run", channel, channel_type="annotation" if label else "image", voxel_size=(1, 1, 1)
        )
        defaults: dict[str, Any] = {
            "boss": Boss(self.host, "http", token_env=TOKEN_ENV, timeout=timeout),
            "resource": resource,
            "retry": Retry(ATTEMPTS, wait=0, max_wait=0),
            "parallel": Parallel(n_jobs=2),
            "verify": "none",
            "journal": self.folder / "journal",
        }
        return Job(source=source, destination=destination, **{**defaults, **self.changes, **changes})

    def upload(self, channel: str = "em", **changes: object) -> Job:
        source = images.Source(path=str(self.folder / "in"), pattern="p_%04d.tif")
        return self.job(source, boss.Destination(), channel, **changes)  # type: ignore[arg-type]

    def download(self, out: str = "out", **changes: object) -> Job:
        target = images.Destination(path=str(self.folder / out), pattern="p_%04d.tif")
        return self.job(**{"source": boss.Source(), "destination": target, **changes})  # type: ignore[arg-type]

    def write_planes(self) -> None:
        folder = self.folder / "in"
        folder.mkdir(parents=True)
        for z, plane in enumerate(self.volume):
            tifffile.imwrite(folder / f"p_{z:04d}.tif", plane)

    def stored(self, channel: str = "em") -> np.ndarray:
        """What the BOSS holds; zeros where it holds nothing."""
        job = self.upload(channel)
        client = BossClient.connect(job.boss, job.retry)
        try:
            found = client.channel(self.folder.name, "run", channel)
            box = Box.of((0, SIDE), (0, SIDE), (0, len(self.volume)))
            return np.zeros_like(self.volume) if found is None else client.get_cutout(found, 0, box)
        finally:
            client.close()

    def planes(self, out: str = "out") -> dict[int, np.ndarray]:
        """What was downloaded, by z; files with other names are none of it."""
        return {int(path.stem[2:]): tifffile.imread(path) for path in (self.folder / out).glob("p_*.tif")}

    def back(self, out: str = "out") -> np.ndarray:
        """All that was downloaded, in the order of z."""
        planes = self.planes(out)
        return np.stack([planes[z] for z in sorted(planes)])


def noise(tasks: int, dtype: str = "uint8", seed: int = 1) -> np.ndarray:
    """So many runs of 16 planes, without zeros; compresses a little, so that damage to a frame is no voxel."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.integers(1, 250, (16 * tasks, SIDE, SIDE // 4)), 4, axis=2).astype(dtype)


def route(proxy: Proxy, folder: Path, tasks: int = 6, dtype: str = "uint8", seed: int = 1, **changes: object) -> Route:
    """A volume of noise, written as files."""
    made = Route(proxy.host, folder, noise(tasks, dtype, seed), changes)
    made.write_planes()
    return made


def uploaded(proxy: Proxy, folder: Path, tasks: int = 6, **changes: object) -> Route:
    """A volume that the BOSS holds already."""
    made = route(proxy, folder, tasks, **changes)  # type: ignore[arg-type]
    assert run(made.upload()).exit_code == 0
    proxy.reset_counts()
    return made
