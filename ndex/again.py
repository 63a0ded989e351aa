"""The command that goes on with a job, as it was typed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .events import Result

WRITES = ("run", "create")
"""Actions after which the same command goes on; after the others it takes action=run."""


def again(result: Result, command: Sequence[str]) -> str:
    """The command that transfers what this run has left, failed or found to differ; "" when there is nothing.

    `command` is what was typed, word by word; from Python, where nothing was, the journal's copy of the job stands in.
    """
    left = result.left if result.action == "status" else result.exit_code
    if result.action not in (*WRITES, "verify", "status") or not left:
        return ""
    if command:
        return quoted(command if result.action in WRITES else _with_action(command))
    kept = f"   # after {result.journal}/job.yaml was copied to jobs/{result.name}.yaml" if result.journal else ""
    return f"ndex job={result.name}{kept}"


def quoted(words: Sequence[str]) -> str:
    """Words as the shell of this system takes them."""
    return subprocess.list2cmdline(words) if os.name == "nt" else " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """As shlex does it, but `"a='b'"` where that is the same and can be read."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`!\\\n') else shlex.quote(word)


def program() -> list[str]:
    """How ndex was called: by its name, by the path of the script, or as a module of some Python."""
    called = Path(sys.argv[0])
    if called.parts[-2:] == ("ndex", "__main__.py"):
        return [sys.orig_argv[0], "-m", "ndex"]
    found = shutil.which("ndex")
    elsewhere = called.stem == "ndex" and (found is None or _plain(found) != _plain(sys.argv[0]))
    return [sys.argv[0]] if elsewhere else ["ndex"]


def _plain(path: str) -> str:
    return os.path.normcase(os.path.abspath(os.path.splitext(path)[0]))


def _with_action(command: Sequence[str]) -> list[str]:
    return [*(word for word in command if word.lstrip("+").partition("=")[0] != "action"), "action=run"]
