"""The pages of `ndex --help` and `ndex --help TOPIC`: what the files of conf/ and jobs/ say of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template

from omegaconf import OmegaConf

from .errors import JobError
from .jobs import CONF, GROUP, GROUPS, choices, job_folders, job_names, names_in
from .resolvers import register
from .wording import nearest

HELP = ("--help", "-h")


def overview() -> str:
    """What conf/hydra/help/ndex.yaml says; Hydra would compose a job and list groups dozens of times first."""
    register("ndex.conf", lambda: str(CONF))
    register("ndex.choices", choices)
    page = OmegaConf.create({"hydra": {"help": OmegaConf.load(CONF / "hydra" / "help" / "ndex.yaml")}})
    return Template(page.hydra.help.template).substitute()


def page(arguments: Sequence[str]) -> str | None:
    """The page that a command line asks for; None when it asks for none, or for the overview.

    A topic is a group (`source`), a choice of it (`source=images`), a key (`extent`, `resource.frame.x`) or a job
    (`job=demo`). Raises JobError for any other.
    """
    options = [argument for argument in arguments if argument.startswith("-")]
    topics = [argument for argument in arguments if argument not in options]
    if not options or set(options) - set(HELP) or not topics:
        return None
    return "\n\n".join(_page(topic) for topic in topics)


def _page(topic: str) -> str:
    key, equals, choice = topic.lstrip("+").partition("=")
    name = key.partition(".")[0]
    sections = _sections()
    if name in GROUPS:
        return _of_choice(name, choice) if equals else _of_group(name)
    if name in sections:
        return sections[name]
    raise JobError(f"--help {topic}: there is no such topic{nearest(name, [*GROUPS, *sections])}")


def _of_group(group: str) -> str:
    """Its choices, a line each."""
    choices = job_names() if group == GROUP else names_in(CONF / group)
    width = max(map(len, choices))
    lines = [f"  {choice:<{width}}  {_first_sentence(_file(group, choice), 96 - width)}" for choice in choices]
    return "\n".join([f"{group}=..., with the keys of each: ndex --help {group}={choices[0]}", "", *lines])


def _of_choice(group: str, choice: str) -> str:
    """The file itself, with all its keys."""
    choices = job_names() if group == GROUP else names_in(CONF / group)
    if choice not in choices:
        raise JobError(f"--help {group}={choice}: there is no such choice{nearest(choice, choices)}")
    return _file(group, choice).read_text(encoding="utf-8").rstrip()


def _file(group: str, choice: str) -> Path:
    folders = job_folders() if group == GROUP else [CONF / group]
    return next(path for folder in folders if (path := folder / f"{choice}.yaml").exists())


def _first_sentence(file: Path, width: int) -> str:
    """What the comment at the top of a file begins with."""
    said: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        said.append(line.strip("# "))
    text = re.split(r"(?<=[\w)])[.:;] |: ", " ".join(said))[0].rstrip(".:")
    return text if len(text) <= width else text[: width - 3].rpartition(" ")[0] + "..."


def _sections() -> dict[str, str]:
    """The paragraphs of config.yaml, by the key that each is about."""
    return dict(_found(CONF / "config.yaml"))


def _found(file: Path) -> Iterator[tuple[str, str]]:
    for paragraph in re.split(r"\n{2,}", file.read_text(encoding="utf-8").strip()):
        if (match := re.search(r"(?m)^(\w+):", paragraph)) and match[1] != "defaults":
            yield match[1], paragraph
