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

CLAIMS = frozenset(
    {
        b"cf-connecting-ip",
        b"client-cert",
        b"client-cert-chain",
        b"fastly-client-ip",
        b"forwarded",
        b"front-end-https",
        b"true-client-ip",
        b"x-client-cert",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-forwarded",
        b"x-forwarded-by",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto-version",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-original-forwarded-for",
        b"x-original-host",
        b"x-original-url",
        b"x-real-ip",
        b"x-rewrite-url",
        b"x-scheme",
        b"x-ssl-cert",
        b"x-ssl-client-cert",
        b"x-ssl-client-dn",
        b"x-ssl-client-verify",
        b"x-url-scheme",
    }
)
"""What proxies say of the client, or of what it asked for, and frameworks believe: dropped, but
passed on from a trusted peer (RFC 7239, RFC 9440 section 4, and the fields of common proxies)."""

REWRITTEN = CLAIMS | frozenset(
    {
        b"expect",
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


def routing_fields(names: Iterable[str]) -> frozenset[bytes]:
    """Fields that routes, splits and sessions go by, and their twins, in lower case."""
    keys = frozenset(name.lower().encode() for name in names)
    return keys | _twins(keys)


def trailer_lines(trailers: Iterable[tuple[bytes, bytes]], routing: frozenset[bytes]) -> bytes:
    """The trailers that are passed on, as lines; `routing` are further ones that are not."""
    return b"".join(
        [
            b"%b: %b\r\n" % (name, value)
            for name, value in trailers
            if (key := name.lower()) not in routing and not _not_trailer(key)
        ]
    )


def _not_trailer(key: bytes) -> bool:
    if key in NOT_TRAILERS:
        return True
    return key.replace(b"_", b"-").startswith((b"access-control-", b"if-", b"x-forwarded-"))
