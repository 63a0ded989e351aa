"""Bodies of requests on a socket: read when wanted, drained when not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BufferedIOBase

from .messages import too_large

SCRATCH = 1 << 20
LINE_MAX = 1024


class Disconnected(Exception):
    """The client is gone, or sends what is no HTTP, in the middle of a body: there is nobody to answer."""


class SizedBody:
    """A body of a known length, none included."""

    def __init__(self, stream: BufferedIOBase, length: int, go_ahead: Callable[[], None]) -> None:
        self._stream = stream
        self._go_ahead = go_ahead
        self.left = length
        """Bytes still on the wire."""

    def read(self, limit: int) -> bytes:
        """All of it. Raises BossFault (413), Disconnected."""
        if self.left > limit:
            raise too_large(limit)
        if not self.left:
            return b""
        self._go_ahead()
        body = exactly(self._stream, self.left)
        self.left = 0
        return body

    def drain(self, limit: int) -> bool:
        """Read and forget the rest; False when that is more than `limit` bytes and was left."""
        if self.left > limit:
            return False
        while self.left:
            self.left -= len(exactly(self._stream, min(self.left, SCRATCH)))
        return True


class ChunkedBody:
    """A body that comes in chunks, each with its length before it."""

    def __init__(self, stream: BufferedIOBase, go_ahead: Callable[[], None]) -> None:
        self._stream = stream
        self._go_ahead = go_ahead
        self._ended = False

    def read(self, limit: int) -> bytearray:
        """Raises BossFault (413) as soon as there is more than `limit` bytes."""
        self._go_ahead()
        body = bytearray()
        for chunk in self._chunks():
            if len(body) + len(chunk) > limit:
                raise too_large(limit)
            body += chunk
        return body

    def drain(self, limit: int) -> bool:
        for chunk in self._chunks():
            limit -= len(chunk)
            if limit < 0:
                return False
        return True

    def _chunks(self) -> Iterator[bytes]:
        """Pieces no larger than SCRATCH. Raises Disconnected."""
        while not self._ended:
            left = self._chunk_size()
            self._ended = left == 0
            while left:
                piece = exactly(self._stream, min(left, SCRATCH))
                left -= len(piece)
                yield piece
            self._end_of_chunk()

    def _chunk_size(self) -> int:
        """The line before a chunk: hexadecimal digits, then perhaps extensions that mean nothing here."""
        digits = self._line().partition(b";")[0].strip()
        if not digits or len(digits) > 16 or digits.strip(b"0123456789abcdefABCDEF"):
            raise Disconnected
        return int(digits, 16)

    def _end_of_chunk(self) -> None:
        """An empty line; after the last chunk trailers may come before it."""
        while self._line().strip():
            if not self._ended:
                raise Disconnected

    def _line(self) -> bytes:
        try:
            line = self._stream.readline(LINE_MAX)
        except OSError as error:
            raise Disconnected from error
        if not line.endswith(b"\n"):
            raise Disconnected
        return line


def exactly(stream: BufferedIOBase, size: int) -> bytes:
    """The next `size` bytes, straight from the socket into memory that nobody has cleared. Raises Disconnected."""
    try:
        piece = stream.read(size)
    except OSError as error:
        raise Disconnected from error
    if len(piece) != size:
        raise Disconnected
    return piece
