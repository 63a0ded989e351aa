"""An S3 of its own for the tests: moto's server as a process on loopback, one for all tests of a session."""

from __future__ import annotations

import atexit
import functools
import os
import re
import subprocess
import sys
import threading
from collections import deque
from typing import Any

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "wont-be-checked",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""So that no test asks for an account of this machine."""
os.environ.update(SETTINGS)  # for the whole session: processes of a pool live longer than a test
ADDRESS = re.compile(rb"Running on (http://\S+)")


@functools.cache
def endpoint() -> str:
    """The address of the server, started when it is first asked for; it ends with this process."""
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    atexit.register(server.wait)
    atexit.register(server.terminate)
    assert server.stderr is not None
    said: deque[bytes] = deque(maxlen=20)
    for line in server.stderr:
        said.append(line)
        if found := ADDRESS.search(line):
            # A line for each request: nobody else reads them, and a pipe that is full would stop the server.
            threading.Thread(target=deque, args=(server.stderr, 0), daemon=True).start()
            return found[1].decode()
    raise RuntimeError(b"".join(said).decode())


def client() -> Any:
    """To look into the buckets and to fill them."""
    import boto3  # of all tests, few pay for it

    return boto3.client("s3", endpoint_url=endpoint())


def new_bucket(name: str) -> str:
    client().create_bucket(Bucket=name)
    return name
