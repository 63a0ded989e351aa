"""Channels, each with those that it is made from or goes with (boss-api 4.6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from .. import catalog, fields
from ..faults import BossFault, Code
from ..fields import Field
from ..forms import form
from ..messages import Request, Response, json_response
from ..records import Row
from ..site import Site, channel_row, experiment_row, may_read, may_write
from . import CREATOR, in_use, need_role, taken
from .experiments import visible_channels

STATES = ("NOT_DOWNSAMPLED", "QUEUED", "IN_PROGRESS", "DOWNSAMPLED", "FAILED")

FIELDS = {
    "name": Field(fields.name),
    "description": Field(fields.text, ""),
    "public": Field(fields.boolean, False),
    "type": Field(fields.choice("image", "annotation"), updatable=False),
    # A BOSS takes uint32 and then fails on every access to the data (boss-api 4.6).
    "datatype": Field(fields.choice("uint8", "uint16", "uint64"), updatable=False),
    "base_resolution": Field(fields.integer, 0),
    "default_time_sample": Field(fields.integer, 0),
    "downsample_status": Field(fields.choice(*STATES), "NOT_DOWNSAMPLED", updatable=False),
    "storage_type": Field(fields.choice("spdb", "cloudvol"), "spdb"),
    "bucket": Field(fields.bucket, None),
    "cv_path": Field(fields.optional_text, None),
    "sources": Field(fields.name_list, ()),
    "related": Field(fields.name_list, ()),
}


def as_json(db: sqlite3.Connection, row: Row) -> dict[str, Any]:
    return {
        "name": row["name"],
        "public": bool(row["public"]),
        "description": row["description"],
        "experiment": catalog.get(db, "experiment", row["experiment_id"])["name"],
        **{name: row[name] for name in ("default_time_sample", "type", "base_resolution", "datatype")},
        "creator": CREATOR,
        "sources": catalog.links(db, "source", row["id"]),
        "downsample_status": row["downsample_status"],
        "related": catalog.links(db, "related", row["id"]),
        **{name: row[name] for name in ("storage_type", "bucket", "cv_path")},
    }


def list_all(site: Site, request: Request, c: str, e: str) -> Response:
    with site.catalog.connection() as db:
        return json_response(200, {"channels": visible_channels(db, experiment_row(db, c, e), request.trusted)})


def get(site: Site, request: Request, c: str, e: str, ch: str) -> Response:
    with site.catalog.connection() as db:
        row = channel_row(db, c, e, ch)
        may_read(request, ch, row["public"])
        return json_response(200, as_json(db, row))


def create(site: Site, request: Request, c: str, e: str, ch: str) -> Response:
    need_role(request)
    given = form(request) | {"name": ch}
    try:
        with site.catalog.transaction() as db:
            parent = experiment_row(db, c, e)
            values = fields.parse_new(FIELDS, given) | {"experiment_id": parent["id"]}
            check_default_time(values, parent)
            linked = pop_links(db, values, parent["id"])
            if values["storage_type"] == "cloudvol" and values["cv_path"] is None:
                values["cv_path"] = f"/{c}/{e}/{ch}"
            channel_id = catalog.insert(db, "channel", values)
            catalog.replace_links(db, channel_id, *linked)
            return json_response(201, as_json(db, catalog.get(db, "channel", channel_id)))
    except sqlite3.IntegrityError:
        raise taken("channel", ch) from None


def update(site: Site, request: Request, c: str, e: str, ch: str) -> Response:
    """Leaving `sources` or `related` out empties them, as on a BOSS (boss-api 4.6)."""
    given = form(request)
    try:
        with site.catalog.transaction() as db:
            row = channel_row(db, c, e, ch)
            may_write(request, ch)
            values = fields.parse_changes(FIELDS, given, strict=True)
            linked = pop_links(db, values, row["experiment_id"])
            catalog.update(db, "channel", row["id"], values)
            catalog.replace_links(db, row["id"], *linked)
            return json_response(200, as_json(db, catalog.get(db, "channel", row["id"])))
    except sqlite3.IntegrityError:
        raise taken("channel", str(given.get("name"))) from None


def delete(site: Site, request: Request, c: str, e: str, ch: str) -> Response:
    need_role(request)
    with site.catalog.transaction() as db:
        row = channel_row(db, c, e, ch)
        if catalog.derived(db, row["id"]):
            raise in_use("channel", ch, "derived channels")
        catalog.delete(db, "channel", row["id"])
    site.volume.discard(row["id"])
    return Response(204)


def check_default_time(values: Mapping[str, Any], experiment: Row) -> None:
    """Raises BossFault (1003). Only what is given is checked: 0 is the default of an experiment without samples too."""
    default = values["default_time_sample"]
    if default and default >= experiment["num_time_samples"]:
        raise BossFault(Code.INVALID_ARGUMENT, "{'default_time_sample': 'is not below num_time_samples'}")


def pop_links(db: sqlite3.Connection, values: dict[str, Any], experiment_id: int) -> tuple[list[int], list[int]]:
    """Take `sources` and `related` out of the values, as ids. Raises BossFault (1003)."""
    sources = [_id_of(db, name, experiment_id) for name in values.pop("sources", ())]
    related = [_id_of(db, name, experiment_id) for name in values.pop("related", ())]
    if set(sources) & set(related):
        raise BossFault(Code.INVALID_ARGUMENT, "A channel is both in sources and in related.")
    return sources, related


def _id_of(db: sqlite3.Connection, name: str, experiment_id: int) -> int:
    row = catalog.find(db, "channel", name, experiment_id=experiment_id)
    if row is None:
        raise BossFault(Code.INVALID_ARGUMENT, f"There is no channel called {name} to be a source or related.")
    return int(row["id"])
