"""What goes wrong on the wire, by name: one request and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import blosc
import numpy as np
from proxy import Answer, Exchange, Fault

HTML = b"<html><body>planned maintenance</body></html>"
GIGABYTES = 2_000_000_000


def refusal(status: int, code: int = 0, message: str = "no", **headers: str) -> Answer:
    """An application error of a BOSS (boss-api 3.1)."""
    body = json.dumps({"status": status, "code": code, "message": message}).encode()
    return Answer(status, body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def answering(name: str, answer: Answer) -> Fault:
    """The BOSS never sees the request."""
    return Fault(name, lambda exchange: answer)


def changing(name: str, change: Callable[[Answer], Answer]) -> Fault:
    """The BOSS does as it is told, but its answer does not arrive as it was."""
    return Fault(name, lambda exchange: change(exchange.forward()))


def page(status: int, **headers: str) -> Answer:
    return Answer(status, HTML, "text/html", {name.replace("_", "-"): value for name, value in headers.items()})


def reframed(answer: Answer, change: Callable[[np.ndarray], np.ndarray]) -> Answer:
    """Another array in a sound frame."""
    array = np.frombuffer(blosc.decompress(answer.body), np.uint8).copy()
    return replace(answer, body=blosc.compress(change(array).tobytes(), typesize=1))


def one_voxel_off(array: np.ndarray) -> np.ndarray:
    array[len(array) // 2] ^= 1
    return array


def longer(answer: Answer, by: int) -> Answer:
    """By what Content-Length says."""
    return replace(answer, length=len(answer.body) + by, end="close")


def claiming(answer: Answer, nbytes: int) -> Answer:
    """The frame says that it holds so many bytes of voxels."""
    return replace(answer, body=answer.body[:4] + nbytes.to_bytes(4, "little") + answer.body[8:])


def damaged(answer: Answer) -> Answer:
    """The second half of the frame is noise, which no decoder takes."""
    half = max(20, len(answer.body) // 2)
    return replace(answer, body=answer.body[:half] + b"\xff" * (len(answer.body) - half))


def changed_write(exchange: Exchange) -> Answer:
    """What is stored differs in one voxel."""
    array = np.frombuffer(blosc.decompress(exchange.body), np.uint8).copy()
    body = blosc.compress(one_voxel_off(array).tobytes(), typesize=1)
    return replace(exchange, headers={**exchange.headers, "Content-Length": str(len(body))}).forward(body)


def twice(exchange: Exchange) -> Answer:
    exchange.forward()
    return exchange.forward()


BROKEN = Answer(0, silent=True, end="reset")

RESET_AT_ONCE = Fault("reset before the request is taken", lambda exchange: BROKEN, taken=0)
RESET_IN_REQUEST = Fault("reset in the middle of the request", lambda exchange: BROKEN, taken=0.5)
RESET_BEFORE_ANSWER = changing("reset before the answer", lambda answer: BROKEN)
RESET_IN_ANSWER = changing("reset in the middle of the answer", lambda answer: replace(answer, share=0.5, end="reset"))
CLOSED = Fault("closed without an answer", lambda exchange: Answer(0, silent=True, end="close"))
STALL = Fault("stall before the answer", lambda exchange: Answer(0, silent=True, end="stall"))
STALL_IN_ANSWER = changing("stall in the middle of the answer", lambda answer: replace(answer, share=0.5, end="stall"))
TRUNCATED = changing("body cut short", lambda answer: replace(answer, length=len(answer.body), share=0.5, end="close"))
TOO_LONG = changing("Content-Length too large", lambda answer: longer(answer, 9))
TOO_SHORT = changing("Content-Length too small", lambda answer: longer(answer, -9))
HUGE = changing("Content-Length of gigabytes", lambda answer: longer(answer, 4 * GIGABYTES))
NO_BLOSC = changing("wrong media type", lambda answer: replace(answer, media="application/octet-stream"))
DAMAGED = changing("bytes of the frame corrupted", damaged)
BOMB = changing("frame claims gigabytes", lambda answer: claiming(answer, GIGABYTES))
OTHER_SHAPE = changing("frame of another shape", lambda answer: reframed(answer, lambda array: array[:-64]))
OTHER_DTYPE = changing("frame of another dtype", lambda answer: reframed(answer, lambda array: array.astype(np.uint16)))
EMPTY_BODY = changing("empty body", lambda answer: replace(answer, body=b""))
MAINTENANCE = answering("HTML with status 200", page(200))
S500 = answering("500", refusal(500))
S502 = answering("502", page(502))
S503 = answering("503", page(503))
S503_LATER = answering("503 with Retry-After", page(503, Retry_After="7"))
S504 = answering("504", page(504))
S9001 = answering("400/9001", refusal(400, 9001, "An error occurred in redis"))
TWICE = Fault("delivered twice", twice)

DROPPED = answering("write dropped after 201", Answer(201))
CHANGED = Fault("write stored with one voxel changed", changed_write)
VOXEL_OFF = changing("answer with one voxel changed", lambda answer: reframed(answer, one_voxel_off))

ANY = (
    *(RESET_AT_ONCE, RESET_BEFORE_ANSWER, CLOSED, MAINTENANCE),
    *(S500, S502, S503, S503_LATER, S504),
)
"""May happen to every request for voxels; each costs one request more."""
READS = (
    *ANY, RESET_IN_ANSWER, TRUNCATED, TOO_LONG, TOO_SHORT, HUGE,
    *(NO_BLOSC, DAMAGED, BOMB, OTHER_SHAPE, OTHER_DTYPE, EMPTY_BODY),
)  # fmt: skip
WRITES = (*ANY, RESET_IN_REQUEST, S9001)
QUESTIONS = (RESET_AT_ONCE, RESET_BEFORE_ANSWER, RESET_IN_ANSWER, TRUNCATED, MAINTENANCE, S500, S503)
"""May happen to every request for JSON."""
