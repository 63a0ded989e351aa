"""Pieces of what is said to users."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from rich.filesize import decimal


def nearest(word: str, valid: Iterable[str], prefix: str = "") -> str:
    """The end of a refusal: the likeliest of the valid names, else all of them."""
    names = sorted(valid)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {prefix}{close[0]}?"
    return "; there is " + ", ".join(prefix + name for name in names) if names else ""


def shown(value: object) -> str:
    """A value as the user would type it, cut to a readable length."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def megabytes(nbytes: float) -> str:
    """A size with the unit that suits it."""
    return decimal(round(nbytes))


def duration(seconds: float) -> str:
    """A time in its two largest units: `3 d 4 h`, `2 min`, `40 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes >= 10 else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def counted(number: int, noun: str) -> str:
    """`1 task`, `1,234 tasks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
