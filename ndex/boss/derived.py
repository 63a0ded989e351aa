"""What a BOSS derives from the voxels of a channel: lower resolutions and annotation ids (boss-api 8 and 10)."""

from __future__ import annotations

from typing import Any

import requests

from ..geometry import Box
from .calls import JSON, Calls, Verb
from .connection import Build
from .faults import require
from .places import channel_resource
from .records import Channel, Downsampling, parsed

TO_BE_ASKED_FOR = ("NOT_DOWNSAMPLED", "FAILED")
"""States in which a downsampling can be started."""


class Derived(Calls):
    """All raise TransferError, or JobError when the token is refused or the channel does not exist."""

    def downsample_status(self, channel: Channel, *, iso: bool = False) -> Downsampling:
        """How far the lower resolutions are. A BOSS works on one channel at a time: ask every half minute, not more."""
        what = f"GET downsample of {channel}"
        return parsed(Downsampling.parse, self._told("project", what, _downsampling("GET", channel, iso)), what)

    def start_downsample(self, channel: Channel) -> None:
        """Ask for the lower resolutions. Raises PermanentError (409) when they are there or being made."""
        what = f"POST downsample of {channel}"
        first = True

        def work() -> None:
            nonlocal first
            if not first and self._status_once(channel) not in TO_BE_ASKED_FOR:
                return  # the lost answer was a 201
            first = False
            require(self._connection.ask_json("project", what, _downsampling("POST", channel)), 201, what, self._access)

        self._retrying(work)

    def cancel_downsample(self, channel: Channel) -> None:
        """Stop what `start_downsample` began. Raises PermanentError (409) when nothing is under way."""
        what = f"DELETE downsample of {channel}"

        def work() -> None:
            answer = self._connection.ask_json("project", what, _downsampling("DELETE", channel))
            require(answer, 204, what, self._access)

        self._retrying(work)

    def reserve_ids(self, channel: Channel, count: int) -> int:
        """The first of `count` ids that nobody else gets. Each call consumes ids, a repeated one some more."""
        what = f"GET {count} ids for {channel}"

        def build(api: Any, url: str, token: str) -> requests.Request:
            request: requests.Request = api.get_reserve_request(
                channel_resource(channel), "GET", JSON, url, token, count
            )
            return request

        return parsed(lambda told: int(told["start_id"]), self._told("volume", what, build), what)

    def ids_in(self, channel: Channel, resolution: int, box: Box) -> list[int]:
        """The ids in `box`, ascending, without 0; fresh ones may be missing (boss-api 8)."""
        what = f"GET ids of {channel}, resolution {resolution}, {box}"

        def build(api: Any, url: str, token: str) -> requests.Request:
            request: requests.Request = api.get_ids_request(
                *(channel_resource(channel), "GET", JSON, url, token),
                *(resolution, list(box.x), list(box.y), list(box.z), None),
            )
            return request

        return parsed(lambda told: sorted(map(int, told["ids"])), self._told("volume", what, build), what)

    def _status_once(self, channel: Channel) -> str:
        what = f"GET downsample of {channel}"
        answer = self._connection.ask_json("project", what, _downsampling("GET", channel))
        return parsed(Downsampling.parse, self._json(answer, 200, what), what).status


def _downsampling(verb: Verb, channel: Channel, iso: bool = False) -> Build:
    """intern has no request of this kind; its headers and its route will do."""

    def build(api: Any, url: str, token: str) -> requests.Request:
        address = f"{url}/{api.version}/downsample/{channel_resource(channel).get_cutout_route()}"
        headers = api.get_headers(JSON, token)
        return requests.Request(verb, address, headers=headers, params={"iso": "true"} if iso else None)

    return build
