"""Replies from bytes, as simply as the proxies of the benchmark frame theirs. Pure."""

from __future__ import annotations

_END = b"\r\n\r\n"


class ReplyReader:
    """One connection's replies, one after another."""

    def __init__(self) -> None:
        self._got = b""
        self._body_at = -1
        self._length = -1
        """Of the body; -1: until the last chunk, or until the connection closes."""
        self._chunked = False
        self.status = 0
        self.agent = ""
        """What `X-Agent` says."""
        self.reusable = True
        """The connection stays open."""

    def feed(self, data: bytes) -> bool:
        """Whether the reply is whole now; then the next call begins another."""
        if self._body_at < 0:
            self.status = 0
        self._got += data
        if self._body_at < 0 and not self._head():
            return False
        if self._length >= 0:
            whole = len(self._got) >= self._body_at + self._length
        else:
            whole = self._chunked and self._got.endswith(b"0" + _END)
        if whole:
            self._got, self._body_at = b"", -1
        return whole

    def _head(self) -> bool:
        end = self._got.find(_END)
        if end < 0:
            return False
        head = self._got[:end].lower()
        self.status = int(head[9:12])
        self.agent = _field(head, b"x-agent").decode()
        length = _field(head, b"content-length")
        self._length = int(length) if length else -1
        self._chunked = b"chunked" in _field(head, b"transfer-encoding")
        self.reusable = b"close" not in _field(head, b"connection")
        self._body_at = end + len(_END)
        return True


def _field(head: bytes, name: bytes) -> bytes:
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return rest.split(b"\r\n", 1)[0].strip() if found else b""
