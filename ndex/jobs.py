"""Finds job files: `+job=lab1/em` is `jobs/lab1/em.yaml` of the working directory, else the one that ships."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin

from .job_file import read_job_file
from .resolvers import register

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
    files = (path for path in folder.rglob("*.yaml") if _inside(path, folder))
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


def _inside(path: Path, folder: Path) -> bool:
    """Neither `..` nor a symbolic link leads out of the folder."""
    return path.resolve().is_relative_to(folder.resolve())


class JobSource(ConfigSource):
    """Shows one folder as the config group `job`."""

    @staticmethod
    def scheme() -> str:
        return "jobs"

    def _path(self, config_path: str, suffix: str = "") -> Path | None:
        group, _, name = config_path.partition("/")
        path = Path(self.path, name.removesuffix(suffix) + suffix)
        return path if group == GROUP and _inside(path, Path(self.path)) else None

    def load_config(self, config_path: str) -> ConfigResult:
        path = self._path(config_path, ".yaml")
        if path is None:
            raise ConfigLoadError(f"no such job: {config_path}")
        text, config = read_job_file(path)
        header = self._get_header_dict(text)
        header["package"] = header["package"] or "_global_"
        return ConfigResult(provider=self.provider, path=self.full_path(), config=config, header=header)

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        # Always true for `job`: otherwise a wrong `+job=x` would become a plain new key and nothing would be said.
        if config_path in ("", GROUP):
            return True
        path = self._path(config_path)
        return path is not None and path.is_dir()

    def is_config(self, config_path: str) -> bool:
        path = self._path(config_path, ".yaml")
        return path is not None and path.is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Names below a group; the parameters are called as Hydra calls them. All jobs are in one list, nested ones
        too, because completion and help look no deeper."""
        if config_path == "":
            return [] if results_filter == ObjectType.CONFIG else [GROUP]
        return [] if results_filter == ObjectType.GROUP or config_path != GROUP else names_in(Path(self.path))


class JobSearchPath(SearchPathPlugin):
    """Adds the job folders to what Hydra searches."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in job_folders():
            search_path.append(provider="ndex", path=f"{JobSource.scheme()}://{folder}")


def shipped_data(name: str) -> str:
    """`${ndex.shipped:medulla}` in a job: a folder of data that comes with ndex."""
    return str(JOBS / "data" / name)


register("ndex.shipped", shipped_data)
register("ndex.conf", lambda: str(CONF))
register("ndex.choices", choices)
# Registered by hand: classes in a `hydra_plugins` package would change every Hydra application of the environment.
Plugins.instance().register(JobSource)
Plugins.instance().register(JobSearchPath)
