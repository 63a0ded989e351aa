"""Events as lines of the log and as JSON, and result.json."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from .events import Event, Note, Result, Started, Stopping, TaskDone, TaskFailed
from .summary import plan_lines, started_lines, status_lines, summary_lines, tree_lines

_log = logging.getLogger("ndex")


def log(event: Event) -> None:
    """Every event as a line of the log; the command decides where that goes."""
    match event:
        case TaskDone():
            _log.info("done task %d (%s)%s", event.index, event.box, ", verified" if event.verified else "")
        case TaskFailed():
            _log.error("failed task %d (%s): %s%s", event.index, event.box, event.reason, _indented(event.bug))
        case Note():
            _log.info("%s", event.text)
        case Stopping():
            _log.warning("stopping: %s", event.reason)
        case Started():
            _log.info("%s", " | ".join(started_lines(event)))
        case Result():
            _log.info("%s", " | ".join(lines_of(event)))


def lines_of(result: Result) -> list[str]:
    """What is said at the end."""
    show = {"plan": plan_lines, "status": status_lines, "describe": tree_lines}.get(result.action, summary_lines)
    return show(result)


def write_result(result: Result, path: Path) -> None:
    """result.json, complete or not there at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(facts_of(result), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def facts_of(event: Event) -> dict[str, Any]:
    """An event as JSON values, as README.md describes them under *For scripts*."""
    facts: dict[str, Any] = plain(event)
    return facts | {"left": event.left} if isinstance(event, Started | Result) else facts


def plain(value: Any) -> Any:
    """An event as JSON values; a box as its intervals."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        if value.keys() == {"start", "stop"} and isinstance(value["start"], tuple):
            bounds = zip(value["start"], value["stop"], strict=True)
            return {axis: list(interval) for axis, interval in zip("xyz", bounds, strict=True)}
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _indented(traceback: str | None) -> str:
    return "" if traceback is None else "\n    " + traceback.strip().replace("\n", "\n    ")
