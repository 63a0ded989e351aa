"""What is left of the part of each shard, whichever shard did the work, also of those never seen: `action: status`."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .job import Shard
from .plans import Plan

State = Mapping[str, Any]
"""What the journal of a shard says: its `name`, how many tasks it has `done`, how many `failed`, when it was
`last_seen` (seconds since the epoch, None for never)."""


def overview(plan: Plan, count: int, seen: Sequence[State], done: Iterable[int]) -> list[dict[str, Any]]:
    """The state of every shard that was seen, and of those that should have been, with what is `left` of its part.

    `count` is that of the job; where it is 1, as when nobody has given one, that of the shard seen last is taken.
    `done` are the indexes of the tasks that any shard has done: after a change of `shard.count` they lie in parts of
    others.
    """
    ordered = sorted(done)

    def left(shard: Shard) -> int:
        part = replace(plan, shard=shard).part
        return part.size - (bisect_left(ordered, part.stop) - bisect_left(ordered, part.start))

    states = {_shard(state): state for state in seen}
    for shard in _expected(count, seen):
        name = f"shard-{shard.index}-of-{shard.count}"
        states.setdefault(shard, {"name": name, "done": 0, "failed": 0, "last_seen": None})
    in_order = sorted(states, key=lambda shard: (shard.count, shard.index))
    return [{**states[shard], "left": left(shard)} for shard in in_order]


def _expected(count: int, seen: Sequence[State]) -> list[Shard]:
    if count == 1 and seen:
        count = _shard(max(seen, key=lambda state: state["last_seen"] or 0)).count
    return [Shard(index, count) for index in range(count)] if count > 1 else []


def _shard(state: State) -> Shard:
    index, count = map(int, re.findall(r"\d+", state["name"]))
    return Shard(index, count)
