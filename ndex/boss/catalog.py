"""Collections, experiments, channels and coordinate frames of a BOSS (boss-api 4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..errors import DamagedData
from .calls import Calls, requesting
from .faults import INVALID, NOT_FOUND, failure
from .places import channel_resource, frame_resource, listing, resource
from .records import Channel, Collection, CoordinateFrame, Experiment, Json, parsed

if TYPE_CHECKING:
    from intern.resource.boss import BossResource

T = TypeVar("T")


class Catalog(Calls):
    """What a BOSS holds, by name.

    Getters answer None for what does not exist (404, code 4000) and raise Missing for what is being deleted. Creators
    answer what is there afterwards: the new resource, or the one that had the name before, which may differ from what
    was asked for. A BOSS says the same to a duplicate and to a mistake (400, code 1003), so they look to tell them
    apart. All raise TransferError, or JobError when the token is refused or a name is impossible.
    """

    def collection(self, name: str) -> Collection | None:
        return self._get(resource(name), f"collection {name}", Collection.parse)

    def experiment(self, collection: str, name: str) -> Experiment | None:
        parse = partial(Experiment.parse, collection)
        return self._get(resource(collection, name), f"experiment {collection}/{name}", parse)

    def channel(self, collection: str, experiment: str, name: str) -> Channel | None:
        parse = partial(Channel.parse, collection, experiment)
        return self._get(resource(collection, experiment, name), f"channel {collection}/{experiment}/{name}", parse)

    def frame(self, name: str) -> CoordinateFrame | None:
        return self._get(frame_resource(name), f"coordinate frame {name}", CoordinateFrame.parse)

    def create_collection(self, wanted: Collection) -> Collection:
        return self._create(resource(wanted.name), f"collection {wanted.name}", wanted.body(), Collection.parse)

    def create_experiment(self, wanted: Experiment) -> Experiment:
        parse = partial(Experiment.parse, wanted.collection)
        return self._create(resource(wanted.collection, wanted.name), f"experiment {wanted}", wanted.body(), parse)

    def create_channel(self, wanted: Channel) -> Channel:
        parse = partial(Channel.parse, wanted.collection, wanted.experiment)
        return self._create(channel_resource(wanted), f"channel {wanted}", wanted.body(), parse)

    def create_frame(self, wanted: CoordinateFrame) -> CoordinateFrame:
        label = f"coordinate frame {wanted.name}"
        return self._create(frame_resource(wanted.name), label, wanted.body(), CoordinateFrame.parse)

    def list_collections(self) -> list[str]:
        return self._list(listing(), "collections")

    def list_experiments(self, collection: str) -> list[str]:
        return self._list(listing(collection), "experiments")

    def list_channels(self, collection: str, experiment: str) -> list[str]:
        return self._list(listing(collection, experiment), "channels")

    def _get(self, place: BossResource, label: str, parse: Callable[[Json], T]) -> T | None:
        return self._retrying(lambda: self._get_once(place, label, parse))

    def _get_once(self, place: BossResource, label: str, parse: Callable[[Json], T]) -> T | None:
        what = f"GET {label}"
        answer = self._connection.ask_json("project", what, requesting("GET", place))
        if answer.is_error(404, NOT_FOUND):
            return None
        return parsed(parse, self._json(answer, 200, what), what)

    def _create(self, place: BossResource, label: str, body: Json, parse: Callable[[Json], T]) -> T:
        what = f"POST {label}"
        first = True

        def work() -> T:
            nonlocal first
            there = None if first else self._get_once(place, label, parse)  # the lost answer may have been a 201
            first = False
            if there is not None:
                return there
            answer = self._connection.ask_json("project", what, requesting("POST", place, body))
            if answer.is_error(400, INVALID):
                there = self._get_once(place, label, parse)
                if there is None:
                    raise failure(answer, what, self._access)
                return there
            return parsed(parse, self._json(answer, 201, what), what)

        return self._retrying(work)

    def _list(self, place: BossResource, key: str) -> list[str]:
        what = f"GET the list of {key}"
        told = self._told("project", what, requesting("GET", place, siblings=True))
        names = told.get(key)
        if not isinstance(names, list):
            raise DamagedData(f"{what}: the answer has no list of {key}. Is this a BOSS?")
        return [str(name) for name in names]
