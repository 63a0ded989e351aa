"""Collections, with the names of what a caller may see in them (boss-api 4.3)."""

from __future__ import annotations

import sqlite3
from typing import Any

from .. import catalog, fields
from ..fields import Field
from ..forms import form
from ..messages import Request, Response, json_response
from ..records import Row
from ..site import Site, collection_row, may_read, may_write
from . import CREATOR, in_use, need_role, taken

FIELDS = {
    "name": Field(fields.name),
    "description": Field(fields.text, ""),
    "public": Field(fields.boolean, False),
}


def as_json(db: sqlite3.Connection, row: Row, trusted: bool) -> dict[str, Any]:
    return {
        "name": row["name"],
        "public": bool(row["public"]),
        "description": row["description"],
        "experiments": visible_experiments(db, row, trusted),
        "creator": CREATOR,
    }


def visible_experiments(db: sqlite3.Connection, row: Row, trusted: bool) -> list[str]:
    """A public collection shows all its experiments, a private one only those that the reader may read."""
    only = {} if trusted or row["public"] else {"public": 1}
    return catalog.names(db, "experiment", collection_id=row["id"], **only)


def list_all(site: Site, request: Request) -> Response:
    with site.catalog.connection() as db:
        only = {} if request.trusted else {"public": 1}
        return json_response(200, {"collections": catalog.names(db, "collection", **only)})


def get(site: Site, request: Request, c: str) -> Response:
    with site.catalog.connection() as db:
        row = collection_row(db, c)
        may_read(request, c, row["public"])
        return json_response(200, as_json(db, row, request.trusted))


def create(site: Site, request: Request, c: str) -> Response:
    need_role(request)
    values = fields.parse_new(FIELDS, form(request) | {"name": c})
    try:
        with site.catalog.transaction() as db:
            row = catalog.get(db, "collection", catalog.insert(db, "collection", values))
            return json_response(201, as_json(db, row, trusted=True))
    except sqlite3.IntegrityError:
        raise taken("collection", c) from None


def update(site: Site, request: Request, c: str) -> Response:
    given = form(request)
    try:
        with site.catalog.transaction() as db:
            row = collection_row(db, c)
            may_write(request, c)
            catalog.update(db, "collection", row["id"], fields.parse_changes(FIELDS, given, strict=False))
            return json_response(200, as_json(db, catalog.get(db, "collection", row["id"]), trusted=True))
    except sqlite3.IntegrityError:
        raise taken("collection", str(given.get("name"))) from None


def delete(site: Site, request: Request, c: str) -> Response:
    need_role(request)
    with site.catalog.transaction() as db:
        row = collection_row(db, c)
        if catalog.names(db, "experiment", collection_id=row["id"]):
            raise in_use("collection", c, "experiments")
        catalog.delete(db, "collection", row["id"])
    return Response(204)
