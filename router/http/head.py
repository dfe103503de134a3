"""The head of a request: checked, understood, and ready to be sent on. Pure.

The grammar has been checked (`router.http.grammar`). What is grammatical and a gateway must not
let through is refused here: several or bad Hosts, ambiguous framing, transfer codings other than
one `chunked`, chunked on HTTP/1.0, twins of framing fields (RFC 9112 sections 3.2, 6.1 and 11).
"""

from __future__ import annotations

import re
from enum import Enum

from router.deadline import Timeout, parse_timeout
from router.errors import Refusal
from router.http.grammar import TOKEN, RawHeaders
from router.http.names import FRAMING_TWINS, HOP_BY_HOP, PROTECTED, REWRITTEN, REWRITTEN_TWINS
from router.http.target import canonical_target, split_target


class Framing(Enum):
    """How the end of a body is found (RFC 9112 section 6.3)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until-close"


ALLOW = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

_UNNAMED = PROTECTED | HOP_BY_HOP | {b"close"}
"""What a client may name in Connection without another field being dropped for it."""

_NOTED = HOP_BY_HOP | REWRITTEN | FRAMING_TWINS | REWRITTEN_TWINS

_TOKEN = re.compile(TOKEN)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_LENGTH = re.compile(rb"[0-9]{1,19}")
_BLANKS = b" \t"
"""Not part of a value (RFC 9110 section 5.5); the grammar leaves those behind it in place."""


class RequestHead:
    """What the rest of the data plane needs of a request. `lines` are the header lines to send
    on, as one block; `headers` all fields as received, names in lower case.
    """

    __slots__ = (
        "authority",
        "expect_continue",
        "final",
        "framing",
        "headers",
        "host",
        "keep_alive",
        "length",
        "lines",
        "method",
        "minor",
        "path",
        "protocol",
        "request_id",
        "target",
        "timeout",
        "websocket",
    )

    method: bytes
    target: bytes
    path: bytes
    authority: bytes
    host: bytes
    minor: int
    protocol: bytes
    """The version it came by, as Via says it."""
    framing: Framing
    length: int
    keep_alive: bool
    expect_continue: bool
    final: bool
    """Max-Forwards has come down to 0: not to be passed on."""
    websocket: bool
    """The client asks for a websocket (RFC 6455 section 4.1)."""
    request_id: bytes | None
    timeout: Timeout | None
    """How long the client will wait for the whole reply."""
    lines: bytes
    headers: list[tuple[bytes, bytes]]

    def header(self, name: bytes) -> bytes | None:
        """Value of the first field of that lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value.strip(_BLANKS)
        return None

    def cookie(self, name: bytes) -> bytes | None:
        """Value of a cookie."""
        for key, value in self.headers:
            if key == b"cookie":
                for pair in value.split(b";"):
                    left, equals, right = pair.strip().partition(b"=")
                    if equals and left == name:
                        return right
        return None


def parse_head(
    method: bytes, target: bytes, minor: int, raw: RawHeaders, *, refuse_paths: bool = False
) -> RequestHead:
    """Check and understand the head of an HTTP/1.`minor` request.

    `refuse_paths`: see `canonical_target`. Raises `Refusal` (400, 405, 417 or 501).
    """
    head = RequestHead()
    head.method = method
    head.minor = minor
    head.protocol = b"1.1" if minor else b"1.0"
    head.headers = headers = []
    host: bytes | None = None
    length: bytes | None = None
    coding: bytes | None = None
    connection: bytes | None = None
    upgrade: bytes | None = None
    hops: bytes | None = None
    trailers = False
    head.expect_continue = False
    head.request_id = None
    head.timeout = None
    lines: list[bytes] = []
    for name, value in raw:
        key = name.lower()
        headers.append((key, value))
        if key not in _NOTED:
            lines.append(b"%b: %b\r\n" % (name, value))
            continue
        value = value.strip(_BLANKS)
        if key == b"host":
            if host is not None:
                raise Refusal(400, "bad_host", "exactly one Host field is needed")
            host = value
        elif key == b"content-length":
            length = value if length is None else b"?"
        elif key == b"transfer-encoding":
            coding = value if coding is None else coding + b"," + value
        elif key == b"connection":
            connection = value if connection is None else connection + b"," + value
        elif key == b"upgrade" and minor:
            upgrade = value if upgrade is None else upgrade + b"," + value
        elif key == b"te":
            trailers = trailers or b"trailers" in value.lower()
        elif key == b"expect":
            if value.lower() != b"100-continue":
                raise Refusal(417, "bad_expect", "the only expectation known is 100-continue")
            head.expect_continue = minor == 1
        elif key == b"max-forwards":
            hops = value
        elif key == b"x-request-id":
            if _REQUEST_ID.fullmatch(value):
                head.request_id = value
        elif key == b"x-request-timeout" or key == b"grpc-timeout":
            head.timeout = parse_timeout(key, value, head.timeout)
        elif key in FRAMING_TWINS:
            raise Refusal(400, "bad_framing", "a framing field is written with an underscore")

    if method in (b"CONNECT", b"TRACE"):
        message = f"{method.decode()} is not served here"
        raise Refusal(405, "method_not_allowed", message, allow=ALLOW)
    if host is None and minor == 1:
        raise Refusal(400, "bad_host", "exactly one Host field is needed")
    _set_framing(head, coding, length, minor)
    head.authority, head.host, target = split_target(method, target, host or b"")
    head.target = target = canonical_target(target, refuse=refuse_paths)
    head.path = target.partition(b"?")[0] if target != b"*" else b"/"

    head.keep_alive = minor == 1
    tokens: set[bytes] = set()
    if connection is not None:
        tokens = {t.strip(_BLANKS) for t in connection.lower().split(b",")}
        head.keep_alive = b"close" not in tokens and (minor == 1 or b"keep-alive" in tokens)
        drop = tokens - _UNNAMED
        if drop:
            drop |= _NOTED
            lines = [b"%b: %b\r\n" % (n, v) for n, v in raw if n.lower() not in drop]
    if upgrade is not None:
        _check_upgrade(head, upgrade, tokens)
    head.websocket = upgrade is not None and upgrade.lower() == b"websocket"
    if head.framing is Framing.NONE:
        head.expect_continue = False
    if trailers and not head.websocket:
        lines.append(b"TE: trailers\r\nConnection: TE\r\n")
    head.final = False
    if hops is not None:
        lines.append(_max_forwards(head, hops))
    head.lines = b"".join(lines)
    return head


def _set_framing(head: RequestHead, coding: bytes | None, length: bytes | None, minor: int) -> None:
    head.length = 0
    if coding is not None:
        if minor == 0:
            raise Refusal(400, "bad_framing", "HTTP/1.0 has no Transfer-Encoding")
        if length is not None:
            raise Refusal(400, "bad_framing", "Content-Length together with Transfer-Encoding")
        codings = [c.strip(_BLANKS) for c in coding.lower().split(b",")]
        if codings != [b"chunked"]:
            raise _bad_coding(codings)
        head.framing = Framing.CHUNKED
    elif length is not None:
        if not _LENGTH.fullmatch(length) or int(length) >= 1 << 63:
            raise Refusal(400, "bad_framing", "Content-Length must be one plain number")
        head.length = int(length)
        head.framing = Framing.LENGTH if head.length else Framing.NONE
    else:
        head.framing = Framing.NONE


def _bad_coding(codings: list[bytes]) -> Refusal:
    if codings.count(b"chunked") > 1 or b"chunked" in codings[:-1]:
        return Refusal(400, "bad_framing", "chunked must be the last transfer coding, once")
    if not all(_TOKEN.fullmatch(c) for c in codings):
        return Refusal(400, "bad_framing", "Transfer-Encoding is malformed")
    return Refusal(501, "coding_unsupported", "the only transfer coding known is chunked")


def _check_upgrade(head: RequestHead, upgrade: bytes, connection: set[bytes]) -> None:
    """A websocket must be asked for properly; an offer of h2c is declined by not taking it up
    (RFC 9110 section 7.8, which has it ignored on HTTP/1.0); anything else is refused.
    """
    protocols = {p.strip(_BLANKS) for p in upgrade.lower().split(b",")}
    if protocols == {b"h2c"} and head.framing is Framing.NONE:
        return
    if protocols != {b"websocket"}:
        raise Refusal(501, "upgrade_unsupported", "the only upgrade known is to websocket")
    if head.method != b"GET" or head.framing is not Framing.NONE or b"upgrade" not in connection:
        raise Refusal(
            400, "bad_upgrade", "a websocket takes a GET without body and Connection: Upgrade"
        )


def _max_forwards(head: RequestHead, hops: bytes) -> bytes:
    """The line to send on (RFC 9110 section 7.6.2); it counts for OPTIONS alone."""
    if head.method != b"OPTIONS":
        return b"Max-Forwards: %b\r\n" % hops
    if not _LENGTH.fullmatch(hops):
        raise Refusal(400, "bad_request", "Max-Forwards must be one plain number")
    head.final = int(hops) == 0
    return b"Max-Forwards: %d\r\n" % (int(hops) - 1)
