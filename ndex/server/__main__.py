"""`python -m ndex.server`: an embedded BOSS over a folder, until it is interrupted."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from .app import App
from .http import Server


def parser() -> argparse.ArgumentParser:
    parse = argparse.ArgumentParser(prog="python -m ndex.server", description="A small BOSS over one folder.")
    parse.add_argument("--root", type=Path, required=True, metavar="DIR", help="folder of the voxels and the catalogue")
    parse.add_argument("--port", type=int, default=0, metavar="N", help="0 (default): a free one")
    parse.add_argument("--host", default="127.0.0.1", help="address to listen on; default: only this machine")
    token = parse.add_mutually_exclusive_group(required=True)
    token.add_argument("--token", metavar="T", help="what clients must send; visible to other users of this machine")
    token.add_argument("--token-env", metavar="NAME", help="environment variable that holds the token")
    parse.add_argument("--read-only", action="store_true", help="refuse writes, create nothing; DIR may be absent")
    parse.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    return parse


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    token = options.token if options.token_env is None else os.environ.get(options.token_env)
    if not token:
        print(f"The token is empty: set the environment variable {options.token_env}.", file=sys.stderr)
        return 2
    try:
        app = App(options.root, token, read_only=options.read_only)
        server = Server(app, options.host, options.port)
    except (OSError, OverflowError) as error:
        print(f"Cannot serve {options.root} on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 2
    return serve(server, app, until_eof=options.until_eof)


def serve(server: Server, app: App, *, until_eof: bool) -> int:
    print(server.url, flush=True)
    if until_eof:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a batch system may send them to all; the parent finishes its tasks
    try:
        if until_eof:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            await_eof()
        else:
            server.serve_forever()
    except KeyboardInterrupt:
        return 130
    finally:
        app.close()
    return 0


def await_eof() -> None:
    """The parent holds the other end of the pipe; however it ends, the pipe ends with it."""
    while sys.stdin.buffer.read(1):
        pass


if __name__ == "__main__":
    sys.exit(main())
