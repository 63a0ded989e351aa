"""Has a BOSS build the lower resolutions of a channel, and waits for them where that is asked (boss-api 10)."""

from __future__ import annotations

from ..errors import PermanentError
from ..volume import Pause, Say
from .client import BossClient
from .derived import TO_BE_ASKED_FOR
from .records import Channel

UNDER_WAY = ("QUEUED", "IN_PROGRESS")
POLL_SECONDS = 30.0
"""Between two questions: a BOSS works for minutes to days, on one channel at a time."""
SAID_EVERY = 20
"""Questions after which an unchanged state is told again."""


def ask_for_levels(client: BossClient, channel: Channel, say: Say) -> bool:
    """Start the downsampling unless it runs or is done; whether there is something to wait for.

    Raises AccessError when the token may not, PermanentError when the BOSS will not, for instance since the frame is
    too large.
    """
    status = client.downsample_status(channel).status
    if status in TO_BE_ASKED_FOR:
        status = _start(client, channel)
        say(f"Asked for the lower resolutions of {channel}.")
    if status == "DOWNSAMPLED":
        say(f"The lower resolutions of {channel} are there. A BOSS does not renew them where voxels change afterwards.")
    return status in UNDER_WAY


def _start(client: BossClient, channel: Channel) -> str:
    """The status after asking. A refusal (409) is none when somebody else, such as another shard, asked meanwhile."""
    try:
        client.start_downsample(channel)
    except PermanentError:
        status = client.downsample_status(channel).status
        if status in TO_BE_ASKED_FOR:
            raise
        return status
    return "QUEUED"


def await_levels(client: BossClient, channel: Channel, say: Say, pause: Pause, poll: float = POLL_SECONDS) -> None:
    """Wait until the lower resolutions are there, or the job is stopped. Raises PermanentError when they fail."""
    said, polls = "", 0
    while (status := client.downsample_status(channel).status) in UNDER_WAY:
        if status != said or polls % SAID_EVERY == 0:
            said = status
            say(f"The lower resolutions of {channel} are {_in_words(status)}, {polls * poll / 60:.0f} min so far.")
        if pause(poll):
            say(f"Not waiting any longer for the lower resolutions of {channel}; the BOSS goes on by itself.")
            return
        polls += 1
    if status != "DOWNSAMPLED":
        raise PermanentError(f"the lower resolutions of {channel} were not built: the BOSS says {status}.")
    say(f"The lower resolutions of {channel} are there.")


def _in_words(status: str) -> str:
    return status.lower().replace("_", " ")
