"""README.md is true: what it tells people to type is what .ci/run types, its example runs, and its lists are whole."""

import re
from pathlib import Path

import pytest
import yaml

from ndex.stores import KINDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_are_the_ones_that_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for name in ("demo", "tests"):
        block = re.search(rf"<!-- ci: {name} -->\n```sh\n(.+)\n```", README)
        assert block is not None, f"README.md has no command marked <!-- ci: {name} -->"
        assert block[1].startswith("python3 -m venv .venv && .venv/bin/pip install")
        assert re.search(rf"^run {name}\b", ci, re.MULTILINE)


def test_every_commit_is_checked_as_ci_does() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = {hook["entry"] for repo in config["repos"] for hook in repo["hooks"]}
    imports = "lint-imports"  # which CI does among the tests: test_layers.py
    assert entries == {imports, *re.findall(r"^\.venv/bin/((?:ruff|mypy).*)$", ci, re.MULTILINE)}


def section(title: str) -> str:
    """What stands under a heading."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_kind_of_place_is_in_the_table() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", section("Places"), re.MULTILINE)) == sorted(KINDS)


def test_the_map_has_every_room_once() -> None:
    modules = [*(ROOT / "ndex").glob("*.py"), *(path.parent for path in (ROOT / "ndex").glob("*/__init__.py"))]
    rows = re.findall(r"^\|.*\| (.+) \|$", section("Working on ndex"), re.MULTILINE)
    shown = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(shown) == sorted({module.stem for module in modules} - {"__init__", "__main__"})


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_benchmark_is_listed() -> None:
    scripts = {path.name for path in (ROOT / "tests" / "benchmarks").glob("*.py")}
    assert set(re.findall(r"`(\w+\.py)`", section("Working on ndex").split("**Benchmarks**")[1])) == scripts
