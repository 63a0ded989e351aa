"""What a render service says of a stack (render-api 3): where it lies, its sections, its channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ...boss.concurrent import for_each
from ...errors import DamagedData, JobError, Missing
from ...job import Retry
from ...retry import with_retry
from .sections import Sections
from .service import AT_ONCE, NotFound, Service
from .settings import Source

T = TypeVar("T")


@dataclass(frozen=True)
class Bounds:
    """Full-scale world coordinates, possibly negative or fractional."""

    low: tuple[float, float]
    """Smallest x and y."""
    high: tuple[float, float]

    @classmethod
    def parse(cls, told: Any) -> Bounds:
        numbers = [float(told[key]) for key in ("minX", "minY", "maxX", "maxY")]
        if not all(map(math.isfinite, numbers)):
            raise ValueError(numbers)
        return cls((numbers[0], numbers[1]), (numbers[2], numbers[3]))

    @classmethod
    def around(cls, parts: Iterable[Bounds]) -> Bounds:
        """The bounds of all."""
        lows, highs = zip(*((part.low, part.high) for part in parts), strict=True)
        (x0, y0), (x1, y1) = map(min, zip(*lows, strict=True)), map(max, zip(*highs, strict=True))
        return cls((x0, y0), (x1, y1))


@dataclass(frozen=True)
class Stack:
    """The metadata of a stack (render-api 3.1)."""

    state: str
    modified: str
    """Time of the last change; empty if not told."""
    bounds: Bounds | None
    """None while there are no statistics."""
    channels: tuple[str, ...] | None
    """None where the service does not say."""
    default_channel: str | None
    voxel_size: tuple[float, float, float] | None
    """Nanometres along x, y and z at full scale."""

    @classmethod
    def parse(cls, told: Any) -> Stack:
        version, stats = told.get("currentVersion") or {}, told.get("stats") or {}
        bounds, channels = stats.get("stackBounds"), stats.get("channelNames")
        return cls(
            state=str(told["state"]),
            modified=str(told.get("lastModifiedTimestamp") or ""),
            bounds=Bounds.parse(bounds) if bounds else None,
            channels=None if channels is None else tuple(map(str, channels)),
            default_channel=version.get("defaultChannel") or None,
            voxel_size=_voxel_size(version),
        )


def _voxel_size(version: Mapping[str, Any]) -> tuple[float, float, float] | None:
    x, y, z = (float(version.get(f"stackResolution{axis}") or 0) for axis in "XYZ")
    return (x, y, z) if min(x, y, z) > 0 else None


class Catalogue:
    """Questions about one stack. All raise TransferError when there is no sensible answer."""

    def __init__(self, service: Service, source: Source, retry: Retry) -> None:
        self._service = service
        self._source = source
        self._retry = retry

    def stack(self) -> Stack:
        """Raises Missing for a stack that does not exist, JobError for one whose tiles are gone."""
        try:
            stack = self._ask(self._source.path, Stack.parse)
        except NotFound:
            raise Missing(
                f"source.stack={self._source.stack}: {self._source.host} has no stack {self._source}. {self._others()}"
            ) from None
        if stack.state == "OFFLINE":
            raise JobError(f"source.stack={self._source.stack}: {self._source} is OFFLINE, its tiles are gone.")
        return stack

    def sections(self) -> Sections:
        """Raises JobError when there are none."""
        told = self._ask(f"{self._source.path}/zValues", Sections.parse)
        if not told:
            raise JobError(f"source.stack={self._source.stack}: {self._source} has no tiles.")
        return told

    def bounds_of(self, sections: Iterable[float]) -> Bounds:
        """Around the tiles of these z, for a stack without statistics."""
        found: list[Bounds] = []

        def ask(z: float) -> None:
            found.append(self._ask(f"{self._source.path}/z/{number(z)}/bounds", Bounds.parse))

        for_each(ask, sections, AT_ONCE)
        return Bounds.around(found)

    def _others(self) -> str:
        """The stacks that there are instead, for a refusal."""
        try:
            names = self._ask(f"{self._source.project_path}/stackIds", lambda told: [str(one["stack"]) for one in told])
        except NotFound:
            names = []
        if not names:
            return f"Nor any other of owner {self._source.owner} and project {self._source.project}: check both."
        shown = ", ".join(sorted(names)[:10])
        return f"There {'is' if len(names) == 1 else 'are'} {shown}{', ...' if len(names) > 10 else ''}."

    def _ask(self, path: str, parse: Callable[[Any], T]) -> T:
        told = with_retry(self._retry, lambda: self._service.json(path))
        try:
            return parse(told)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DamagedData(f"GET {path}: the answer lacks a field or has a wrong one ({error!r}).") from None


def number(value: float) -> str:
    """A coordinate as it is put into a path, without the `.0` of a whole one."""
    return str(int(value)) if value.is_integer() else repr(value)
