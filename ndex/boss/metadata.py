"""Texts attached to a collection, an experiment or a channel under a key (boss-api 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

from ..errors import DamagedData, PermanentError
from .calls import JSON, Calls, Verb
from .faults import INVALID, Answer, require
from .places import resource

if TYPE_CHECKING:
    from intern.resource.boss import BossResource

VALUE_LIMIT = 1750
"""Characters of a value as it travels, percent-encoded; longer ones are answered with 502 (boss-api 17)."""


class Metadata(Calls):
    """Keys and values of the resource at `path`: collection, then experiment, then channel, as far as it goes.

    All raise TransferError, or JobError when the token is refused or the resource does not exist.
    """

    def list_metadata(self, *path: str) -> list[str]:
        """The keys."""
        what = f"GET metadata of {'/'.join(path)}"
        place = resource(*path)

        def work() -> list[str]:
            keys = self._json(self._about(place, what, "GET"), 200, what).get("keys")
            if not isinstance(keys, list):
                raise DamagedData(f"{what}: the answer has no list of keys. Is this a BOSS?")
            return [str(key) for key in keys]

        return self._retrying(work)

    def get_metadata(self, key: str, *path: str) -> str | None:
        """The value; None when there is no such key."""
        what = f"GET metadata {key!r} of {'/'.join(path)}"
        place = resource(*path)

        def work() -> str | None:
            answer = self._about(place, what, "GET", key)
            if answer.is_error(400, INVALID):
                return None
            return str(self._json(answer, 200, what).get("value", ""))

        return self._retrying(work)

    def put_metadata(self, key: str, value: str, *path: str) -> None:
        """Set the value, whether there is one or not. Raises PermanentError for one that is too long."""
        what = f"PUT metadata {key!r} of {'/'.join(path)}"
        if not key or not value or len(quote(key + value, safe="")) > VALUE_LIMIT:
            raise PermanentError(f"{what}: key and value must have 1 to {VALUE_LIMIT} characters, percent-encoded.")
        place = resource(*path)

        def work() -> None:
            created = self._about(place, what, "POST", key, value)
            if created.is_error(400, INVALID):
                require(self._about(place, what, "PUT", key, value), 200, what, self._access)
            else:
                require(created, 201, what, self._access)

        self._retrying(work)

    def delete_metadata(self, key: str, *path: str) -> None:
        """Remove the key; nothing happens when there is none."""
        what = f"DELETE metadata {key!r} of {'/'.join(path)}"
        place = resource(*path)

        def work() -> None:
            answer = self._about(place, what, "DELETE", key)
            if not answer.is_error(400, INVALID):
                require(answer, 204, what, self._access)

        self._retrying(work)

    def _about(
        self, place: BossResource, what: str, verb: Verb, key: str | None = None, value: str | None = None
    ) -> Answer:
        """Key and value travel in the query, and intern does not quote them (boss-api 13.6)."""
        quoted = [None if text is None else quote(text, safe="") for text in (key, value)]

        def build(api: Any, url: str, token: str) -> requests.Request:
            request: requests.Request = api.get_metadata_request(place, verb, JSON, url, token, *quoted)
            return request

        return self._connection.ask_json("metadata", what, build)
