"""How long a client will wait: `X-Request-Timeout` and `grpc-timeout`. Pure.

`X-Request-Timeout` is a number of seconds, or of `ms`, `s`, `m` or `h` written behind it;
`grpc-timeout` is up to eight digits and one of `H M S m u n` (gRPC over HTTP2, "Requests").
"""

from __future__ import annotations

import re

from router.errors import Refusal

_PLAIN = re.compile(rb"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)?")
_UNITS = {None: 1.0, b"ms": 0.001, b"s": 1.0, b"m": 60.0, b"h": 3600.0}
_GRPC = re.compile(rb"([0-9]{1,8})([HMSmun])")
_GRPC_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Timeout:
    """Seconds a client gave, and whether it said so as gRPC does."""

    __slots__ = ("grpc", "seconds")

    def __init__(self, seconds: float, *, grpc: bool) -> None:
        self.seconds = seconds
        self.grpc = grpc


def parse_timeout(key: bytes, value: bytes, other: Timeout | None) -> Timeout:
    """Of the field `key` (lower case); the shorter of it and `other`. Raises `Refusal` (400)."""
    grpc = key == b"grpc-timeout"
    found = (_GRPC if grpc else _PLAIN).fullmatch(value)
    if found is None:
        form = "digits and one of H M S m u n" if grpc else "seconds, or a number and ms, s, m or h"
        raise Refusal(400, "bad_timeout", f"{key.decode()} must be {form}")
    number, unit = found.groups()
    seconds = float(number) * (_GRPC_UNITS if grpc else _UNITS)[unit]
    if other is None:
        return Timeout(seconds, grpc=grpc)
    return Timeout(min(seconds, other.seconds), grpc=True)


def timeout_lines(left: float, *, grpc: bool) -> bytes:
    """Header lines that tell a replica how many seconds are left; never less than 1 ms."""
    milliseconds = max(1, int(left * 1000))
    lines = b"X-Request-Timeout: %d.%03d\r\n" % divmod(milliseconds, 1000)
    if grpc:
        if milliseconds <= 99_999_999:
            return lines + b"grpc-timeout: %dm\r\n" % milliseconds
        return lines + b"grpc-timeout: %dS\r\n" % min(99_999_999, milliseconds // 1000)
    return lines
