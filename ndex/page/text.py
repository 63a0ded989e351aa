"""Text for the page: nothing in it can become markup, and nothing that looks like a token gets into it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence

TOKEN = re.compile(
    r"(?<![0-9a-z])[0-9a-f]{40}(?![0-9a-z])|xox[a-z]-[\w-]+|(?<=//)[^/\s@]+:[^/\s@]+(?=@)", re.IGNORECASE
)
"""What the tokens of a BOSS and of Slack look like, and a user with a password in an address."""


def text(value: object) -> str:
    """For between tags and in quoted attributes."""
    return html.escape(TOKEN.sub("***", str(value)))


def table(rows: Sequence[tuple[str, object]]) -> str:
    """Two columns; a list takes a line for each entry, and rows without a value are left out."""
    kept = ((key, value) for key, value in rows if value not in (None, "", ()))
    lines = (f"<tr><th>{text(key)}</th><td>{_cell(value)}</td></tr>" for key, value in kept)
    return f"<table>{''.join(lines)}</table>"


def _cell(value: object) -> str:
    return "<br>".join(map(text, value)) if isinstance(value, tuple) else text(value)


def script_data(value: object) -> str:
    """JSON that can stand inside a <script>."""
    return json.dumps(value).replace("<", "\\u003c")
