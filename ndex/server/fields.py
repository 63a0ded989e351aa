"""What the fields of a resource may hold: each field parses a JSON value or says what is wrong with it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .faults import BossFault, Code

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
INT32 = 1 << 31
MAX_DESCRIPTION = 4096


class Required:
    """Marks a field that a new resource cannot do without."""


@dataclass(frozen=True)
class Field:
    """One field of a resource."""

    parse: Callable[[Any], Any]
    """Raises ValueError with the reason."""
    default: Any = Required
    updatable: bool = True


def parse_new(fields: Mapping[str, Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of all fields of a new resource; what is not a field is ignored. Raises BossFault (1003)."""
    missing = {name: "is required" for name, f in fields.items() if name not in given and f.default is Required}
    values = {name: f.default for name, f in fields.items()}
    return values | _parse(fields, {name: given[name] for name in fields if name in given}, missing)


def parse_changes(fields: Mapping[str, Field], given: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    """Values of the fields to change. Raises BossFault (1003), with `strict` also for what is no updatable field."""
    allowed = {name: f for name, f in fields.items() if f.updatable}
    readonly = sorted(given.keys() - allowed.keys())
    problems = {"fields": f"cannot be updated: {', '.join(map(repr, readonly))}"} if strict and readonly else {}
    return _parse(allowed, {name: given[name] for name in allowed if name in given}, problems)


def _parse(fields: Mapping[str, Field], given: Mapping[str, Any], problems: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in given.items():
        try:
            values[name] = fields[name].parse(value)
        except ValueError as error:
            problems[name] = str(error)
    if problems:
        raise BossFault(Code.INVALID_ARGUMENT, str(problems))
    return values


def text(value: Any, *, limit: int = MAX_DESCRIPTION) -> str:
    """A string, stripped; numbers are taken as their text, as the framework of the BOSS does."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is not a string")
    stripped = str(value).strip()
    if len(stripped) > limit:
        raise ValueError(f"is longer than {limit} characters")
    if "\0" in stripped or not is_unicode(stripped):
        raise ValueError("holds a character that cannot be stored")
    return stripped


def is_unicode(value: str) -> bool:
    """False for a lone surrogate, which JSON can spell and no file can hold."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def name(value: Any) -> str:
    stripped = text(value)
    if not NAME.fullmatch(stripped):
        raise ValueError("must be 1 to 255 letters, digits, '_' and '-'")
    return stripped


def optional_text(value: Any) -> str | None:
    return None if value is None else text(value)


def bucket(value: Any) -> str | None:
    if value == "":
        raise ValueError("may not be empty")
    return None if value is None else text(value, limit=64)


def boolean(value: Any) -> bool:
    if isinstance(value, str | int):
        lowered = str(value).lower()
        if lowered in ("true", "1", "yes", "on", "t", "y"):
            return True
        if lowered in ("false", "0", "no", "off", "f", "n"):
            return False
    raise ValueError("is not a boolean")


def integer(value: Any) -> int:
    """A 32-bit integer; integral floats and texts of them are taken."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is not an integer")
    number = number_of(value)
    if not number.is_integer() or not -INT32 <= number < INT32:
        raise ValueError("is not a 32-bit integer")
    return int(number)


def optional_integer(value: Any) -> int | None:
    return None if value is None or value == "" else integer(value)


def levels(value: Any) -> int:
    """Number of resolutions: the one digit of a URL reaches ten."""
    if not 1 <= (count := integer(value)) <= 10:
        raise ValueError("must be 1 to 10")
    return count


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is not a number")
    return number_of(value)


def number_of(value: str | int | float) -> float:
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        raise ValueError("is not a number") from None
    if not math.isfinite(parsed):
        raise ValueError("is not a finite number")
    return parsed


def choice(*allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"must be one of {', '.join(map(repr, allowed))}")
        return value

    return parse


def time_step_unit(value: Any) -> str:
    """The unit; null becomes "", because null in an answer crashes intern (boss-api 13.5)."""
    return "" if value is None else TIME_STEP_UNIT(value)


TIME_STEP_UNIT = choice("nanoseconds", "microseconds", "milliseconds", "seconds", "")


def name_list(value: Any) -> list[str]:
    """Names of channels; a single name is taken as a list of one."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(item, str) and is_unicode(item) for item in listed):
        raise ValueError("is not a list of names")
    return listed
