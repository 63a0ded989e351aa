"""report.html in a real browser: opens from a file without network or complaints, and its pictures show the data."""

from __future__ import annotations

import base64
import io
import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import pieces
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

import ndex
import ndex.page
from ndex.__main__ import main
from ndex.errors import TransientError
from ndex.events import Result, Started, TaskDone, TaskFailed
from ndex.geometry import Box, Span, Vec
from ndex.job import Job
from ndex.jobs import JOBS
from ndex.page import Page
from ndex.page.charts import LOOKS
from ndex.page.coverage import State
from ndex.page.cuts import cuts_through
from ndex.volume import Layout, Piece, Volume

WICKED = "</td><script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def opened(browser: webdriver.Chrome, path: Path) -> webdriver.Chrome:
    """The page in the browser, in which nothing went wrong and nothing was asked of the network."""
    browser.get(path.absolute().as_uri())
    assert browser.get_log("browser") == []
    asked: Any = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in asked if not name.startswith("data:")] == []
    sizes: Any = browser.execute_script("return [...document.images].map(i => [i.complete, i.naturalWidth])")
    assert sizes
    assert all(complete and width > 0 for complete, width in sizes)
    return browser


def picture(browser: webdriver.Chrome, selector: str) -> np.ndarray:
    """The pixels of an image of the page."""
    uri = browser.find_element(By.CSS_SELECTOR, selector).get_attribute("src") or ""
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    return np.asarray(image.convert("RGB") if image.mode == "P" else image)


def test_the_page_of_a_run_shows_what_the_destination_holds(browser: webdriver.Chrome, tmp_path: Path) -> None:
    job = ndex.compose("demo", "verify=none")
    assert ndex.run(job, listeners=[Page(job, tmp_path / "report.html")]).exit_code == 0
    page = opened(browser, tmp_path / "report.html")
    assert page.title == "demo: run"
    source = np.stack([np.asarray(Image.open(path)) for path in sorted((JOBS / "data/medulla").glob("*.png"))])
    assert np.array_equal(picture(page, ".cut:nth-child(1) img"), source[16])
    assert np.array_equal(picture(page, ".cut:nth-child(2) img"), source[:, 125])
    assert np.array_equal(picture(page, ".cut:nth-child(3) img"), source[:, :, 125])
    text = page.find_element(By.TAG_NAME, "body").text
    assert "0.5 \N{MICRO SIGN}m" in text
    assert "xy at z = 2,616" in text
    assert "3: 3 done" in text
    assert "collection: demo" in text
    bar, image = (
        page.find_element(By.CSS_SELECTOR, f".cut:first-child {part}").rect["width"] for part in (".bar", "img")
    )
    assert bar / image == pytest.approx(0.5 / 2.5, abs=0.01)


class Wavy:
    """A place of any size that holds a pattern."""

    layout = Layout()

    def read(self, box: Box, t: int) -> Piece:
        line = np.arange(box.start.x, box.stop.x) % 251
        return Piece(np.broadcast_to(line.astype(np.uint8), box.shape).copy())


def synthetic(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[float, dict[State, int]]:
    """Writes the page of a run over 100,000 blocks; the seconds that took, and how many blocks ended how."""

    def cuts(job: Job, volume: Volume) -> Iterator[Any]:
        return cuts_through(volume, Wavy())

    monkeypatch.setattr(ndex.page, "cuts_of", cuts)
    job = ndex.compose("demo")
    box, block = Box.of((0, 32 * 512), (0, 32 * 512), (0, 98 * 16)), Vec(512, 512, 16)
    cut = pieces(box, Vec(1024, 1024, 16), block, resumed=(Span(0, 1000),))
    tasks, zeros = len(cut.tasks), zlib.crc32(bytes(block.volume))
    begin = time.monotonic()
    page = Page(job, path, clock=iter(np.arange(0, tasks, 0.5)).__next__)
    page(Started("big", f"planes in {WICKED}", f"lab {TOKEN}", (), tasks, 1000, box.voxels, pieces=cut))
    failed = []
    for index in range(1000, tasks - 500):
        task = cut.tasks[index]
        if index % 5000 == 0:
            failed.append(TaskFailed(index, task, 0, f"{WICKED} with {TOKEN}"))
            page(failed[-1])
        else:
            empty = index % 10 == 0
            filled = (800,) if task.start.z == 800 else ()
            page(TaskDone(index, task, 0, task.voxels, (zeros if empty else 1, 1, 1, 1), int(empty), filled))
    page(Result("big", "run", 1, tasks=tasks, done=tasks - 1500 - len(failed), resumed=1000, failed=tuple(failed)))
    ended = {State.RESUMED: 4000, State.LEFT: 2000, State.FAILED: 4 * len(failed)}
    return time.monotonic() - begin, ended


def test_100_000_blocks_are_one_picture_made_in_seconds(
    browser: webdriver.Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    seconds, ended = synthetic(path, monkeypatch)
    assert seconds < 20
    assert path.stat().st_size < 3_000_000
    begin = time.monotonic()
    page = opened(browser, path)
    assert time.monotonic() - begin < 5
    elements: Any = page.execute_script("return document.querySelectorAll('*').length")
    assert elements < 1000
    cells = picture(page, "#map").reshape(-1, 3)
    for state, count in ended.items():
        assert np.count_nonzero((cells == LOOKS[state][0]).all(axis=1)) == count
    assert np.count_nonzero((cells == LOOKS[State.EMPTY][0]).all(axis=1)) > 1000
    assert np.count_nonzero((cells == LOOKS[State.FILLED][0]).all(axis=1)) > 900
    assert page.title == "big: run"
    text = page.find_element(By.TAG_NAME, "body").text
    assert WICKED in text.replace("\n", " ")
    assert TOKEN not in path.read_text(encoding="utf-8")


def test_pointing_at_a_cell_names_its_block(
    browser: webdriver.Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthetic(tmp_path / "report.html", monkeypatch)
    page = opened(browser, tmp_path / "report.html")
    chart = page.find_element(By.ID, "map")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    facts = json.loads(page.find_element(By.ID, "map-facts").get_attribute("textContent") or "")
    columns, side = facts["columns"], facts["width"] + 1
    scale = chart.rect["width"] / (columns * side)
    run, row, column = columns + 2, 5, 7
    x, y = (2 * side + column + 0.5) * scale, (side + row + 0.5) * scale
    centre = chart.rect["width"] / 2, chart.rect["height"] / 2
    ActionChains(page).move_to_element_with_offset(chart, round(x - centre[0]), round(y - centre[1])).perform()
    said = page.find_element(By.ID, "cell").text
    assert said.startswith(f"z {run * 16}:{run * 16 + 16}, y 2560:3072, x 3584:4096: ")


def test_a_destination_that_cannot_be_read_is_a_note_in_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cuts(job: Job, volume: Volume) -> Iterator[Any]:
        raise TransientError("lab: no answer <for now>")

    monkeypatch.setattr(ndex.page, "cuts_of", cuts)
    job = ndex.compose("demo", "verify=none")
    assert ndex.run(job, listeners=[Page(job, tmp_path / "report.html")]).exit_code == 0
    assert "Not all cuts can be shown: lab: no answer &lt;for now&gt;" in (tmp_path / "report.html").read_text("utf-8")


def test_a_page_that_cannot_be_written_harms_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    job = ndex.compose("demo", "verify=none")
    result = ndex.run(job, listeners=[Page(job, tmp_path / "nowhere" / "report.html")])
    assert (result.exit_code, result.done) == (0, 3)
    assert "could not write" in caplog.text


def test_the_command_writes_it_unless_told_not_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["job=demo", "verify=none", "hydra.run.dir=with"]) == 0
    assert f"A report of this run is in {tmp_path / 'with' / 'report.html'}" in capsys.readouterr().out
    assert (tmp_path / "with" / "report.html").read_text("utf-8").count("<img ") == 4
    assert main(["job=demo", "verify=none", "report.html=false", "hydra.run.dir=without"]) == 0
    assert not (tmp_path / "without" / "report.html").exists()
    assert main(["job=demo", "action=create", "hydra.run.dir=created"]) == 0
    assert not (tmp_path / "created" / "report.html").exists()
