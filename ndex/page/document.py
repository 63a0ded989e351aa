"""The whole page: a frame of HTML around its sections, with style and script inside."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence
from importlib.resources import files

from ..events import Result, Started
from ..forecast import micrometers
from ..job import Job
from ..repeat import as_yaml
from .charts import map_section, pace_section
from .coverage import Coverage
from .cuts import Cut
from .pace import Pace
from .sections import cuts_section, facts_section, failures_section
from .text import text

ENDINGS = {0: "done", 1: "incomplete", 2: "stopped: the job is wrong", 130: "interrupted"}


def document(
    job: Job,
    started: Started,
    result: Result,
    coverage: Coverage | None,
    pace: Pace,
    cuts: Sequence[Cut],
    note: str | None,
    versions: str,
) -> str:
    """The HTML of the page. `note` says why cuts are lacking."""
    ended = time.strftime("%Y-%m-%d %H:%M:%S")
    more: list[tuple[str, object]] = [("ended", ended), ("shard", _shard(job)), ("versions", versions)]
    volume = started.pieces.volume if started.pieces else None
    voxel = micrometers(job, volume.voxel_size, volume.voxel_unit) if volume else None
    sections = [
        ("", facts_section(started, result, more)),
        (f"Failures ({len(result.failed):,})", failures_section(result) if result.failed else ""),
        ("Cuts", cuts_section(cuts, voxel, note)),
        ("Blocks", map_section(coverage) if coverage else ""),
        ("Rate", pace_section(pace)),
        ("Job", f"<pre>{text(as_yaml(job))}</pre>"),
    ]
    body = "".join(f"<section>{_heading(title)}{part}</section>" for title, part in sections if part)
    bad = " bad" if result.exit_code else ""
    status = f'<span class="status{bad}">{text(ENDINGS.get(result.exit_code, result.exit_code))}</span>'
    title = f"{result.name}: {result.action}"
    return _frame(title, f"<h1>{text(title)}{status}</h1>{body}")


def _heading(title: str) -> str:
    return f"<h2>{text(title)}</h2>" if title else ""


def _shard(job: Job) -> str | None:
    return f"{job.shard.index} of {job.shard.count}, counted from 0" if job.shard.count > 1 else None


def _frame(title: str, body: str) -> str:
    """The page allows itself nothing but its own style, script and pictures."""
    style, script = (files(__package__).joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{_digest(script)}'"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{style}</style></head><body>{body}<script>{script}</script></body></html>\n"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
