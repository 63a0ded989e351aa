"""Registers `${name:...}` with OmegaConf."""

from __future__ import annotations

from collections.abc import Callable

import omegaconf
from omegaconf import OmegaConf


def register(name: str, function: Callable[..., object], use_cache: bool = False) -> None:
    """Makes `${name:...}` known. With `use_cache` a configuration asks once, and so do the jobs of a sweep."""
    since = tuple(map(int, omegaconf.__version__.split(".")[:2]))
    resolver = getattr(OmegaConf, "register_resolver" if since >= (2, 4) else "register_new_resolver")
    resolver(name, function, replace=True, use_cache=use_cache)
