"""Keys and values of a collection, an experiment or a channel; both travel in the query (boss-api 9)."""

from __future__ import annotations

import sqlite3

from .catalog import Table
from .faults import BossFault, Code
from .messages import Request, Response, json_response
from .site import Site, channel_row, collection_row, experiment_row, may_read, may_write

OWNED_BY = "owner = ? AND owner_id = ?"
Owner = tuple[Table, int]


def owner_of(db: sqlite3.Connection, c: str, e: str | None = None, ch: str | None = None) -> Owner:
    """What the metadata belongs to. Raises BossFault (4000)."""
    if e is None:
        return "collection", collection_row(db, c)["id"]
    if ch is None:
        return "experiment", experiment_row(db, c, e)["id"]
    return "channel", channel_row(db, c, e, ch)["id"]


def get(site: Site, request: Request, **names: str) -> Response:
    """All keys, or the value of `?key=`. Being public does not help here (boss-api 2.4)."""
    with site.catalog.connection() as db:
        owner = owner_of(db, **names)
        may_read(request, "the metadata of " + "/".join(names.values()), public=False)
        if "key" not in request.query:
            rows = db.execute(f"SELECT key FROM metadata WHERE {OWNED_BY} ORDER BY rowid", owner)
            return json_response(200, {"keys": [key for (key,) in rows]})
        key = needed(request, "key")
        row = db.execute(f"SELECT value FROM metadata WHERE {OWNED_BY} AND key = ?", (*owner, key)).fetchone()
        if row is None:
            raise unknown(key)
        return json_response(200, {"key": key, "value": row["value"]})


def post(site: Site, request: Request, **names: str) -> Response:
    with site.catalog.transaction() as db:
        owner = owner_of(db, **names)
        may_write(request, "/".join(names.values()))
        key, value = needed(request, "key"), needed(request, "value")
        try:
            db.execute("INSERT INTO metadata VALUES (?, ?, ?, ?)", (*owner, key, value))
        except sqlite3.IntegrityError:
            raise BossFault(Code.INVALID_ARGUMENT, f"The key {key} exists already.") from None
    return Response(201)


def put(site: Site, request: Request, **names: str) -> Response:
    with site.catalog.transaction() as db:
        owner = owner_of(db, **names)
        may_write(request, "/".join(names.values()))
        key, value = needed(request, "key"), needed(request, "value")
        query = f"UPDATE metadata SET value = ? WHERE {OWNED_BY} AND key = ?"
        if not db.execute(query, (value, *owner, key)).rowcount:
            raise unknown(key)
    return Response(200)


def delete(site: Site, request: Request, **names: str) -> Response:
    with site.catalog.transaction() as db:
        owner = owner_of(db, **names)
        may_write(request, "/".join(names.values()))
        key = needed(request, "key")
        if not db.execute(f"DELETE FROM metadata WHERE {OWNED_BY} AND key = ?", (*owner, key)).rowcount:
            raise unknown(key)
    return Response(204)


def needed(request: Request, name: str) -> str:
    """An argument of the query. Raises BossFault (1003) when it is missing or empty."""
    if not (value := request.query.get(name)):
        raise BossFault(Code.INVALID_ARGUMENT, f"The query must give a {name}.")
    return value


def unknown(key: str) -> BossFault:
    """Not a 404 on a BOSS."""
    return BossFault(Code.INVALID_ARGUMENT, f"There is no key {key}.")
