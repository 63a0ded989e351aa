"""The part of a channel that a URL names, checked in the order in which a BOSS checks it (boss-api 7.2)."""

from __future__ import annotations

from dataclasses import dataclass

from ..boss.wire import MAX_REQUEST_BYTES, request_bytes
from ..geometry import Box, Span
from .downsample import layer
from .faults import BossFault, Code
from .messages import Request
from .records import Channel
from .site import Site, channel_of, may_read, may_write
from .volume import Layer

MAX_DIGITS = 18
"""Of a coordinate; no frame reaches further."""


@dataclass(frozen=True)
class Region:
    """A box of a channel at one level over some time samples."""

    channel: Channel
    level: int
    box: Box
    times: Span
    timed: bool
    """The URL names time samples, so the array has four axes."""
    iso: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x), or (t, z, y, x) when the URL names time samples."""
        return (self.times.size, *self.box.shape) if self.timed else self.box.shape

    def layers(self) -> list[Layer]:
        """One a time sample."""
        return [layer(self.channel, self.level, self.iso, time) for time in range(*self.times)]


def region_to_read(site: Site, request: Request, c: str, e: str, ch: str, R: str, **ranges: str) -> Region:
    """Raises BossFault."""
    channel = channel_of(site, c, e, ch)
    may_read(request, ch, channel.public)
    if "filter" in request.query and not channel.annotation:
        raise BossFault(Code.DATATYPE_UNSUPPORTED, "Only annotation channels can be filtered.")
    return region_of(request, channel, R, **ranges)


def region_to_write(site: Site, request: Request, c: str, e: str, ch: str, R: str, **ranges: str) -> Region:
    """Raises BossFault."""
    channel = channel_of(site, c, e, ch)
    may_write(request, ch)
    return region_of(request, channel, R, **ranges)


def region_of(request: Request, channel: Channel, R: str, x: str, y: str, z: str, t: str | None = None) -> Region:
    """Raises BossFault (1000, 1001, 1002)."""
    times = time_span(channel, t)
    level = check_level(channel, R)
    box = check_box(channel, Box.of(span(x), span(y), span(z)))
    return Region(channel, level, box, times, t is not None, request.flag("iso"))


def time_span(channel: Channel, t: str | None) -> Span:
    """One sample more than there are may be named, and is zero (boss-api 7.2, 17)."""
    if t is None:
        return Span(channel.default_time, channel.default_time + 1)
    times = span(t)
    count = channel.experiment.times
    if times.start > count or times.stop > count + 1 or times.size == 0:
        raise BossFault(Code.INVALID_TIME, f"The time range {t} is not within the {count} time samples.")
    return times


def check_level(channel: Channel, R: str) -> int:
    if int(R) not in channel.levels:
        lowest, highest = channel.levels.start, channel.levels.stop - 1
        raise BossFault(Code.TYPE_ERROR, f"Resolution {R} is not within {lowest} to {highest}.")
    return int(R)


def check_box(channel: Channel, box: Box) -> Box:
    """A BOSS compares with the frame of level 0 at every level."""
    if box.empty or not channel.frame.contains(box):
        raise BossFault(Code.INVALID_CUTOUT, f"The cutout {box} is empty or leaves the frame {channel.frame}.")
    return box


def check_size(region: Region) -> None:
    size = request_bytes((region.times.size, *region.box.shape), region.channel.dtype)
    if size > MAX_REQUEST_BYTES:
        raise BossFault(Code.TOO_LARGE, f"The cutout counts {size} bytes, more than {MAX_REQUEST_BYTES}.")


def check_writable(region: Region) -> None:
    base = region.channel.base
    if region.level not in (base, base + 1):
        text = f"Resolution Mismatch: writes go to level {base} or {base + 1}, not to {region.level}."
        raise BossFault(Code.SYSTEM, text)


def check_computed(channel: Channel, level: int) -> None:
    """Levels of images that were never made read as zeros, those of annotations not at all (boss-api 7.7)."""
    if channel.annotation and level != channel.base and channel.status != "DOWNSAMPLED":
        raise BossFault(Code.NOT_IMPLEMENTED, f"Level {level} of annotation channel {channel.name} is not downsampled.")


def span(text: str) -> Span:
    """Raises BossFault (1001) for a number that cannot be a coordinate."""
    start, stop = text.split(":")
    if max(len(start), len(stop)) > MAX_DIGITS:
        raise BossFault(Code.INVALID_CUTOUT, "A coordinate has too many digits.")
    return Span(int(start), int(stop))
