"""Plain mappings to the dataclasses of a job, with every problem found said in one line of our own."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import ByteSize, TypeAdapter, ValidationError

from .job_file import MISSING
from .wording import nearest, shown

T = TypeVar("T")


class Checked(NamedTuple, Generic[T]):
    """A dataclass made from a mapping, or why not."""

    value: T | None
    problems: list[str]
    missing: list[str]
    """Full keys without a value that need one."""


def check(cls: type[T], values: Mapping[str, Any], prefix: str = "") -> Checked[T]:
    """`cls` made from `values`; `prefix` is the key under which they stand, with its dot."""
    problems = list(unknown_keys(cls, values, prefix))
    missing = [prefix + key for key in marked_missing(values)]
    try:
        value = TypeAdapter(cls).validate_python(_given(values))
    except ValidationError as error:
        wrong: dict[str, str] = {}
        for detail in error.errors(include_url=False):
            key, hint = _field(cls, detail["loc"])
            if detail["type"] == "missing" and key.count(".") + 1 == len(detail["loc"]):
                missing.append(prefix + key)
            else:
                full = (prefix + key).removesuffix(".")
                wrong.setdefault(key, _wrong(hint, full, _at(values, key), detail))
        return Checked(None, problems + list(wrong.values()), list(dict.fromkeys(missing)))
    return Checked(None if problems or missing else value, problems, missing)


def unknown_keys(cls: Any, values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """A line for each key that the dataclass and those inside it do not have."""
    hints = hints_of(cls)
    for key, value in values.items():
        if key not in hints:
            yield f"unknown key {prefix}{key}" + nearest(str(key), hints, prefix)
        elif (inner := inner_dataclass(hints[key])) and isinstance(value, Mapping):
            yield from unknown_keys(inner, value, f"{prefix}{key}.")


def hints_of(cls: Any) -> dict[str, Any]:
    """Fields of a dataclass and their types, as written."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def inner_dataclass(hint: Any) -> Any:
    """The dataclass in `Boss`, `Boss | None` and the like."""
    options = get_args(hint) if _is_union(hint) else (hint,)
    return next((option for option in options if dataclasses.is_dataclass(option)), None)


def marked_missing(values: Mapping[str, Any]) -> Iterator[str]:
    """Dotted keys that still hold `???`, in the order of the file."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner in marked_missing(value))
        elif value == MISSING:
            yield str(key)


def describe(hint: Any) -> str:
    """What a field takes, in words."""
    args = get_args(hint)
    if _is_union(hint) or get_origin(hint) is Literal:
        options = list(_options(hint))
        return " or ".join(filter(None, [", ".join(options[:-1]), options[-1]]))
    if get_origin(hint) is tuple:
        base, limits = _parts(args[0])
        noun = _noun(base).removeprefix("a ") + "s"
        return ("a list of " if args[-1] is Ellipsis else f"a list of {len(args)} ") + noun + limits
    if dataclasses.is_dataclass(hint):
        return "a mapping of " + ", ".join(hints_of(hint))
    base, limits = _parts(hint)
    return _noun(base) + limits


def _options(hint: Any) -> Iterator[str]:
    for arg in get_args(hint):
        if get_origin(arg) is Literal:
            yield from _options(arg)
        else:
            yield arg if isinstance(arg, str) else describe(arg)


_NOUNS: dict[Any, str] = {
    types.NoneType: "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    ByteSize: "a size such as 4GiB",
}
_LIMITS = {"ge": ", {} or more", "gt": " above {}", "le": ", {} or less", "min_length": ", not empty"}


def _noun(base: Any) -> str:
    return _NOUNS.get(base, "of another type")


def _parts(hint: Any) -> tuple[Any, str]:
    """The bare type, and its limits in words."""
    base, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    limits = {
        name: getattr(item, name)
        for field in metadata
        for item in field.metadata
        for name in _LIMITS
        if hasattr(item, name)
    }
    if "ge" in limits and "le" in limits:
        return base, f" from {limits['ge']} to {limits['le']}"
    return base, "".join(_LIMITS[name].format(limit) for name, limit in limits.items())


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _at(values: Mapping[str, Any], key: str) -> object:
    found: Any = values
    for part in key.split(".") if key else ():
        found = found[part]
    return found


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _given(value) if isinstance(value, Mapping) else value for key, value in values.items() if value != MISSING
    }


def _field(cls: Any, loc: Iterable[int | str]) -> tuple[str, Any]:
    """Key and type of the field at which pydantic stumbled; what it adds for unions and list items is cut off."""
    parts: list[str] = []
    hint = cls
    for part in loc:
        inner = inner_dataclass(hint)
        hints = hints_of(inner) if inner else {}
        if part not in hints:
            break
        parts.append(str(part))
        hint = hints[str(part)]
    return ".".join(parts), hint


def _wrong(hint: Any, key: str, value: object, detail: Any) -> str:
    """One line on a value that does not fit; `key` is the full one."""
    if detail["type"] == "value_error" and inner_dataclass(hint):
        # A dataclass has refused its own fields, and has named the one that is wrong.
        return ".".join(filter(None, [key, str(detail["ctx"]["error"])]))
    close = nearest(str(value), _choices(hint))
    return f"{key}={shown(value)}: must be {describe(hint)}" + (close if "did you mean" in close else "")


def _choices(hint: Any) -> list[str]:
    options = get_args(hint) if _is_union(hint) else (hint,)
    return [str(choice) for option in options if get_origin(option) is Literal for choice in get_args(option)]
