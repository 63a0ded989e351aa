"""Coordinate frames, which anybody may read (boss-api 4.4)."""

from __future__ import annotations

import sqlite3
from typing import Any

from .. import catalog, fields
from ..fields import Field
from ..forms import form
from ..messages import Request, Response, json_response
from ..records import Row
from ..site import Site, frame_row, may_write
from . import in_use, need_role, taken

BOUNDS = ("x_start", "x_stop", "y_start", "y_stop", "z_start", "z_stop")
VOXEL_SIZES = ("x_voxel_size", "y_voxel_size", "z_voxel_size")

FIELDS = {
    "name": Field(fields.name),
    "description": Field(fields.text, ""),
    **{name: Field(fields.integer, updatable=False) for name in BOUNDS},
    **{name: Field(fields.number, updatable=False) for name in VOXEL_SIZES},
    "voxel_unit": Field(fields.choice("nanometers", "micrometers", "millimeters", "centimeters"), updatable=False),
}


def as_json(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in FIELDS}


def list_all(site: Site, request: Request) -> Response:
    """With `?owner=true` those of the user: all, for the one user of an embedded BOSS."""
    nobody = request.flag("owner") and not request.trusted
    with site.catalog.connection() as db:
        return json_response(200, {"coords": [] if nobody else catalog.names(db, "frame")})


def get(site: Site, request: Request, f: str) -> Response:
    with site.catalog.connection() as db:
        return json_response(200, as_json(frame_row(db, f)))


def create(site: Site, request: Request, f: str) -> Response:
    need_role(request)
    values = fields.parse_new(FIELDS, form(request) | {"name": f})
    try:
        with site.catalog.transaction() as db:
            return json_response(201, as_json(catalog.get(db, "frame", catalog.insert(db, "frame", values))))
    except sqlite3.IntegrityError:
        raise taken("coordinate frame", f) from None


def update(site: Site, request: Request, f: str) -> Response:
    given = form(request)
    try:
        with site.catalog.transaction() as db:
            row = frame_row(db, f)
            may_write(request, f)
            catalog.update(db, "frame", row["id"], fields.parse_changes(FIELDS, given, strict=True))
            return json_response(200, as_json(catalog.get(db, "frame", row["id"])))
    except sqlite3.IntegrityError:
        raise taken("coordinate frame", str(given.get("name"))) from None


def delete(site: Site, request: Request, f: str) -> Response:
    need_role(request)
    with site.catalog.transaction() as db:
        row = frame_row(db, f)
        if catalog.names(db, "experiment", frame_id=row["id"]):
            raise in_use("coordinate frame", f, "experiments")
        catalog.delete(db, "frame", row["id"])
    return Response(204)
