"""The head of a request: checked, understood, and ready to be sent on. Pure.

httptools (llhttp) has already refused bad bytes, bare LF, obs-fold, several Content-Length and
Content-Length with Transfer-Encoding. What it lets through and a gateway must not is refused
here: several or bad Hosts, transfer codings other than one `chunked`, chunked on HTTP/1.0,
upgrades, dot segments in the path (RFC 9112 sections 3.2, 6.1 and 11).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from router.errors import Refusal

RawHeaders = Sequence[tuple[bytes, bytes]]


class Framing(Enum):
    """How the end of a body is found (RFC 9112 section 6.3)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until-close"


HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
    }
)
"""Not passed on in either direction; framing is written anew (RFC 9110 section 7.6.1)."""

_REWRITTEN = frozenset(
    {
        b"expect",
        b"forwarded",
        b"host",
        b"x-forwarded-client-cert",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-request-id",
    }
)
_NOTED = HOP_BY_HOP | _REWRITTEN

_PROTECTED = frozenset({b"authorization", b"cookie", b"host", b"x-request-id"})
"""Never removed because a client names them in Connection."""

_HOST = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_DOT_SEGMENT = re.compile(rb"(?:^|/|%2f|\\|%5c)(?:\.|%2e){1,2}(?:$|/|%2f|\\|%5c)", re.IGNORECASE)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_BLANKS = b" \t"
"""Not part of a value (RFC 9110 section 5.5); llhttp leaves those behind it in place."""


class RequestHead:
    """What the rest of the data plane needs of a request. `lines` are the header lines to send
    on, as one block; `headers` all fields as received, names in lower case.
    """

    __slots__ = (
        "authority",
        "expect_continue",
        "framing",
        "headers",
        "host",
        "keep_alive",
        "length",
        "lines",
        "method",
        "minor",
        "path",
        "request_id",
        "target",
    )

    method: bytes
    target: bytes
    path: bytes
    authority: bytes
    host: bytes
    minor: int
    framing: Framing
    length: int
    keep_alive: bool
    expect_continue: bool
    request_id: bytes | None
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


def parse_head(method: bytes, target: bytes, version: str, raw: RawHeaders) -> RequestHead:
    """Check and understand a request head.

    `version` is "1.0" or "1.1". Raises `Refusal` (400, 405, 417, 501 or 505).
    """
    if version not in ("1.1", "1.0"):
        raise Refusal(505, "bad_version", f"HTTP/{version} is not supported; use HTTP/1.1")
    head = RequestHead()
    head.method = method
    head.minor = minor = 1 if version == "1.1" else 0
    head.headers = headers = []
    hosts: list[bytes] = []
    length: bytes | None = None
    coding: bytes | None = None
    connection: bytes | None = None
    head.expect_continue = False
    head.request_id = None
    upgrade = False
    kept: list[tuple[bytes, bytes, bytes]] = []
    for name, value in raw:
        key = name.lower()
        headers.append((key, value))
        if key not in _NOTED:
            kept.append((key, name, value))
            continue
        value = value.strip(_BLANKS)
        if key == b"host":
            hosts.append(value)
        elif key == b"content-length":
            length = value if length is None else b"?"
        elif key == b"transfer-encoding":
            coding = value if coding is None else coding + b"," + value
        elif key == b"connection":
            connection = value if connection is None else connection + b"," + value
        elif key == b"upgrade":
            upgrade = True
        elif key == b"expect":
            if value.lower() != b"100-continue":
                raise Refusal(417, "bad_expect", "the only expectation known is 100-continue")
            head.expect_continue = minor == 1
        elif key == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            head.request_id = value

    if method in (b"CONNECT", b"TRACE"):
        raise Refusal(405, "method_not_allowed", f"{method.decode()} is not served here")
    if upgrade:
        raise Refusal(501, "upgrade_unsupported", "protocol upgrades are not supported yet")
    _set_framing(head, coding, length, minor)
    _set_target(head, target, hosts, minor)

    head.keep_alive = minor == 1
    if connection is not None:
        tokens = {t.strip() for t in connection.lower().split(b",")}
        head.keep_alive = minor == 1 and b"close" not in tokens
        drop = tokens - _PROTECTED
        kept = [k for k in kept if k[0] not in drop]
    head.lines = b"".join([b"%b: %b\r\n" % (name, value) for _, name, value in kept])
    return head


def _set_framing(head: RequestHead, coding: bytes | None, length: bytes | None, minor: int) -> None:
    head.length = 0
    if coding is not None:
        if minor == 0:
            raise Refusal(400, "bad_framing", "HTTP/1.0 has no Transfer-Encoding")
        if length is not None:
            raise Refusal(400, "bad_framing", "Content-Length together with Transfer-Encoding")
        codings = [c.strip() for c in coding.lower().split(b",")]
        if codings.count(b"chunked") != 1 or codings[-1] != b"chunked":
            raise Refusal(400, "bad_framing", "Transfer-Encoding must end with one chunked")
        if len(codings) > 1:
            raise Refusal(501, "coding_unsupported", "transfer codings other than chunked")
        head.framing = Framing.CHUNKED
    elif length is not None:
        if not _LENGTH.fullmatch(length):
            raise Refusal(400, "bad_framing", "Content-Length must be one plain number")
        head.length = int(length)
        head.framing = Framing.LENGTH if head.length else Framing.NONE
    else:
        head.framing = Framing.NONE


def _set_target(head: RequestHead, target: bytes, hosts: list[bytes], minor: int) -> None:
    if len(hosts) > 1 or (minor == 1 and not hosts):
        raise Refusal(400, "bad_host", "exactly one Host field is needed")
    authority = hosts[0] if hosts else b""
    if authority and not _HOST.fullmatch(authority):
        raise Refusal(400, "bad_host", "the Host field is not a host and port")
    if target[:1] == b"/" or (target == b"*" and head.method == b"OPTIONS"):
        pass
    elif target[:7].lower() == b"http://" or target[:8].lower() == b"https://":
        rest = target.split(b"://", 1)[1]
        cut = min((i for i in (rest.find(b"/"), rest.find(b"?")) if i >= 0), default=len(rest))
        authority, target = rest[:cut], rest[cut:]
        if not _HOST.fullmatch(authority):
            raise Refusal(400, "bad_host", "the target's authority is not a host and port")
        if target[:1] != b"/":
            target = b"/" + target
    else:
        raise Refusal(400, "bad_target", "the request target must start with /")
    if b"#" in target or b"\\" in target:
        raise Refusal(400, "bad_target", "the request target has # or a backslash")
    path = target.partition(b"?")[0]
    if (b"." in path or b"%2" in path) and _DOT_SEGMENT.search(path):
        raise Refusal(400, "bad_target", "the path has . or .. segments")
    head.target = target
    head.path = path
    head.authority = authority
    head.host = _without_port(authority).lower()


def _without_port(authority: bytes) -> bytes:
    if authority[:1] == b"[":
        return authority.partition(b"]")[0] + b"]"
    return authority.partition(b":")[0]
