"""Replies as bytes for an HTTP/1.x client. Pure."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from time import time

from router.errors import STATUS_LINES, Refusal, status_line
from router.http.head import Framing
from router.http.reply import ReplyHead

CLOSE = b"Connection: close\r\n"
KEEP_ALIVE = b"Connection: keep-alive\r\n"
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
LAST_CHUNK = b"0\r\n\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"


def body_framing(head: ReplyHead, minor: int) -> Framing:
    """How the end of the body is told to a client of HTTP/1.`minor`."""
    framing = head.framing
    if framing is Framing.CHUNKED or framing is Framing.UNTIL_CLOSE:
        return Framing.CHUNKED if minor == 1 else Framing.UNTIL_CLOSE
    return framing


def interim_head(head: ReplyHead) -> bytes:
    """A 1xx reply as passed on (RFC 9110 section 15.2)."""
    return b"%b%b\r\n" % (status_line(head.status), head.lines)


def switch_head(head: ReplyHead, extra: bytes) -> bytes:
    """The head that opens a tunnel, with `extra` header lines."""
    return b"%b%b%b%b\r\n" % (status_line(head.status), head.lines, extra, _UPGRADE)


def reply_head(head: ReplyHead, framing: Framing, extra: bytes, connection: bytes) -> bytes:
    """A replica's reply head as passed on, with `extra` header lines and the one that says what
    becomes of the connection.
    """
    line = STATUS_LINES.get(head.status) or status_line(head.status)
    if framing is Framing.CHUNKED:
        last = _CHUNKED
    elif framing is not Framing.UNTIL_CLOSE and head.length >= 0:
        last = b"Content-Length: %d\r\n" % head.length
    else:
        last = b""
    return b"%b%b%b%b%b\r\n" % (line, head.lines, extra, last, connection)


def refusal_head(refusal: Refusal, length: int, request_id: bytes, connection: bytes) -> bytes:
    """The head of a reply the gateway makes itself, with a JSON body of `length` bytes."""
    lines = [
        status_line(refusal.status),
        b"Date: %b\r\nX-Request-Id: %b\r\n" % (_date(int(time())), request_id),
    ]
    if refusal.status != 204:
        lines.append(b"Content-Type: application/json\r\nContent-Length: %d\r\n" % length)
    if refusal.retry_after is not None:
        lines.append(b"Retry-After: %d\r\n" % refusal.retry_after)
    if refusal.allow is not None:
        lines.append(b"Allow: %b\r\n" % refusal.allow)
    lines.append(connection)
    lines.append(b"\r\n")
    return b"".join(lines)


@lru_cache(maxsize=1)
def _date(now: int) -> bytes:
    """The value of Date; made once a second, since it takes 3 microseconds."""
    return formatdate(now, usegmt=True).encode()
