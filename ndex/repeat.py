"""A job as the values of a job file that repeats it; a journal keeps them, and reports show them.

Paths are absolute. There are no secrets among them, since a job never holds any: only where a token is found.
"""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import TypeAdapter

from .job import Job


def values_of(job: Job) -> dict[str, Any]:
    """Every key of the job with its value. The name is not among them: it is that of the file."""
    values: dict[str, Any] = TypeAdapter(Job).dump_python(job, mode="json", serialize_as_any=True)
    del values["name"]
    for place in (values, values["source"], values["destination"]):
        if place.get("boss") and place["boss"]["root"]:
            place["boss"]["host"] = None  # of the embedded server, which has another address each time
        if place.get("resource"):
            place["resource"]["channels_file"] = None  # this is the job of one of them
    return values


def as_yaml(job: Job) -> str:
    """The text of the job file."""
    text = yaml.safe_dump(values_of(job), sort_keys=False, default_flow_style=None, width=120)
    return f"# The job {job.name}, with every key as it was.\n{text}"
