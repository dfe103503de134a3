"""The head of a reply from a replica: checked and made ready to be passed on. Pure."""

from __future__ import annotations

from router.errors import Refusal
from router.http.grammar import RawHeaders
from router.http.head import Framing
from router.http.names import HOP_BY_HOP, PROTECTED

_DROPPED = HOP_BY_HOP | {b"x-served-by", b"x-request-id"}
_UNNAMED = PROTECTED | HOP_BY_HOP | {b"close", b"location", b"set-cookie", b"www-authenticate"}
"""What a replica may name in Connection without another field being dropped for it."""


class ReplyHead:
    """What is passed on of a reply's head. `lines` are header lines as one block."""

    __slots__ = ("framing", "keep_alive", "length", "lines", "status")

    status: int
    framing: Framing
    length: int
    keep_alive: bool
    lines: bytes


def parse_reply(
    status: int, minor: int, raw: RawHeaders, method: bytes, *, websocket: bool = False
) -> ReplyHead:
    """Check and understand the head of an HTTP/1.`minor` reply (RFC 9112 section 6.3).

    `length` is the Content-Length to announce, -1 when there is none to announce; `websocket`:
    101 may answer the request. Raises `Refusal` (502).
    """
    head = ReplyHead()
    head.status = status
    head.keep_alive = minor == 1
    coding: bytes | None = None
    length = -1
    upgrade = b""
    lines: list[bytes] = []
    connection: set[bytes] = set()
    for name, value in raw:
        key = name.lower()
        if key not in _DROPPED:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif key == b"content-length":
            value = value.strip(b" \t")
            if length >= 0 or not value.isdigit() or len(value) > 18:
                raise _bad("bad Content-Length")
            length = int(value)
        elif key == b"transfer-encoding":
            if coding is not None or value.lower().strip(b" \t") != b"chunked":
                raise _bad("a transfer coding other than chunked")
            coding = value
        elif key == b"connection":
            connection.update(t.strip(b" \t") for t in value.lower().split(b","))
        elif key == b"upgrade":
            upgrade = value.strip(b" \t").lower()
    if connection:
        if b"close" in connection:
            head.keep_alive = False
        drop = connection - _UNNAMED
        if drop:
            drop |= _DROPPED
            lines = [b"%b: %b\r\n" % (n, v) for n, v in raw if n.lower() not in drop]
    if coding is not None and (length >= 0 or minor == 0):
        raise _bad("Transfer-Encoding with Content-Length or on HTTP/1.0")
    if status == 101 and not (
        websocket and upgrade == b"websocket" and b"upgrade" in connection and minor == 1
    ):
        raise _bad("a switch of protocols that was not asked for")
    head.lines = b"".join(lines)
    head.length = length
    if method == b"HEAD" or status in (204, 304) or status < 200:
        head.framing = Framing.NONE
        if status == 204 or status < 200:
            head.length = -1
        if status == 204 and (coding is not None or length > 0):
            # forbidden (RFC 9110 section 8.6, RFC 9112 section 6.1): what it announces may follow
            head.keep_alive = False
    elif coding is not None:
        head.framing = Framing.CHUNKED
    elif length >= 0:
        head.framing = Framing.LENGTH if length else Framing.NONE
    else:
        head.framing = Framing.UNTIL_CLOSE
        head.keep_alive = False
    return head


def _bad(message: str) -> Refusal:
    return Refusal(502, "bad_reply", message)
