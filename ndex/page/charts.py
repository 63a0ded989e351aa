"""The map of the blocks and the rate over time, as HTML."""

from __future__ import annotations

from typing import NamedTuple

from ..events import Pieces
from ..geometry import Tiling
from ..wording import megabytes
from .coverage import Coverage, State
from .pace import Pace
from .pictures import map_uri
from .text import script_data, text

LOOKS = {
    State.ELSEWHERE: ((244, 246, 248), "of another shard"),
    State.LEFT: ((173, 181, 191), "left"),
    State.RESUMED: ((158, 203, 232), "done before"),
    State.EMPTY: ((255, 250, 225), "empty (all zeros)"),
    State.DONE: ((43, 123, 186), "done"),
    State.REPAIRED: ((123, 79, 163), "repaired"),
    State.FILLED: ((240, 160, 48), "absent planes filled with zeros"),
    State.FAILED: ((193, 18, 31), "failed"),
}
"""Colour and name; told apart by those who see red and green alike too."""
LABEL_HEIGHT = 14
"""Pixels of the screen."""


def map_section(coverage: Coverage) -> str:
    """The map with its legend; a script says which block the mouse is on."""
    picture = coverage.picture()
    height, width = picture.shape
    scale = max(1, min(16, 1000 // width))
    uri = map_uri(picture, [LOOKS[state][0] for state in State])
    labels = _row_labels(coverage, scale)
    return (
        f'<p>{text(_cell_meaning(coverage))}</p><ul class="legend">{_legend(coverage)}</ul>'
        f'<div class="map"><ol>{labels}</ol>'
        f'<img id="map" src="{uri}" alt="map of the blocks" width="{width * scale}" height="{height * scale}"></div>'
        f'<p id="cell" class="soft">Point at a cell to see which block it is.</p>'
        f'<script type="application/json" id="map-facts">{script_data(_map_facts(coverage))}</script>'
    )


def _cell_meaning(coverage: Coverage) -> str:
    (x, y, z), size = coverage.factor, coverage.grid.step
    shape = f"Each rectangle is one z-run of {size.z} planes; each cell in it"
    if coverage.factor == (1, 1, 1):
        return f"{shape} is a block of {size}."
    return f"{shape} stands for {x} x {y} x {z} blocks of {size} and shows the worst that became of any."


def _legend(coverage: Coverage) -> str:
    counts = coverage.counts()
    present = [state for state in State if (coverage.cells == state).any()]
    number = {state: f": {counts[state]:,}" if counts else "" for state in present}
    return "".join(
        f'<li><i style="background:rgb{LOOKS[state][0]}"></i>{text(LOOKS[state][1])}{number[state]}</li>'
        for state in present
    )


def _row_labels(coverage: Coverage, scale: int) -> str:
    """The first z of every row of the picture, or of every n-th where they would not fit."""
    runs, rows = coverage.cells.shape[0], coverage.cells.shape[1] + 1
    count = -(-runs // coverage.columns)
    step = max(1, -(-LABEL_HEIGHT // (rows * scale)))
    return "".join(
        f'<li style="top:{row * rows * scale}px">{text(_run_name(coverage, row * coverage.columns))}</li>'
        for row in range(0, count, step)
    )


def _run_name(coverage: Coverage, run: int) -> str:
    pieces, grid = coverage.pieces, coverage.grid
    sample, layer = divmod(run * coverage.factor[2], grid.counts.z)
    z = grid[layer * grid.counts.x * grid.counts.y].start.z + pieces.volume.offset.z
    times = pieces.volume.times
    return f"t {times.start + sample}, z {z}" if times.size > 1 else f"z {z}"


def _map_facts(coverage: Coverage) -> dict[str, object]:
    """What the script needs to name a cell."""
    grid: Tiling = coverage.grid
    pieces: Pieces = coverage.pieces
    runs, height, width = coverage.cells.shape
    colors = {",".join(map(str, LOOKS[state][0])): LOOKS[state][1] for state in State}
    return {
        "start": grid.box.start,
        "stop": grid.box.stop,
        "step": grid.step,
        "origin": grid.origin,
        "offset": pieces.volume.offset,
        "factor": coverage.factor,
        "runs": runs,
        "layers": grid.counts.z,
        "columns": coverage.columns,
        "width": width,
        "height": height,
        "t": pieces.volume.times.start,
        "times": pieces.volume.times.size,
        "colors": colors,
    }


def pace_section(pace: Pace) -> str:
    """The rate over time as a drawing of bars."""
    seconds, rates = pace.rates()
    if not rates:
        return "<p>Nothing was moved.</p>"
    most = max(rates) or 1.0
    step = CHART.width / len(rates)
    bars = "".join(
        f'<rect x="{CHART.left + i * step:.1f}" y="{CHART.y(rate / most):.1f}" width="{max(0.5, step - 0.5):.1f}" '
        f'height="{CHART.height * rate / most:.1f}"/>'
        for i, rate in enumerate(rates)
    )
    marks = "".join(_mark(share, f"{megabytes(most * share)}/s") for share in (0, 0.5, 1))
    foot = f'y="{CHART.y(0) + 20}"'
    ends = (
        f'<text x="{CHART.left}" {foot}>0 s</text>'
        f'<text x="{CHART.left + CHART.width}" {foot} text-anchor="end">{text(_duration(seconds))}</text>'
    )
    return (
        f'<svg viewBox="0 0 1090 200" role="img" aria-label="rate over time">{marks}<g fill="#2b7bba">{bars}</g>'
        f"{ends}</svg>"
    )


class _Chart(NamedTuple):
    width: int
    height: int
    left: int
    top: int

    def y(self, share: float) -> float:
        """Where so much of the full height ends."""
        return self.top + self.height * (1 - share)


CHART = _Chart(1000, 160, 76, 12)


def _mark(share: float, label: str) -> str:
    y = CHART.y(share)
    return (
        f'<text x="{CHART.left - 8}" y="{y + 4:.0f}" text-anchor="end">{text(label)}</text>'
        f'<line x1="{CHART.left}" x2="{CHART.left + CHART.width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dde2e8"/>'
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
