"""The parts behind the handlers, and how a handler finds what a URL names."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from . import catalog
from .catalog import Catalog
from .faults import no_permission, not_found
from .gate import Gate
from .messages import Request
from .records import Channel, Row
from .volume import Volume
from .worker import Worker


@dataclass(frozen=True)
class Site:
    """One BOSS: what its handlers work on."""

    catalog: Catalog
    volume: Volume
    gate: Gate
    worker: Worker


def collection_row(db: sqlite3.Connection, c: str) -> Row:
    """Raises BossFault (4000), as do all below."""
    row = catalog.find(db, "collection", c)
    if row is None:
        raise not_found("collection", c)
    return row


def frame_row(db: sqlite3.Connection, f: object) -> Row:
    row = catalog.find(db, "frame", f)
    if row is None:
        raise not_found("coordinate frame", str(f))
    return row


def experiment_row(db: sqlite3.Connection, c: str, e: str) -> Row:
    row = catalog.find(db, "experiment", e, collection_id=collection_row(db, c)["id"])
    if row is None:
        raise not_found("experiment", e)
    return row


def channel_row(db: sqlite3.Connection, c: str, e: str, ch: str) -> Row:
    row = catalog.find(db, "channel", ch, experiment_id=experiment_row(db, c, e)["id"])
    if row is None:
        raise not_found("channel", ch)
    return row


def channel_of(site: Site, c: str, e: str, ch: str) -> Channel:
    with site.catalog.connection() as db:
        return catalog.place(db, channel_row(db, c, e, ch))


def may_read(request: Request, name: str, public: bool) -> None:
    """Raises BossFault (3001). Being public is not inherited, in neither direction (boss-api 2.5)."""
    if not (request.trusted or public):
        raise no_permission("read", name)


def may_write(request: Request, name: str) -> None:
    """Raises BossFault (3001)."""
    if not request.trusted:
        raise no_permission("change", name)
