"""Messages to a channel of Slack, through its web API."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .boss.credentials import is_loopback
from .errors import AccessError, JobError
from .job import Notify

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web import SlackResponse

TIMEOUT = 5
"""Seconds without an answer of Slack before a message is given up."""
LONGEST_WAIT = 30.0
"""Seconds to wait at most when Slack says that it gets too many messages."""

_log = logging.getLogger("ndex")


@dataclass(frozen=True)
class Message:
    text: str
    log: str = ""
    """Goes along as a file."""


class Sender:
    """Messages to Slack's web API. Sending never raises; the first failure is logged, the others would say the same."""

    def __init__(self, notify: Notify, token: str, pause: Callable[[float], None] = time.sleep) -> None:
        """Raises JobError when no channel is named."""
        if notify.channel is None:
            raise JobError("notify.channel is not set: name the Slack channel.")
        self._channel = notify.channel
        self._token = token
        self._client = _client(token, notify.base_url)
        self._pause = pause
        self._complained = False

    def __call__(self, message: Message) -> None:
        try:
            self._send(message)
        except Exception as error:  # of Slack, its library, the network: none of them may reach the transfer
            if not self._complained:
                reason = _reason(error).replace(self._token, "***")
                _log.warning("Slack was not told: %s. If this goes on, it is not logged again.", reason)
            self._complained = True

    def _send(self, message: Message) -> None:
        posted = self._patiently(
            lambda: self._client.chat_postMessage(
                channel=self._channel, text=message.text, unfurl_links=False, unfurl_media=False
            )
        )
        if message.log:
            # Files go to the ID of a channel, which may have been given by name; the answer holds it.
            thread = {"channel": posted["channel"], "thread_ts": posted["ts"]}
            self._patiently(lambda: self._client.files_upload_v2(filename="ndex.log", content=message.log, **thread))

    def _patiently(self, send: Callable[[], SlackResponse]) -> SlackResponse:
        """Once more after the wait that Slack asks for when it gets too many messages."""
        from slack_sdk.errors import SlackApiError

        try:
            return send()
        except SlackApiError as error:
            if getattr(error.response, "status_code", None) != 429:
                raise
            self._pause(_wait_asked_for(error))
            return send()


def find_token(notify: Notify, environ: Mapping[str, str] = os.environ) -> str:
    """The token that the settings lead to. Raises AccessError when there is none, or when it would travel in clear."""
    origin = f"notify.token_file={notify.token_file}" if notify.token_file else f"notify.token_env={notify.token_env}"
    try:
        found = notify.token_file.read_text("utf-8-sig") if notify.token_file else environ.get(notify.token_env, "")
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(f"{origin} cannot be read: {getattr(error, 'strerror', None) or 'not a text'}.") from None
    token = found.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise AccessError(
            f"{origin}: there is no token for Slack. Put one there, as one word, or take notify=none for no messages."
        )
    address = urlsplit(notify.base_url or "https://")
    if address.scheme != "https" and not is_loopback(address.netloc):
        raise JobError(f"notify.base_url={notify.base_url}: the token would travel in clear. Use https.")
    return token


def _client(token: str, base_url: str | None) -> WebClient:
    from slack_sdk import WebClient

    # Its log would repeat every failure; its retries would sleep.
    silent = logging.Logger("slack", logging.CRITICAL + 1)
    return WebClient(token, base_url or WebClient.BASE_URL, TIMEOUT, logger=silent, retry_handlers=[])


def _reason(error: Exception) -> str:
    """What went wrong, in a line."""
    from slack_sdk.errors import SlackApiError

    if isinstance(error, SlackApiError):
        data = error.response.data
        said = data.get("error") if isinstance(data, dict) else None
        return " ".join(f"it answered {said or error.response.status_code}".split())
    return f"{type(error).__name__}: {getattr(error, 'reason', None) or 'no answer'}"


def _wait_asked_for(error: SlackApiError) -> float:
    headers = {name.lower(): value for name, value in error.response.headers.items()}
    asked = str(headers.get("retry-after", ""))
    return min(float(asked) if asked.isdecimal() else 1.0, LONGEST_WAIT)
