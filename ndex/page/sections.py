"""The parts of the page, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

from ..events import Result, Started
from ..wording import megabytes
from .cuts import Cut
from .pictures import cut_uri, window_of
from .text import table, text

SHOWN_FAILURES = 200
CUT_WIDTH, CUT_HEIGHT = 540, 460
"""Pixels of the screen that a cut may take."""
THINNEST = 24
"""That it takes at least, if need be out of proportion."""


def facts_section(started: Started, result: Result, more: list[tuple[str, object]]) -> str:
    pieces = started.pieces
    rows: list[tuple[str, object]] = [("from", started.source), ("to", started.destination)]
    rows += [("created", started.created)]
    if pieces:
        box = pieces.volume.box
        rows += [("volume", f"{box} ({box.size} voxels, {pieces.volume.dtype})")]
    rate = f" ({megabytes(result.nbytes / result.seconds)}/s)" if result.seconds else ""
    rows += [
        ("tasks", _counts(result)),
        ("moved", f"{megabytes(result.nbytes)} in {result.seconds:,.1f} s{rate}"),
        ("empty blocks", result.empty or None),
        ("planes filled", _numbers(result.filled)),
        ("stopped by", result.error),
        ("look at it", result.links),
        *more,
    ]
    return table(rows)


def _counts(result: Result) -> str:
    verb = "compared" if result.action == "verify" else "done"
    counts = [
        (result.done, verb),
        (result.resumed, "done before"),
        (result.verified, "verified"),
        (result.repaired, "repaired"),
        (len(result.failed), "failed"),
        (result.untried, "never tried"),
        (result.left, "left"),
    ]
    return f"{result.tasks:,}: " + ", ".join(f"{number:,} {what}" for number, what in counts if number)


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:50]))
    return f"{shown} and {len(numbers) - 50:,} more" if len(numbers) > 50 else shown


def failures_section(result: Result) -> str:
    rows = [
        f"<tr><td>{task.index}</td><td>{text(task.box)}, t {task.t}</td><td>{text(task.reason)}</td></tr>"
        for task in result.failed[:SHOWN_FAILURES]
    ]
    more = len(result.failed) - SHOWN_FAILURES
    rest = f"<p>and {more:,} more; result.json lists all of them</p>" if more > 0 else ""
    head = "<tr><th>task</th><th>where, in the source</th><th>reason</th></tr>"
    return f'<table class="failures">{head}{"".join(rows)}</table>{rest}'


def cuts_section(cuts: Sequence[Cut], voxel: tuple[float, float, float] | None, note: str | None) -> str:
    """The cuts with their scale bars, all at one scale; `voxel` is the size of one in micrometres."""
    window = window_of(cuts)
    extents = [_extent(cut, voxel) for cut in cuts]
    scale = min((min(CUT_WIDTH / right, CUT_HEIGHT / down) for right, down in extents), default=1.0)
    unit = "\N{MICRO SIGN}m" if voxel else "voxels"
    shown = "".join(
        _figure(cut, cut_uri(cut, window), extent, scale, unit) for cut, extent in zip(cuts, extents, strict=True)
    )
    notes = [f"Black is {window[0]:,}, white {window[1]:,}."] if window else []
    if any(max(cut.every) > 1 for cut in cuts):
        notes.append("Orange lines: what lies between the blocks on both sides is not shown.")
    if note:
        notes.append(f"Not all cuts can be shown: {note}")
    return f'<div class="cuts">{shown}</div>' + "".join(f"<p><small>{text(line)}</small></p>" for line in notes)


def _extent(cut: Cut, voxel: tuple[float, float, float] | None) -> tuple[float, float]:
    """To the right and down, in micrometres, or in voxels where their size is not known."""
    sizes = dict(zip("xyz", voxel or (1.0, 1.0, 1.0), strict=True))
    return cut.size[0] * sizes[cut.name[0]], cut.size[1] * sizes[cut.name[1]]


def _figure(cut: Cut, uri: str, extent: tuple[float, float], scale: float, unit: str) -> str:
    width, height = (max(THINNEST, round(length * scale)) for length in extent)
    bar = _round_length(extent[0] / 3)
    across = next(axis for axis in "xyz" if axis not in cut.name)
    title = f"{cut.name} at {across} = {cut.at:,}; {cut.name[0]} to the right, {cut.name[1]} down"
    every = [f"1 block of {n} along {axis}" for n, axis in zip(cut.every, cut.name, strict=True) if n > 1]
    return (
        f'<figure class="cut"><img src="{uri}" alt="{text(title)}" width="{width}" height="{height}">'
        f'<div class="bar" style="width:{bar / extent[0] * width:.1f}px"></div>'
        f"<figcaption><b>{bar:g} {unit}</b><br>{'<br>'.join(map(text, [title, *every]))}</figcaption></figure>"
    )


def _round_length(most: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not above `most`."""
    power = 10.0 ** floor(log10(most))
    return next(step * power for step in (5, 2, 1) if step * power <= most)
