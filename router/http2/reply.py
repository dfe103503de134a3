"""Replies as header lists of HTTP/2. Pure."""

from __future__ import annotations

from router.errors import Refusal
from router.http.encode import refusal_head
from router.http.reply import ReplyHead
from router.http2.hpack import Fields

_ACCEPT = b"sec-websocket-accept"


def reply_fields(head: ReplyHead, extra: bytes) -> Fields:
    """A replica's reply head, with `extra` header lines."""
    fields = [(b":status", b"%d" % head.status)]
    fields += fields_of(head.lines + extra)
    if head.length >= 0:
        fields.append((b"content-length", b"%d" % head.length))
    return fields


def tunnel_fields(head: ReplyHead, extra: bytes) -> Fields:
    """What opens a tunnel: 101 of HTTP/1.1 is 200 here (RFC 8441 section 5)."""
    fields = [field for field in fields_of(head.lines + extra) if field[0] != _ACCEPT]
    return [(b":status", b"200"), *fields]


def refusal_fields(refusal: Refusal, length: int, request_id: bytes) -> Fields:
    """The head of a reply the gateway makes itself, with a JSON body of `length` bytes."""
    lines = refusal_head(refusal, length, request_id, b"").partition(b"\r\n")[2]
    return [(b":status", b"%d" % refusal.status), *fields_of(lines)]


def fields_of(lines: bytes) -> Fields:
    """Header or trailer lines, each with its CRLF, as fields: names in lower case."""
    fields = []
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            fields.append((name.lower(), value.strip(b" \t")))
    return fields
