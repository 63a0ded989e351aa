"""A file that is read in ranges gives the same bytes as one on the disk, for few requests."""

from __future__ import annotations

import io
import os
from io import BufferedReader

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ndex.files.ranges import FIRST, GROWTH, LARGEST, Part, RangedFile


class Remote:
    """Bytes at the other end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int | None]] = []
        self.version = "one"

    def get(self, start: int, size: int | None, tag: str | None) -> Part:
        assert tag in (None, self.version)
        assert start < len(self.data), "no request for what is not there"
        self.asked.append((start, size))
        stop = None if size is None else start + size
        return Part(self.data[start:stop], start, len(self.data), self.version)

    def opened(self) -> BufferedReader:
        return BufferedReader(RangedFile(self.get))


def some(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 300_000)),
        st.tuples(st.just("seek"), st.integers(0, 300_000)),
        st.tuples(st.just("end"), st.integers(-300_000, 0)),
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([1, FIRST - 1, FIRST, FIRST + 1, 250_000]), steps)
def test_any_order_of_reads_gives_what_a_file_gives(size: int, steps: list[tuple[str, int]]) -> None:
    remote = Remote(some(size))
    plain = io.BytesIO(remote.data)
    with remote.opened() as file:
        for kind, number in steps:
            if kind == "read":
                assert file.read(number) == plain.read(number)
            elif kind == "seek":
                assert file.seek(number) == plain.seek(number)
            else:
                back = max(number, -size)
                assert file.seek(back, os.SEEK_END) == plain.seek(back, os.SEEK_END)
            assert file.tell() == plain.tell()


def test_reading_from_front_to_back_asks_for_more_and_more() -> None:
    remote = Remote(some(20 << 20))
    with remote.opened() as file:
        pieces = list(iter(lambda: file.read(10_000), b""))
    assert b"".join(pieces) == remote.data
    assert [size for _, size in remote.asked] == [FIRST, FIRST * GROWTH, LARGEST, LARGEST, LARGEST]


def test_a_jump_is_cheap() -> None:
    remote = Remote(some(20 << 20))
    with remote.opened() as file:
        for at in (0, 10 << 20, 15 << 20):
            file.seek(at)
            file.read(100)
    assert [size for _, size in remote.asked] == [FIRST] * 3


def test_a_directory_at_the_end_is_read_backwards_in_one_request() -> None:
    remote = Remote(some(20 << 20))
    with remote.opened() as file:
        file.read(8)
        for back in (100, 2000, 50_000):
            assert file.seek(-back, os.SEEK_END)
            assert file.read(100) == remote.data[len(remote.data) - back :][:100]
        file.seek(0)
        file.read(8)
    assert len(remote.asked) == 2


def test_the_whole_file_is_one_request_after_the_header() -> None:
    remote = Remote(some(20 << 20))
    with remote.opened() as file:
        file.read(8)
        file.seek(0)
        assert file.read() == remote.data
        assert file.read() == b""
    assert remote.asked == [(0, FIRST), (FIRST, None)]


def test_it_is_one_version_that_is_read() -> None:
    remote = Remote(some(1 << 20))
    file = remote.opened()
    file.read(8)
    remote.version = "two"
    with pytest.raises(AssertionError):
        file.read()
