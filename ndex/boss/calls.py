"""What all calls to a BOSS share: a connection, a retry policy, and how a JSON answer is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import requests

from ..job import Retry
from ..retry import with_retry
from .connection import Build, Connection
from .faults import Answer, json_of, require
from .records import Json

if TYPE_CHECKING:
    from intern.resource.boss import BossResource

T = TypeVar("T")

Verb = Literal["GET", "POST", "PUT", "DELETE"]
JSON = "application/json"


class Calls:
    """Base of the groups of calls that make up the client. Usable by several threads at once."""

    def __init__(self, connection: Connection, retry: Retry) -> None:
        self._connection = connection
        self._retry = retry
        self._access = connection.access

    def _retrying(self, work: Callable[[], T]) -> T:
        return with_retry(self._retry, work)

    def _json(self, answer: Answer, status: int, what: str) -> Json:
        """The JSON of a successful answer; else raises what the answer means."""
        return json_of(require(answer, status, what, self._access), what, self._access)

    def _told(self, service: Literal["project", "volume"], what: str, build: Build) -> Json:
        """The JSON that a GET answers with."""

        def work() -> Json:
            return self._json(self._connection.ask_json(service, what, build), 200, what)

        return self._retrying(work)


def requesting(verb: Verb, place: BossResource, body: Json | None = None, *, siblings: bool = False) -> Build:
    """A request of the project service: about a resource, or for the list of its siblings."""

    def build(api: Any, url: str, token: str) -> requests.Request:
        request: requests.Request = api.get_request(place, verb, JSON, url, token, siblings, json=body)
        return request

    return build
