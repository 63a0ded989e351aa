"""Which file is which plane: a place listed once, its names understood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice, pairwise
from math import gcd
from typing import TypeVar

from ...errors import JobError, Missing
from ...files import Files, Place
from ...geometry import Span
from ...job import Retry
from ...retry import with_retry
from .pattern import Pattern, natural

T = TypeVar("T")

SUFFIXES = (".tif", ".tiff", ".png")
"""Image files, where no pattern is given."""
CHECKED = 4096
"""Headers that are read before the plan; of more files an even sample, and the others when it is their turn."""
THREADS = 16
"""That read headers: on a network file system each of them waits."""
SHOWN = 3
"""How many names or numbers a message quotes."""


@dataclass(frozen=True)
class Listing:
    """The files of a volume."""

    names: Mapping[tuple[int, int], str]
    """By (t, z), in that order."""

    @property
    def times(self) -> Span:
        samples = {t for t, _ in self.names}
        return Span(min(samples), max(samples) + 1)

    @property
    def z(self) -> Span:
        planes = {z for _, z in self.names}
        return Span(min(planes), max(planes) + 1)

    def gaps(self, z: Span) -> Iterator[tuple[int, Span]]:
        """Time sample and planes of each run of `z` without a file."""
        present: dict[int, list[int]] = {t: [z.start - 1] for t in range(*self.times)}
        for t, at in sorted(self.names):
            if z.start <= at < z.stop:
                present[t].append(at)
        for t, planes in present.items():
            for before, after in pairwise([*planes, z.stop]):
                if after - before > 1:
                    yield t, Span(before + 1, after)


def list_planes(folder: Place, pattern: Pattern | str | None, z_step: int, key: str, retry: Retry) -> Listing:
    """The files of a folder that `pattern` names: by the number in the name, or, for a glob or None, by their order.

    Raises Missing when there is none, JobError when two files have the same number or the numbers do not fit `z_step`.
    """
    found = names_in(folder, retry)
    if isinstance(pattern, Pattern):
        names = _numbered(found, pattern, z_step, key)
    else:
        chosen = (name for name in found if _is_chosen(name, pattern))
        names = {(0, z): name for z, name in enumerate(sorted(chosen, key=natural))}
    if not names:
        raise Missing(f"{key}: {_what_is_there(folder, found)}")
    return Listing(dict(sorted(names.items())))


def names_in(folder: Place, retry: Retry, deep: bool = False) -> list[str]:
    """Names of all files, page by page, each page as patiently as `retry` says."""
    names: list[str] = []
    after: str | None = None
    while True:
        page = with_retry(retry, partial(folder.page, after, deep))
        names += page.names
        after = page.next
        if after is None:
            return names


def _is_chosen(name: str, glob: str | None) -> bool:
    return name.lower().endswith(SUFFIXES) if glob is None else fnmatchcase(name, glob)


def _numbered(found: Iterable[str], pattern: Pattern, z_step: int, key: str) -> dict[tuple[int, int], str]:
    names: dict[tuple[int, int], str] = {}
    phases: dict[int, str] = {}
    for name in sorted(found):
        numbers = pattern.match(name)
        if numbers is None:
            continue
        t, number = numbers
        phases.setdefault(number % z_step, name)
        if len(phases) > 1:
            one, other = sorted(phases.values())
            raise JobError(f"source.z_step={z_step}: the numbers of {one} and {other} are not a multiple of it apart.")
        at = t, number // z_step
        if at in names:
            one, other = sorted((names[at], name))
            raise JobError(f"{key}: {one} and {other} have the same number. Move one of them away.")
        names[at] = name
    return names


def _what_is_there(folder: Place, found: list[str]) -> str:
    if not found:
        return f"the folder {folder} has no files."
    shown = ", ".join(sorted(found, key=natural)[:SHOWN])
    more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    return f"no file in {folder} has such a name; it has {shown}{more}."


def check_complete(listing: Listing, z: Span, z_step: int, key: str) -> None:
    """Raises JobError naming the first missing planes of `z`."""
    first = list(islice(listing.gaps(z), SHOWN))
    if not first:
        return
    t = f" of time sample {first[0][0]}" if listing.times.size > 1 else ""
    planes = ", ".join(str(gap.start) if gap.size == 1 else f"{gap.start} to {gap.stop - 1}" for _, gap in first)
    stride = gcd(*(b[1] - a[1] for a, b in pairwise(listing.names)))
    remedy = (
        f"All numbers are {stride} apart: did you mean z_step={stride * z_step}?"
        if stride > 1
        else "Add the files, or set missing=fill to have black planes there."
    )
    raise JobError(f"{key}: there is no file for plane {planes}{t}. {remedy}")


def identity_of(folder: Files, names: str, **choices: object) -> str:
    """The same text for the same voxels: folder, names, and the settings that decide which voxel is where."""
    return f"{folder.resolved()}/{names}" + "".join(f" {key}={value}" for key, value in choices.items() if value)


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[i * (len(items) - 1) // (count - 1)] for i in range(count)]
