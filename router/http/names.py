"""Header fields the gateway knows, by what it does with them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Not passed on in either direction; framing is written anew (RFC 9110 section 7.6.1)."""

REWRITTEN = frozenset(
    {
        b"expect",
        b"forwarded",
        b"grpc-timeout",
        b"host",
        b"max-forwards",
        b"x-forwarded-client-cert",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-request-id",
        b"x-request-timeout",
    }
)
"""Of a request: said anew to the replica, or not at all."""

PROTECTED = frozenset(
    {
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-type",
        b"cookie",
        b"origin",
        b"traceparent",
        b"tracestate",
        b"via",
        b"x-api-key",
        *REWRITTEN,
    }
)
"""Never removed because a sender names them in Connection: a replica that does not see its
caller's credentials or the body's type would decide otherwise than the caller meant."""

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


def _twins(names: Iterable[bytes]) -> frozenset[bytes]:
    """Every spelling of `names` with some dash as underscore. CGI, WSGI and their like cannot
    tell the two apart.
    """
    return frozenset(
        b"".join(parts)
        for name in names
        for parts in product(*((b"-", b"_") if c == 45 else (bytes((c,)),) for c in name))
        if b"_" in parts
    )


FRAMING_TWINS = _twins(_FRAMING)
"""A request with one of them is refused: what is behind the gateway may frame it by that."""

REWRITTEN_TWINS = _twins(REWRITTEN)
"""Dropped: they would pass for what the gateway says."""

NOT_TRAILERS = (
    HOP_BY_HOP
    | PROTECTED
    | FRAMING_TWINS
    | REWRITTEN_TWINS
    | {
        b"accept-ranges",
        b"age",
        b"content-range",
        b"date",
        b"expires",
        b"location",
        b"pragma",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"range",
        b"retry-after",
        b"set-cookie",
        b"trailer",
        b"vary",
        b"warning",
        b"www-authenticate",
        b"x-headrace-version",
        b"x-served-by",
    }
)
"""Dropped from trailers: they frame, route, authorise or direct, and come too late to be checked
(RFC 9110 section 6.5.1)."""


def trailer_lines(trailers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The trailers that are passed on, as lines."""
    return b"".join([b"%b: %b\r\n" % (n, v) for n, v in trailers if not _not_trailer(n.lower())])


def _not_trailer(key: bytes) -> bool:
    return key in NOT_TRAILERS or key.startswith((b"access-control-", b"if-", b"x-forwarded-"))
