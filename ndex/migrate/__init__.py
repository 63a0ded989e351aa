"""Command lines of the first ndex as job files: `python -m ndex.migrate ndpull --collection ...` prints one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import JobError
from ..wording import nearest
from . import expand_stacks, ndpull, ndpush
from .draft import Draft

__all__ = ["migrated"]

PROGRAMS: dict[str, Callable[[Sequence[str]], Draft]] = {
    "ndpull": ndpull.draft,
    "ndpush": ndpush.draft,
    "expand_stacks": expand_stacks.draft,
}


def migrated(arguments: Sequence[str]) -> str:
    """The job file for an old command line: the program, then its options.

    Raises JobError for another program, an option that it did not have or a value that is wrong. A token on the command
    line gets neither into the job nor into an error.
    """
    program = arguments[0].removesuffix(".py") if arguments else ""
    if program not in PROGRAMS:
        raise JobError(f"name the old program first{nearest(program, PROGRAMS)}")
    return PROGRAMS[program](arguments[1:]).text(program)
