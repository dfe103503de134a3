"""The head of an HTTP/2 request: checked, and said again as HTTP/1.1 would. Pure.

What HTTP/2 forbids is refused here (RFC 9113 sections 8.2 and 8.3); the rest goes through the same
checks as any other request (`router.http.head`), so that routes and replicas see no difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from fleet.wire import LimitsEntry
from router.errors import Refusal
from router.http.grammar import TOKEN, RawHeaders
from router.http.head import ALLOW, RequestHead, parse_head
from router.http.reading import MAX_TRAILERS
from router.http2.errors import Malformed

_PSEUDO: Final = frozenset({b":authority", b":method", b":path", b":protocol", b":scheme"})
_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
"""Fields that no HTTP/2 message has (RFC 9113 section 8.2.2)."""

_METHOD: Final = re.compile(TOKEN)
_PATH: Final = re.compile(rb"[\x21\x22\x24-\x5b\x5d-\x7e]++")
_NAMES: Final = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9a-z]++\n)*+")
_VALUES: Final = re.compile(
    rb"(?:(?![\t\x20])[\t\x20-\x7e\x80-\xff]*+(?<![\t\x20])\n)*+", re.DOTALL
)
"""Lines of field values: text, without blanks at either end."""


def request_head(
    fields: Sequence[tuple[bytes, bytes]],
    *,
    ended: bool,
    limits: LimitsEntry,
    refuse_paths: bool,
    websocket_key: Callable[[], bytes],
) -> RequestHead:
    """Check and understand a header list; `ended`: no body follows.

    An extended CONNECT for a websocket (RFC 8441) becomes the GET of RFC 6455, with a key from
    `websocket_key`. Raises `Malformed` or another `Refusal` (400, 405, 414, 417, 431, 501).
    """
    pseudo: dict[bytes, bytes] = {}
    for name, value in fields:
        if name[:1] != b":":
            break
        if name not in _PSEUDO or name in pseudo:
            raise Malformed("a pseudo-header field is unknown or comes twice")
        pseudo[name] = value
    raw = list(fields[len(pseudo) :])
    _check_size(fields, len(raw), limits)
    _check_fields(raw)
    method = pseudo.get(b":method", b"")
    if not _METHOD.fullmatch(method):
        raise Malformed("the method is missing or no token")
    protocol = pseudo.get(b":protocol")
    if method == b"CONNECT" and protocol is None:
        raise Refusal(405, "method_not_allowed", "CONNECT is not served here", allow=ALLOW)
    if pseudo.get(b":scheme") not in (b"http", b"https"):
        raise Malformed("the scheme is missing or neither http nor https")
    target = _target(pseudo, method, limits)
    raw, hosts, length = _as_before(raw)
    authority = pseudo.get(b":authority")
    if authority is not None:
        if not authority:
            raise Malformed("the authority is empty", "bad_host")
        if any(host != authority for host in hosts):
            raise Malformed("Host is not what :authority says", "bad_host")
        hosts = [authority]
    raw[:0] = [(b"host", host) for host in hosts]
    if protocol is not None:
        if method != b"CONNECT":
            raise Malformed(":protocol without CONNECT")
        if protocol != b"websocket":
            raise Refusal(501, "upgrade_unsupported", "the only protocol known is websocket")
        if ended:
            raise Malformed("a websocket that ends before it begins", "bad_upgrade")
        method = b"GET"
        raw = [field for field in raw if field[0] != b"sec-websocket-key"]
        raw.append((b"connection", b"Upgrade"))
        raw.append((b"upgrade", b"websocket"))
        raw.append((b"sec-websocket-key", websocket_key()))
    elif not ended and length is None:
        raw.append((b"transfer-encoding", b"chunked"))
    head = parse_head(method, target, 1, raw, refuse_paths=refuse_paths)
    if ended and head.length:
        raise Malformed("the body is shorter than Content-Length", "bad_framing")
    head.protocol = b"2.0"
    return head


def request_trailers(fields: RawHeaders) -> RawHeaders:
    """The trailer fields of a request, checked. Raises `Refusal` (400 or 431)."""
    if sum(len(name) + len(value) for name, value in fields) > MAX_TRAILERS:
        raise Refusal(431, "trailers_too_large", "the trailer section is too large")
    _check_fields(fields)
    return fields


def _check_size(fields: RawHeaders, count: int, limits: LimitsEntry) -> None:
    if count > limits.headers:
        raise Refusal(431, "header_too_large", "too many header fields")
    if sum(len(name) + len(value) for name, value in fields) > limits.header_size:
        raise Refusal(431, "header_too_large", "the header is too large")


def _check_fields(fields: RawHeaders) -> None:
    """Names and values are matched as lines, all at once; there must be as many as fields."""
    lines = len(fields)
    names = b"".join([name + b"\n" for name, _ in fields])
    if not _NAMES.fullmatch(names) or names.count(b"\n") != lines:
        raise Malformed("a field's name is no token in lower case, or a pseudo-header out of place")
    values = b"".join([value + b"\n" for _, value in fields])
    if not _VALUES.fullmatch(values) or values.count(b"\n") != lines:
        raise Malformed("a field's value has a control byte or blanks around it")
    for name, value in fields:
        if name in _CONNECTION or (name == b"te" and value.lower() != b"trailers"):
            raise Malformed("a field that speaks of the connection")


def _target(pseudo: dict[bytes, bytes], method: bytes, limits: LimitsEntry) -> bytes:
    target = pseudo.get(b":path", b"")
    if len(target) > limits.target:
        raise Refusal(414, "target_too_long", "the request target is too long")
    if not (target[:1] == b"/" or (target == b"*" and method == b"OPTIONS")):
        raise Malformed("the path is missing or does not start with /", "bad_target")
    if not _PATH.fullmatch(target):
        raise Malformed("the path has a byte that must be percent-encoded", "bad_target")
    return target


def _as_before(
    raw: list[tuple[bytes, bytes]],
) -> tuple[list[tuple[bytes, bytes]], list[bytes], bytes | None]:
    """The fields as HTTP/1.1 has them but for Host, the Hosts, and Content-Length if given.

    Cookies are put together again (RFC 9113 section 8.2.3).
    """
    kept: list[tuple[bytes, bytes]] = []
    hosts: list[bytes] = []
    cookies: list[bytes] = []
    length: bytes | None = None
    for field in raw:
        name, value = field
        if name == b"host":
            hosts.append(value)
            continue
        if name == b"cookie":
            cookies.append(value)
            continue
        if name == b"content-length":
            length = value
        kept.append(field)
    if cookies:
        kept.append((b"cookie", b"; ".join(cookies)))
    return kept, hosts, length
