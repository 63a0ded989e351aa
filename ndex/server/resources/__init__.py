"""Collections, coordinate frames, experiments and channels: one module each, with the same functions (boss-api 4)."""

from __future__ import annotations

from ..faults import BossFault, Code
from ..messages import Request

CREATOR = "ndex"
"""The one user of an embedded BOSS."""


def need_role(request: Request) -> None:
    """Raises BossFault (3000): only the holder of the token makes and deletes resources."""
    if not request.trusted:
        raise BossFault(Code.MISSING_ROLE, "This needs the role of a resource manager.")


def taken(kind: str, name: str) -> BossFault:
    """An existing name is an invalid argument on a BOSS, not a conflict (boss-api 3.2)."""
    return BossFault(Code.INVALID_ARGUMENT, f"{{'name': 'a {kind} called {name} already exists'}}")


def in_use(kind: str, name: str, by: str) -> BossFault:
    return BossFault(Code.INTEGRITY, f"The {kind} {name} has {by} that refer to it: delete them first.")
