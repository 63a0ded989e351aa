"""What the two ends of a job take over from the job itself, as plain values before they are checked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .boss.credentials import spelled_once
from .errors import JobError
from .job import Boss, End, Job, Resource
from .job_file import MISSING
from .stores import KINDS, settings_of
from .validation import hints_of, marked_missing
from .wording import nearest

Values = dict[str, Any]

ROLES = ("source", "destination")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def settings_class(role: str, end: object) -> type[End]:
    """The settings of the kind that one end names. Raises JobError when no such kind can play that role."""
    kind = end.get("kind") if isinstance(end, Mapping) else None
    settings = settings_of(kind, role) if kind in KINDS else None
    if settings is None:
        valid = [name for name in KINDS if settings_of(name, role)]
        raise JobError(f"{role}.kind={kind}: there is no such kind of {role}{nearest(str(kind), valid)}")
    return settings


def complete(values: Mapping[str, Any]) -> Values:
    """The same values with each end standing on its own: its BOSS and resource whole, its path absolute.

    `resource` is None in the answer when it is not fully given and neither end asks for it.
    """
    ends = {role: _own_keys(role, values.get(role)) for role in ROLES}
    resource, boss = values.get("resource"), values.get("boss")
    wanted = False
    for end in ends.values():
        if end["kind"] != "boss":
            continue
        if isinstance(end.get("boss"), Mapping):
            end["boss"] = _over(_other_way(boss, end["boss"]), end["boss"])
        if isinstance(end.get("resource"), Mapping):
            end["resource"] = _over(resource, end["resource"])
        else:
            wanted = True
    if wanted and resource is None:
        resource = {}
    if not wanted and isinstance(resource, Mapping) and any(marked_missing(resource)):
        resource = None
    return {**values, **ends, "resource": resource}


def names_to_describe(values: Mapping[str, Any], resource: object) -> Values:
    """The names that are given, and the BOSS that has them: of the job's resource, else of an end's own."""
    places = [{"resource": resource}, *(values[role] for role in ROLES)]
    for place in places:
        own = place.get("resource")
        given = own if isinstance(own, Mapping) else {}
        names = {key: given.get(key) for key in ("collection", "experiment", "channel")}
        names = {key: name for key, name in names.items() if name not in (None, MISSING)}
        if names:
            return {**names, "boss": place.get("boss")}
    return {}


def _own_keys(role: str, end: object) -> Values:
    """One end without the keys that only its default group had: `source: {kind: images}` alone replaces the kind."""
    fields = hints_of(settings_class(role, end))
    assert isinstance(end, Mapping)
    kept = {key: value for key, value in end.items() if value is not None or key in fields}
    if isinstance(kept.get("path"), str) and kept["path"] != MISSING:
        kept["path"] = absolute(kept["path"])
    return kept


def absolute(path: str) -> str:
    """A path as seen from the directory of the command; `~` is the home, what has a scheme (s3://) stays."""
    return path if SCHEME.match(path) else str(Path(os.path.expanduser(path)).absolute())


def _over(base: object, given: Mapping[str, Any]) -> Values:
    """`given` laid over `base`, mappings inside as well; what is still `???` covers nothing."""
    merged = dict(base) if isinstance(base, Mapping) else {}
    for key, value in given.items():
        if isinstance(value, Mapping):
            merged[key] = _over(merged.get(key), value)
        elif value != MISSING or key not in merged:
            merged[key] = value
    return merged


def _other_way(boss: object, given: Mapping[str, Any]) -> Values:
    """The job's BOSS without what would contradict an end's own: a host there, an embedded one here, or the reverse.
    A token is for one host: an end that names another one does not take it over."""
    base = dict(boss) if isinstance(boss, Mapping) else {}
    host = given.get("host")
    dropped: tuple[str, ...] = ()
    if host and host != base.get("host"):
        dropped = ("host", "protocol", "root", "token_env", "token_file", "config_file")
    elif given.get("config_file"):
        dropped = ("root", "token_file", *(["protocol"] if base.get("root") else []))
    elif given.get("root"):
        dropped = ("host", "config_file")
    return {key: value for key, value in base.items() if key not in dropped}


def check_ends(job: Job) -> None:
    """Raises JobError when an end cannot be reached as it is written, when a job would copy onto itself, or when a
    token would go to two hosts."""
    source, destination = _boss_of(job, job.source), _boss_of(job, job.destination)
    for role, boss in (("source", source), ("destination", destination)):
        if boss is not None:
            _check_boss(boss, "boss" if boss is job.boss else f"{role}.boss")
    if source is None or destination is None or job.action in ("describe", "create"):
        return
    if _address(source) != _address(destination):
        _check_tokens(source, destination)
    elif _where(job, job.source) == _where(job, job.destination):
        raise JobError(
            "source and destination are the same resource; name another source (source=images source.path=FOLDER) or "
            "another destination (destination=images destination.path=FOLDER)"
        )


def _boss_of(job: Job, end: End) -> Boss | None:
    return (getattr(end, "boss", None) or job.boss) if end.kind == "boss" else None


def _address(boss: Boss) -> object:
    """The same for the same BOSS, however it is written."""
    return boss.root.resolve() if boss.root else (spelled_once(boss.host or "", boss.protocol), boss.config_file)


def _where(job: Job, end: End) -> object:
    """The channel and its level; a BOSS takes names in capitals for the same (boss-api 17)."""
    resource: Resource | None = getattr(end, "resource", None) or job.resource
    return resource and (str(resource).lower(), resource.resolution)


def _check_tokens(source: Boss, destination: Boss) -> None:
    if source.embedded or destination.embedded:
        return
    tokens = [(boss.token_env, boss.token_file, boss.config_file) for boss in (source, destination)]
    if tokens[0] == tokens[1]:
        where = source.token_file or source.config_file or source.token_env
        raise JobError(
            f"source.boss: {source.host} and {destination.host} would both be sent the token in {where}. Give each its "
            "own: source.boss.token_env=VARIABLE (one that is not set reads public data)"
        )


def _check_boss(boss: Boss, key: str) -> None:
    given = "host" if boss.host else "config_file" if boss.config_file else None
    if boss.embedded and given:
        raise JobError(
            f"{key}.{given}={getattr(boss, given)}: the embedded BOSS is chosen ({key}.root={boss.root}); "
            f"add boss=custom to reach another one"
        )
    if not boss.embedded and not given:
        raise JobError(f"missing: {key}.host, or {key}.config_file with a host in it")
