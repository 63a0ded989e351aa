"""Where a BOSS is, and which token opens it."""

from __future__ import annotations

import configparser
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import AccessError, JobError
from ..job import Boss

PUBLIC = "public"
"""The token of the anonymous reader (boss-api 2.1)."""

EMBEDDED_TOKEN = "NDEX_EMBEDDED_TOKEN"
"""Environment variable through which the runner hands the embedded BOSS's token to workers."""

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


@dataclass(frozen=True)
class Credentials:
    """A BOSS and a token for it; the token is in no repr."""

    protocol: str
    host: str
    token: str = field(repr=False)
    origin: str
    """Where the token comes from, as a user would look for it."""

    @property
    def url(self) -> str:
        return f"{self.protocol}://{self.host}"

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def find_credentials(boss: Boss, environ: Mapping[str, str] = os.environ) -> Credentials:
    """The address and the token that the settings `boss` lead to.

    The token is that of `token_file`, else of `config_file`, else of the environment, else the public one. Raises
    AccessError when a named file has none, when the token cannot be one, or when it would travel in clear; JobError
    when there is no usable host.
    """
    section = _config_section(boss.config_file) if boss.config_file else {}
    protocol = "http" if boss.embedded else section.get("protocol") or boss.protocol
    host = section.get("host") or boss.host
    token, origin = _token(boss, section, environ)
    _check_token(token, origin)
    return _checked(Credentials(protocol, spelled_once(host or "", protocol), token, origin))


def spelled_once(host: str, protocol: str) -> str:
    """The same text for the same host: in small letters, without what goes without saying."""
    name, colon, port = host.strip().rstrip("/").lower().partition(":")
    if name.startswith("["):  # an IPv6 address, which has colons of its own
        return host.strip().rstrip("/").lower()
    implied = {"https": "443", "http": "80"}.get(protocol)
    return name.removesuffix(".") + (f"{colon}{port}" if port != implied else "")


def _token(boss: Boss, section: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, str]:
    if boss.token_file:
        return _read(boss.token_file, "boss.token_file").strip(), f"boss.token_file={boss.token_file}"
    if boss.config_file:
        return section.get("token", ""), f"boss.config_file={boss.config_file}"
    name = EMBEDDED_TOKEN if boss.embedded else boss.token_env
    token = environ.get(name, "").strip()
    if token or boss.embedded:
        return token, f"the environment variable {name}"
    return PUBLIC, f"nowhere: {name} is not set, so the anonymous reader's was tried"


def _check_token(token: str, origin: str) -> None:
    if not token:
        raise AccessError(f"There is no token in {origin}. Put the token of your BOSS account there.")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise AccessError(
            f"The token in {origin} has a blank, a line break or a non-ASCII character inside. "
            "Copy it again, as one word."
        )


def _checked(found: Credentials) -> Credentials:
    if not found.host:
        raise JobError("boss.host is not set. Give the name of the BOSS, for example boss.host=api.bossdb.io.")
    if not _HOST.fullmatch(found.host):
        raise JobError(
            f"boss.host={found.host.rsplit('@')[-1]!r} must be a name with an optional port, like api.bossdb.io or "
            "localhost:8000; http or https goes into boss.protocol."
        )
    if found.protocol not in ("http", "https"):
        raise JobError(f"boss.protocol={found.protocol!r} must be https or http.")
    if found.protocol == "http" and found.token != PUBLIC and not found.loopback:
        raise AccessError(
            f"boss.protocol=http: the token would travel in clear to {found.host}. Use boss.protocol=https."
        )
    return found


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is this machine."""
    name = host.rsplit("]", 1)[0].lstrip("[") if host.startswith("[") else host.split(":", 1)[0]
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def _read(path: Path, key: str) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise AccessError(f"{key}={path} cannot be read: {reason}.") from None


def _config_section(path: Path) -> Mapping[str, str]:
    """The `[Default]` section of an INI file. Without interpolation, so that a `%` in a token stays one.

    What the parser says about a broken file quotes the line, which may be the token: it is not passed on.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(_read(path, "boss.config_file"))
    except configparser.Error:
        raise AccessError(f"boss.config_file={path} is not an INI file with [Default] protocol, host, token.") from None
    name = next((name for name in parser.sections() if name.lower() == "default"), parser.default_section)
    return {key: value.strip() for key, value in parser[name].items()}
