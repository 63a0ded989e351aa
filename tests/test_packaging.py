"""What is built holds the configuration, the jobs and their data, and works from wherever it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from ndex import __version__

ROOT = Path(__file__).parent.parent
SHIPPED = [path for folder in ("conf", "jobs") for path in (ROOT / folder).rglob("*") if path.is_file()]

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="the project's own files are not here")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and a source distribution."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_holds_what_ships(installed: Path) -> None:
    for path in SHIPPED:
        copy = installed / "ndex/_data" / path.relative_to(ROOT)
        assert copy.read_bytes() == path.read_bytes()
    assert (installed / "ndex/py.typed").is_file(), "type checkers of those who import ndex need it"
    assert not (installed / "tests").exists()


def test_the_source_distribution_holds_what_ships(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {path.relative_to(ROOT).as_posix() for path in SHIPPED} <= names
    assert {"pyproject.toml", "LICENSE", "README.md", "tests/test_packaging.py"} <= names


def test_it_works_from_any_directory(installed: Path, tmp_path: Path) -> None:
    where = run(installed, tmp_path, "-c", "import ndex; print(ndex.__file__, ndex.compose('demo').source.path)")
    assert where.stdout.split() == [
        str(installed / "ndex/__init__.py"),
        str(installed / "ndex/_data/jobs/data/medulla"),
    ]
    page = run(installed, tmp_path, "-m", "ndex", "--help", "job")
    assert page.returncode == 0
    assert "kharris15_apical" in page.stdout
    refused = run(installed, tmp_path, "-m", "ndex", "job=ingest")
    assert (refused.returncode, refused.stderr.split(":")[1]) == (2, " missing")


def test_the_version_is_said_once(installed: Path) -> None:
    (metadata,) = installed.glob("*.dist-info/METADATA")
    assert f"\nVersion: {__version__}\n" in metadata.read_text()
    (entry,) = installed.glob("*.dist-info/entry_points.txt")
    assert "ndex = ndex.__main__:main" in entry.read_text()


def test_every_dependency_says_why() -> None:
    lines = (ROOT / "pyproject.toml").read_text().split("dependencies = [\n")[1].split("\n]")[0].splitlines()
    assert len(lines) == len(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    assert all("  # " in line for line in lines)
