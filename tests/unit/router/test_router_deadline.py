from __future__ import annotations

import pytest

from router.deadline import parse_timeout, timeout_lines
from router.errors import Refusal

X, GRPC = b"x-request-timeout", b"grpc-timeout"
GOOD = {
    "seconds": (X, b"2", 2.0),
    "part of a second": (X, b"0.25", 0.25),
    "milliseconds": (X, b"1500ms", 1.5),
    "seconds with their unit": (X, b"2s", 2.0),
    "minutes": (X, b"1.5m", 90.0),
    "hours": (X, b"1h", 3600.0),
    "nothing": (X, b"0", 0.0),
    "gRPC hours": (GRPC, b"1H", 3600.0),
    "gRPC minutes": (GRPC, b"2M", 120.0),
    "gRPC seconds": (GRPC, b"3S", 3.0),
    "gRPC milliseconds": (GRPC, b"100m", 0.1),
    "gRPC microseconds": (GRPC, b"500000u", 0.5),
    "gRPC nanoseconds": (GRPC, b"10000000n", 0.01),
}


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD)
def test_understood(case: tuple[bytes, bytes, float]) -> None:
    key, value, seconds = case
    assert parse_timeout(key, value, None).seconds == pytest.approx(seconds)


BAD = {
    "empty": (X, b""), "negative": (X, b"-1"), "a word": (X, b"soon"), "infinite": (X, b"inf"),
    "an unknown unit": (X, b"2d"), "a bare point": (X, b".5"), "an exponent": (X, b"1e3"),
    "gRPC without unit": (GRPC, b"100"), "gRPC too long": (GRPC, b"123456789m"),
    "gRPC with a point": (GRPC, b"1.5S"), "gRPC in the other form": (GRPC, b"5ms"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_refused(case: tuple[bytes, bytes]) -> None:
    with pytest.raises(Refusal) as caught:
        parse_timeout(*case, None)
    assert (caught.value.status, caught.value.code) == (400, "bad_timeout")


def test_of_two_the_shorter_holds_in_any_order() -> None:
    for first, second in (((X, b"2"), (GRPC, b"1S")), ((GRPC, b"1S"), (X, b"2"))):
        both = parse_timeout(*second, parse_timeout(*first, None))
        assert (both.seconds, both.grpc) == (1.0, True)


LEFT = {
    "plain": (1.2345, False, b"X-Request-Timeout: 1.234\r\n"),
    "none left": (-1.0, False, b"X-Request-Timeout: 0.001\r\n"),
    "gRPC": (2.0, True, b"X-Request-Timeout: 2.000\r\ngrpc-timeout: 2000m\r\n"),
    "gRPC beyond its digits": (
        200_000.0, True, b"X-Request-Timeout: 200000.000\r\ngrpc-timeout: 200000S\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT.values(), ids=LEFT)
def test_sent_on(case: tuple[float, bool, bytes]) -> None:
    left, grpc, lines = case
    assert timeout_lines(left, grpc=grpc) == lines
