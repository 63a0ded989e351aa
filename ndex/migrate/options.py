"""Old command lines, read as their programs read them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from ..errors import JobError
from ..wording import nearest


class Options(argparse.ArgumentParser):
    """Options as argparse takes them, abbreviated ones too, but with errors that do not repeat values: one may be a
    token."""

    def __init__(self, program: str) -> None:
        super().__init__(prog=program, add_help=False)

    def text(self, *names: str) -> None:
        """Options that take a text."""
        for name in names:
            self.add_argument(f"--{name}")

    def flag(self, *names: str) -> None:
        """Options that take nothing."""
        for name in names:
            self.add_argument(f"--{name}", action="store_true")

    def pair(self, *names: str) -> None:
        """Options that take two whole numbers."""
        for name in names:
            self.add_argument(f"--{name}", type=int, nargs=2)

    def whole(self, *names: str) -> None:
        """Options that take a whole number."""
        for name in names:
            self.add_argument(f"--{name}", type=int)

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The values given, None for all others. Raises JobError."""
        known, unknown = self.parse_known_args(arguments)
        if unknown:
            self._refuse([argument.partition("=")[0] for argument in unknown if argument.startswith("-")])
        return known

    def error(self, message: str) -> NoReturn:
        """What argparse says, without the value that it could not read."""
        said = re.sub(r"(=|: ')\S+.*", "", message)
        raise JobError(f"{self.prog}: {said}")

    def _refuse(self, unknown: list[str]) -> NoReturn:
        if not unknown:
            raise JobError(f"{self.prog}: a value stands without an option before it, or an option has one too many")
        valid: list[Any] = [option for action in self._actions for option in action.option_strings]
        raise JobError(f"{self.prog} had no option {unknown[0]}{nearest(unknown[0], valid)}")
