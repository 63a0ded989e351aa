"""One channel of a stack as a job asks for it: the parameters of its images, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from ...errors import JobError
from .settings import Source
from .stack import Stack, number

TILES = 999_999
"""Above its limit of tiles in a box, a service draws their outlines instead (render-api 8.1)."""


@dataclass(frozen=True)
class View:
    """A stack through the settings of a job."""

    settings: Source
    stack: Stack
    channel: str | None
    """To ask for; None to leave it to the service."""

    @classmethod
    def of(cls, stack: Stack, settings: Source) -> View:
        """Raises JobError for a channel that is not there: its images would be empty (render-api 6.3)."""
        return cls(settings, stack, _channel(stack, settings))

    @property
    def unchecked(self) -> bool:
        """Whether there may be no such channel."""
        return self.channel is not None and self.stack.channels is None

    @property
    def query(self) -> dict[str, str]:
        """Parameters of an image. `v` is nothing to the service; it keeps caches from answering with what the stack was
        before (render-api 9)."""
        return {"maxTileSpecsToRender": str(TILES), **self._parameters}

    @property
    def identity(self) -> str:
        """With the time of the last change: a stack that was changed is another one."""
        settings = self.settings
        view = {"scale": repr(float(settings.scale)), "dtype": settings.dtype, **self._parameters}
        return f"render+{settings.base}/{settings}?{urlencode(sorted(view.items()))}"

    @property
    def label(self) -> str:
        state = "" if self.stack.state in ("COMPLETE", "READ_ONLY") else f" ({self.stack.state})"
        channel = f" channel {self.channel}" if self.channel else ""
        return f"{self.settings}{channel}{state} at scale {self.settings.scale:g} on {self.settings.host}"

    @property
    def voxel_size(self) -> tuple[float, float, float] | None:
        """Nanometres along x, y and z, at the scale."""
        if self.stack.voxel_size is None:
            return None
        x, y, z = self.stack.voxel_size
        return x / self.settings.scale, y / self.settings.scale, z

    @property
    def _parameters(self) -> dict[str, str]:
        """What decides which voxels come."""
        parameters = {}
        if self.channel is not None:
            parameters["channels"] = self.channel
        if self.settings.window is not None:
            low, high = map(float, self.settings.window)
            parameters |= {"minIntensity": number(low), "maxIntensity": number(high)}
        if self.stack.modified:
            parameters["v"] = self.stack.modified
        return parameters


def _channel(stack: Stack, settings: Source) -> str | None:
    names, asked = stack.channels, settings.channel or stack.default_channel
    if names is None:
        return settings.channel
    if not names:
        if settings.channel is not None:
            raise JobError(f"source.channel={asked}: {settings} has no named channels. Leave source.channel out.")
        return None
    if asked is None and len(names) > 1:
        raise JobError(f"source.channel is not set, and {settings} has {', '.join(names)}. Choose one.")
    if asked is not None and asked not in names:
        raise JobError(f"source.channel={asked}: {settings} has no such channel; there is {', '.join(names)}.")
    return asked or names[0]
