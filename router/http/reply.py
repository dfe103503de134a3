"""The head of a reply from a replica: checked and made ready to be passed on. Pure."""

from __future__ import annotations

from router.http.head import HOP_BY_HOP, Framing, RawHeaders

_DROPPED = HOP_BY_HOP | {b"x-served-by", b"x-request-id"}


class BadReplyError(Exception):
    """The replica's reply breaks HTTP; the request fails with 502."""


class ReplyHead:
    """What is passed on of a reply's head. `lines` are header lines as one block."""

    __slots__ = ("framing", "keep_alive", "length", "lines", "status")

    status: int
    framing: Framing
    length: int
    keep_alive: bool
    lines: bytes


def parse_reply(status: int, version: str, raw: RawHeaders, method: bytes) -> ReplyHead:
    """Check and understand a reply head, by the rules of RFC 9112 section 6.3.

    `length` is the Content-Length to announce, -1 when there is none to announce. Raises
    `BadReplyError`.
    """
    if version not in ("1.1", "1.0"):
        raise BadReplyError(f"HTTP/{version} is not supported")
    head = ReplyHead()
    head.status = status
    head.keep_alive = version == "1.1"
    coding: bytes | None = None
    length = -1
    kept: list[bytes] = []
    connection: set[bytes] = set()
    for name, value in raw:
        key = name.lower()
        if key not in _DROPPED:
            kept.append(b"%b: %b\r\n" % (name, value))
        elif key == b"content-length":
            value = value.strip(b" \t")
            if length >= 0 or not value.isdigit() or len(value) > 18:
                raise BadReplyError("bad Content-Length")
            length = int(value)
        elif key == b"transfer-encoding":
            if coding is not None or value.lower().strip(b" \t") != b"chunked":
                raise BadReplyError("a transfer coding other than chunked")
            coding = value
        elif key == b"connection":
            connection.update(t.strip() for t in value.lower().split(b","))
    if connection:
        if b"close" in connection:
            head.keep_alive = False
        named = tuple(token + b":" for token in connection if token)
        kept = [line for line in kept if not line.lower().startswith(named)]
    if coding is not None and (length >= 0 or version == "1.0"):
        raise BadReplyError("Transfer-Encoding with Content-Length or on HTTP/1.0")
    head.lines = b"".join(kept)
    head.length = length
    if method == b"HEAD" or status in (204, 304) or status < 200:
        head.framing = Framing.NONE
        if status == 204 or status < 200:
            head.length = -1
    elif coding is not None:
        head.framing = Framing.CHUNKED
    elif length >= 0:
        head.framing = Framing.LENGTH if length else Framing.NONE
    else:
        head.framing = Framing.UNTIL_CLOSE
        head.keep_alive = False
    return head
