"""Shows the job files to Hydra, as the config group `job`."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin

from .job_file import read_job_file
from .jobs import GROUP, JOBS, inside, job_folders, names_in
from .resolvers import register


class JobSource(ConfigSource):
    """Shows one folder as the config group `job`."""

    @staticmethod
    def scheme() -> str:
        return "jobs"

    def _path(self, config_path: str, suffix: str = "") -> Path | None:
        group, _, name = config_path.partition("/")
        path = Path(self.path, name.removesuffix(suffix) + suffix)
        return path if group == GROUP and inside(path, Path(self.path)) else None

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
# Registered by hand: classes in a `hydra_plugins` package would change every Hydra application of the environment.
Plugins.instance().register(JobSource)
Plugins.instance().register(JobSearchPath)
