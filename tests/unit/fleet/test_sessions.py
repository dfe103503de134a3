"""How near linear counting comes to the number of different keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest

from fleet.telemetry.sessions import BITS, bit_of, estimate


def drawn(number: int) -> bytes:
    return b"%016x" % Random(number).getrandbits(64)


FAMILIES: dict[str, Callable[[int], bytes]] = {
    "counted up": lambda n: b"s-%d" % n,
    "counted up with zeros before": lambda n: b"user:%08d" % n,
    "hexadecimal": lambda n: b"%016x" % n,
    "addresses": lambda n: b"10.0.%d.%d" % divmod(n, 250),
    "random": drawn,
}


def seen(keys: list[bytes]) -> int:
    bits = 0
    for key in keys:
        bits |= 1 << bit_of(key)
    return bits


@pytest.mark.parametrize("key", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("count", [1, 10, 100, 1000, 4000, 8000])
def test_the_estimate_is_within_four_standard_errors(
    key: Callable[[int], bytes], count: int
) -> None:
    load = count / BITS
    error = math.sqrt((math.exp(load) - load - 1) / BITS) / load
    found = estimate(seen([key(number) for number in range(count)]))
    assert abs(found - count) <= max(1.0, 4 * error * count)


def test_none_seen_is_none() -> None:
    assert estimate(0) == 0


def test_a_full_map_says_what_it_can_tell_at_most() -> None:
    assert estimate((1 << BITS) - 1) == round(BITS * math.log(BITS)) == 15615
