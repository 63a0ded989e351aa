"""A file of channel names as a sweep over them: `resource.channels_file`."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from .composing import SWEEP, channels_file
from .errors import JobError, Missing


def with_channels(arguments: list[str], shared: DictConfig) -> list[str]:
    """The command line with a job for each channel, where what its jobs share names a file of channels; else as it is.

    Raises JobError for a file that is not one name a line.
    """
    path = channels_file(shared, arguments)
    if path is None:
        return arguments
    names = ",".join(f"'{name}'" for name in read_names(Path(path)))
    return [*arguments, *([] if set(SWEEP) & set(arguments) else SWEEP[:1]), f"resource.channel={names}"]


def read_names(path: Path) -> list[str]:
    """The channels that a file names, one a line; blank lines and # comments are left out.

    Raises Missing when there is no such file, JobError when a name cannot be one or comes twice.
    """
    try:
        text = path.expanduser().read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise Missing(f"resource.channels_file={path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise JobError(f"resource.channels_file={path} cannot be read: {reason}") from None
    from .boss.places import is_name  # brings numpy, which most commands do not need so early

    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    names = [name for name in lines if name]
    if not names:
        raise JobError(f"resource.channels_file={path} names no channel; it holds one a line")
    for number, name in enumerate(lines, 1):
        if name and not is_name(name):  # not repeated: the file may be another one than was meant
            raise JobError(
                f"resource.channels_file={path}, line {number}: a channel's name consists of 1 to 255 of the "
                "characters A-Z, a-z, 0-9, '_' and '-'"
            )
        if names.count(name) > 1:
            raise JobError(f"resource.channels_file={path} names the channel {name} twice")
    return names
