"""Pieces of what is said to users."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
