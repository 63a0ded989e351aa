"""Experiments, each in a coordinate frame (boss-api 4.5)."""

from __future__ import annotations

import sqlite3
from typing import Any

from .. import catalog, fields
from ..faults import BossFault, Code
from ..fields import Field
from ..forms import form
from ..messages import Request, Response, json_response
from ..records import Row
from ..site import Site, collection_row, experiment_row, frame_row, may_read, may_write
from . import CREATOR, in_use, need_role, taken
from .collections import visible_experiments

FIELDS = {
    "name": Field(fields.name),
    "description": Field(fields.text, ""),
    "public": Field(fields.boolean, False),
    "num_hierarchy_levels": Field(fields.levels, 1),
    "hierarchy_method": Field(fields.choice("anisotropic", "isotropic"), "anisotropic"),
    "num_time_samples": Field(fields.integer, 1),
    "time_step": Field(fields.optional_integer, None),
    "time_step_unit": Field(fields.time_step_unit, ""),
}


def as_json(db: sqlite3.Connection, row: Row, trusted: bool) -> dict[str, Any]:
    shown = ("num_hierarchy_levels", "hierarchy_method", "num_time_samples", "time_step", "time_step_unit")
    return {
        "channels": visible_channels(db, row, trusted),
        "name": row["name"],
        "public": bool(row["public"]),
        "description": row["description"],
        "collection": catalog.get(db, "collection", row["collection_id"])["name"],
        "coord_frame": catalog.get(db, "frame", row["frame_id"])["name"],
        **{name: row[name] for name in shown},
        "creator": CREATOR,
    }


def visible_channels(db: sqlite3.Connection, row: Row, trusted: bool) -> list[str]:
    """A public experiment shows all its channels, a private one only those that the reader may read."""
    only = {} if trusted or row["public"] else {"public": 1}
    return catalog.names(db, "channel", experiment_id=row["id"], **only)


def list_all(site: Site, request: Request, c: str) -> Response:
    with site.catalog.connection() as db:
        shown = visible_experiments(db, collection_row(db, c), request.trusted)
        return json_response(200, {"experiments": shown})


def get(site: Site, request: Request, c: str, e: str) -> Response:
    with site.catalog.connection() as db:
        row = experiment_row(db, c, e)
        may_read(request, e, row["public"])
        return json_response(200, as_json(db, row, request.trusted))


def create(site: Site, request: Request, c: str, e: str) -> Response:
    need_role(request)
    given = form(request) | {"name": e}
    try:
        with site.catalog.transaction() as db:
            parent = collection_row(db, c)
            if "coord_frame" not in given:
                raise BossFault(Code.INVALID_ARGUMENT, "{'coord_frame': 'is required'}")
            frame = frame_row(db, given["coord_frame"])
            values = fields.parse_new(FIELDS, given) | {"collection_id": parent["id"], "frame_id": frame["id"]}
            row = catalog.get(db, "experiment", catalog.insert(db, "experiment", values))
            return json_response(201, as_json(db, row, trusted=True))
    except sqlite3.IntegrityError:
        raise taken("experiment", e) from None


def update(site: Site, request: Request, c: str, e: str) -> Response:
    given = form(request)
    try:
        with site.catalog.transaction() as db:
            row = experiment_row(db, c, e)
            may_write(request, e)
            catalog.update(db, "experiment", row["id"], fields.parse_changes(FIELDS, given, strict=True))
            return json_response(200, as_json(db, catalog.get(db, "experiment", row["id"]), trusted=True))
    except sqlite3.IntegrityError:
        raise taken("experiment", str(given.get("name"))) from None


def delete(site: Site, request: Request, c: str, e: str) -> Response:
    need_role(request)
    with site.catalog.transaction() as db:
        row = experiment_row(db, c, e)
        if catalog.names(db, "channel", experiment_id=row["id"]):
            raise in_use("experiment", e, "channels")
        catalog.delete(db, "experiment", row["id"])
    return Response(204)
