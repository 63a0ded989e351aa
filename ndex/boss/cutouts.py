"""Voxels of a BOSS: one cutout read, written or blacked out per call."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import requests

from ..errors import DamagedData, PermanentError, ServerError, TransferError
from ..geometry import Box
from ..retry import with_retry
from . import wire
from .calls import Calls, requesting
from .connection import ERROR_LIMIT, Build
from .faults import Answer, failure, require, write_failure
from .places import channel_resource
from .records import Channel
from .wire import Array

T = TypeVar("T")

BLOSC = "application/blosc"
FRAME_OVERHEAD = 16
"""Bytes by which a blosc frame may be longer than what it holds."""
WIDE, NARROW = 120e6, 20e6
"""Bytes per second above which a line needs no better compression than lz4, and below which the slowest pays."""
FILTER_LIMIT = 1700
"""Characters of a list of ids; a request line of more than about 4 kB is answered with 502 (boss-api 17)."""


class Cutouts(Calls):
    """Reads and writes of voxels; arrays are (z, y, x), `t` is one time sample or None for a channel without time.

    Each call is one request, idempotent, tried again as `retry` says. All raise TransferError, or JobError when the
    token is refused, the quota is used up or the channel does not exist.
    """

    def get_cutout(
        self,
        channel: Channel,
        resolution: int,
        box: Box,
        t: int | None = None,
        *,
        iso: bool = False,
        filter: Sequence[int] = (),
    ) -> Array:
        """The voxels of `box`, writable; with `filter`, those of other ids are zero.

        Reads past the cache of the BOSS, but waits for writes that it has not stored yet (boss-api 7.5).
        """
        what = _named("GET cutout", channel, resolution, box, t)
        _check_request(channel, box, what, filter)
        shape = box.shape if t is None else (1, *box.shape)

        def take(answer: Answer) -> Array:
            require(answer, 200, what, self._access)
            if answer.media != BLOSC:
                raise ServerError(f"{what}: {self._access.host} answered with {answer.media or 'no type'}, not blosc.")
            try:
                return wire.decode(answer.body, shape, channel.dtype).reshape(box.shape)
            except DamagedData as error:
                raise ServerError(f"{what}: {error}") from None

        build = _reading(channel, resolution, box, t, iso, filter)
        return self._voxels(channel, what, build, take, box.voxels * channel.dtype.itemsize + FRAME_OVERHEAD)

    def put_cutout(self, channel: Channel, resolution: int, box: Box, t: int | None, array: Array) -> None:
        """Write the voxels of `box`. Zeros leave what is there (boss-api 7.7): see `erase`."""
        self.put_frame(channel, resolution, box, t, self.packed(channel, resolution, box, t, array))

    def packed(self, channel: Channel, resolution: int, box: Box, t: int | None, array: Array) -> bytes:
        """The voxels of `box` as `put_frame` sends them: packed the harder, the slower the line turns out to be."""
        what = _named("POST cutout", channel, resolution, box, t)
        _check_request(channel, box, what)
        if array.shape != box.shape or array.dtype != channel.dtype:
            raise PermanentError(
                f"{what}: an array {array.shape} of {array.dtype} does not fit the box {box.shape} of {channel.dtype}."
            )
        width = self._connection.flow.width
        shrinks = array.itemsize == 8  # labels: three times as much by zstd, faster than a disk all the same
        fast = self._access.loopback and not shrinks and (width is None or width > WIDE)
        return wire.encode(array, fast=fast, level=7 if width is not None and width < NARROW else 1)

    def put_frame(self, channel: Channel, resolution: int, box: Box, t: int | None, frame: bytes) -> None:
        """Write voxels that are packed already."""
        what = _named("POST cutout", channel, resolution, box, t)
        build = _writing(channel, resolution, box, t, frame)
        self._voxels(channel, what, build, lambda answer: self._check_written(answer, 201, what), sent=len(frame))

    def erase(self, channel: Channel, resolution: int, box: Box, t: int | None = None) -> None:
        """Make `box` zero."""
        what = _named("PUT cutout/to_black", channel, resolution, box, t)
        _check_request(channel, box, what)
        build = _blacking(channel, resolution, box, t)
        self._voxels(channel, what, build, lambda answer: self._check_written(answer, 200, what))

    def _check_written(self, answer: Answer, status: int, what: str) -> None:
        if answer.status == 400:
            raise write_failure(answer, what, self._access)
        require(answer, status, what, self._access)

    def _voxels(
        self,
        channel: Channel,
        what: str,
        build: Build,
        take: Callable[[Answer], T],
        limit: int = ERROR_LIMIT,
        sent: int = 0,
    ) -> T:
        """What `take` makes of the answer to a request for voxels.

        A refused token shows as 500 here (boss-api 2.2), so the first 500 asks a JSON endpoint about the token.
        """
        suspicious = True

        def work() -> T:
            nonlocal suspicious
            with self._connection.flow.turn() as turn:  # until the answer is unpacked: memory holds as many as have one
                answer = self._connection.ask_voxels(what, build, limit)
                turn.nbytes = sent + len(answer.body)
                if answer.status == 500 and suspicious:
                    suspicious = False
                    self._check_token(channel, what)
                return take(answer)

        return with_retry(self._retry, work)

    def _check_token(self, channel: Channel, what: str) -> None:
        try:
            answer = self._connection.ask_json("project", what, requesting("GET", channel_resource(channel)))
        except TransferError:
            return  # the 500 itself is then what there is to tell
        if answer.status == 401:
            raise failure(answer, what, self._access)


def fits_one_request(filter: Sequence[int]) -> bool:
    """Whether a request can name all of these ids."""
    return len(",".join(map(str, filter))) <= FILTER_LIMIT


def _reading(channel: Channel, resolution: int, box: Box, t: int | None, iso: bool, filter: Sequence[int]) -> Build:
    def build(api: Any, url: str, token: str) -> requests.Request:
        from intern.service.boss.v1.volume import CacheMode

        request: requests.Request = api.get_cutout_request(
            *(channel_resource(channel), "GET", BLOSC, url, token),
            *_ranges(resolution, box, t),
            id_list=list(filter),
            access_mode=CacheMode.no_cache,
        )
        request.params = {"iso": "true"} if iso else {}
        return request

    return build


def _writing(channel: Channel, resolution: int, box: Box, t: int | None, frame: bytes) -> Build:
    def build(api: Any, url: str, token: str) -> requests.Request:
        request: requests.Request = api.get_cutout_request(
            *(channel_resource(channel), "POST", BLOSC, url, token),
            *_ranges(resolution, box, t),
            # As a file it is sent piece by piece, and the timeout is for a piece: a slow line may take its time.
            numpyVolume=io.BytesIO(frame),
        )
        return request

    return build


def _blacking(channel: Channel, resolution: int, box: Box, t: int | None) -> Build:
    def build(api: Any, url: str, token: str) -> requests.Request:
        request: requests.Request = api.get_cutout_to_black_request(
            *(channel_resource(channel), "PUT", BLOSC, url, token), *_ranges(resolution, box, t)
        )
        return request

    return build


def _ranges(resolution: int, box: Box, t: int | None) -> tuple[int, list[int], list[int], list[int], list[int] | None]:
    return resolution, list(box.x), list(box.y), list(box.z), None if t is None else [t, t + 1]


def _named(verb: str, channel: Channel, resolution: int, box: Box, t: int | None) -> str:
    time = "" if t is None else f", t {t}"
    return f"{verb} {channel}, resolution {resolution}, {box}{time}"


def _check_request(channel: Channel, box: Box, what: str, filter: Sequence[int] = ()) -> None:
    """Refuse here what a BOSS would refuse, or answer with something else, after the voxels have travelled."""
    if box.empty or min(box.start) < 0:
        raise PermanentError(f"{what}: a cutout has at least one voxel and no negative coordinate.")
    counted = wire.request_bytes(box.shape, channel.dtype)
    if counted > wire.MAX_REQUEST_BYTES or box.voxels * channel.dtype.itemsize > wire.BLOSC_MAX:
        raise PermanentError(f"{what}: {counted:,} bytes are more than a BOSS takes at once. Use smaller blocks.")
    if not fits_one_request(filter):
        raise PermanentError(f"{what}: a filter of {len(filter)} ids is too long for one request.")
