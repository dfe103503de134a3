"""Replies the gateway makes itself, and the form of their bodies.

Every such reply is JSON: `{"error": {"code", "message", "request_id"}}`. `code` is stable and
says whose side the fault is on by the status it comes with: 4xx the client's, 502 and 504 the
replica's, 503 lack of room.
"""

from __future__ import annotations

from http import HTTPStatus

from msgspec.json import Encoder

_encode = Encoder().encode


class Refusal(Exception):  # noqa: N818 - an answer to give, not a failure of ours
    """A request answered by the gateway instead of a replica."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: int | None = None,
        allow: bytes | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.allow = allow

    def body(self, request_id: bytes) -> bytes:
        """The JSON body; none when the status allows none."""
        if self.status == 204:
            return b""
        error = {"code": self.code, "message": self.message, "request_id": request_id.decode()}
        return _encode({"error": error}) + b"\n"


_REASONS = {s.value: s.phrase.encode("ascii") for s in HTTPStatus}
STATUS_LINES = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, reason) for status, reason in _REASONS.items()
}


def status_line(status: int) -> bytes:
    """`HTTP/1.1 CODE Reason CRLF`."""
    line = STATUS_LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d \r\n" % status
