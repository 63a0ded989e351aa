"""The command `ndex`."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from . import __version__

INTERRUPTED = 130
INTRO = f"""\
ndex {__version__} moves brain volumes into and out of the BOSS. Try:

  ndex job=demo                 upload real sections into a BOSS of its own on this machine, verify every voxel
  ndex job=demo action=plan     say what that would do, touch nothing
  ndex --help                   examples, settings, and the topics of ndex --help TOPIC
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code: 0 done, 1 something failed, 2 a wrong job, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        print(INTRO, end="")
        return 0
    if "--version" in arguments:
        print(f"ndex {__version__}")
        return 0
    if set(arguments) <= {"--help", "-h"}:
        from .topics import overview

        print(overview())
        return 0
    gc.disable()  # nothing of what is imported and composed is garbage, and looking for it takes a tenth of the time
    try:
        with _termination_as_interrupt():
            from .command import run_command  # Hydra takes a quarter of a second, which the intro need not wait for

            code = run_command(arguments)
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        gc.enable()
    if code and argv is None:
        _leave_threads_behind(code)
    return code


def _leave_threads_behind(code: int) -> None:
    """Ends the process if threads are still at work after an interrupt or a bug: Python would wait for them, and a
    request that nobody answers takes its time. Child processes, of a launcher perhaps, end with it."""
    if threading.active_count() > 1:
        import multiprocessing  # not for every start

        for child in multiprocessing.active_children():  # those of loky have no kill(), and ignore SIGTERM
            if child.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """SIGTERM, which batch systems send before they kill, ends a job as Ctrl-C does: in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
