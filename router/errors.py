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


_SHED = {
    "connections": (503, "too_many_connections", "too many connections"),
    "delay": (503, "overloaded", "requests of this class have to wait too long"),
    "displaced": (503, "overloaded", "requests of a higher class have taken the place"),
    "lag": (503, "overloaded", "the gateway has too much to do"),
    "memory": (503, "overloaded", "the gateway is short of memory"),
    "queue_full": (503, "queue_full", "the queue is full"),
    "share": (429, "tenant_share", "this tenant has more than its share of the queue"),
}

SHED_CODES = frozenset(code for _, code, _ in _SHED.values())
"""Codes of requests there was no room for."""


def shed_refusal(reason: str, retry_after: int) -> Refusal:
    """The answer to a request there is no room for; `reason` is one of `SHED_REASONS`."""
    status, code, message = _SHED[reason]
    return Refusal(status, code, message, retry_after=retry_after)


_REASONS = {s.value: s.phrase.encode("ascii") for s in HTTPStatus}
STATUS_LINES = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, reason) for status, reason in _REASONS.items()
}


def status_line(status: int) -> bytes:
    """`HTTP/1.1 CODE Reason CRLF`."""
    line = STATUS_LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d \r\n" % status
