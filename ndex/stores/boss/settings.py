"""What a user can say of a channel of a BOSS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from ...job import Boss, End, Resource

Id = Annotated[int, Field(ge=1, le=2**64 - 1)]
"""Of an annotation; 0 is the background."""


@dataclass(frozen=True, kw_only=True)
class Source(End):
    """Read from a BOSS."""

    kind: Literal["boss"] = "boss"
    boss: Boss | None = None
    """null: the job's."""
    resource: Resource | None = None
    """null: the job's."""
    filter: tuple[Id, ...] | None = None
    """Annotation ids to keep; all others read as 0."""
    coordinates: Literal["original"] | None = None
    """original: those that the data had before an upload with an offset; null: those of the BOSS."""

    def __post_init__(self) -> None:
        if self.filter == ():
            raise ValueError("filter=[]: must name the ids to bring, or be null to bring all")


@dataclass(frozen=True, kw_only=True)
class Destination(End):
    """Write to a BOSS."""

    kind: Literal["boss"] = "boss"
    boss: Boss | None = None
    """null: the job's."""
    resource: Resource | None = None
    """null: the job's."""
