"""Where people can look at a channel in a browser. Pure text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from ..geometry import Box
from .records import Channel

VIEWER = "https://neuroglancer-demo.appspot.com"
VIEWERS = {"api.bossdb.io": "https://neuroglancer.bossdb.io"}
"""Installations of neuroglancer that belong to a BOSS."""
PAGES = {"api.boss.neurodata.io": "https://ndwebtools.neurodata.io/ndviz_url/{}/{}/{}/"}
"""Pages of its own that a BOSS has for each channel."""
_METERS = {"nanometers": 1e-9, "micrometers": 1e-6, "millimeters": 1e-3, "centimeters": 1e-2}


@dataclass(frozen=True)
class View:
    """A part of a channel."""

    channel: Channel
    box: Box
    """In voxels of `voxel_size`."""
    voxel_size: tuple[float, float, float]
    """Along x, y, z, in `voxel_unit`."""
    voxel_unit: str


def links_to(view: View, protocol: str, host: str) -> tuple[str, ...]:
    """Addresses that show the middle of a part. None for a BOSS without https: neuroglancer would not talk to it
    (boss-api 14)."""
    if protocol != "https":
        return ()
    channel = view.channel
    page = PAGES.get(host)
    own = (page.format(channel.collection, channel.experiment, channel.name),) if page else ()
    return (*own, f"{VIEWERS.get(host, VIEWER)}/#!{quote(json.dumps(_state(view, host)))}")


def _state(view: View, host: str) -> dict[str, object]:
    """What neuroglancer is to show."""
    meter, box = _METERS[view.voxel_unit], view.box
    layer = {
        "type": "segmentation" if view.channel.type == "annotation" else "image",
        "source": f"boss://https://{host}/{view.channel}",
        "name": view.channel.name,
    }
    return {
        # six digits, so that 4 nanometers are 4e-9 and not 4.0000000000000002e-9
        "dimensions": {axis: [float(f"{n * meter:.6g}"), "m"] for axis, n in zip("xyz", view.voxel_size, strict=True)},
        "position": [(span.start + span.stop) / 2 for span in (box.x, box.y, box.z)],
        "layers": [layer],
        "layout": "xy",
    }
