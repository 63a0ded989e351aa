"""Finds job files: `job=lab1/em` is `jobs/lab1/em.yaml` of the working directory, else the one that ships."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

GROUP = "job"


def shipped(folder: str) -> Path:
    """`conf` or `jobs` as installed: inside the package in a wheel, beside it in a checkout."""
    packaged = Path(__file__).parent / "_data" / folder
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / folder


CONF = shipped("conf")
JOBS = shipped("jobs")
GROUPS = frozenset([GROUP, *(path.name for path in CONF.iterdir() if path.is_dir())])
"""What is chosen by `group=choice`."""


def job_folders() -> list[Path]:
    """Where jobs are looked up, the first one wins."""
    own = Path.cwd() / "jobs"
    return [own, JOBS] if own.resolve() != JOBS.resolve() else [JOBS]


def job_names() -> list[str]:
    """All jobs that can be named, nested ones as `lab1/em`."""
    return sorted({name for folder in job_folders() for name in names_in(folder)})


def names_in(folder: Path) -> list[str]:
    """The jobs of one folder."""
    files = (path for path in folder.rglob("*.yaml") if inside(path, folder))
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in files)


def choices() -> str:
    """Every group with its choices, as the help page shows them; of many jobs the first ones."""
    found = {path.parent.name: names_in(path.parent) for path in CONF.glob("*/*.yaml")} | {GROUP: job_names()}
    lines = (f"{group}: {', '.join(names)}" for group, names in sorted(found.items()))
    style: dict[str, Any] = {"subsequent_indent": "  ", "break_on_hyphens": False}
    return "\n".join(textwrap.fill(line, 96, max_lines=2, placeholder=" ...", **style) for line in lines)


def safe_name(choice: str | None) -> str:
    """A job's name as part of a file name: `lab1/em` becomes `lab1_em`; without a job it is `ndex`."""
    return (choice or "ndex").removesuffix(".yaml").replace("/", "_")


def inside(path: Path, folder: Path) -> bool:
    """Neither `..` nor a symbolic link leads out of the folder."""
    return path.resolve().is_relative_to(folder.resolve())
