"""Time between the parts of a reply's body, counted per version."""

# a wire changes state by calls mypy does not follow
# mypy: disable-error-code="unreachable,comparison-overlap"

from __future__ import annotations

from fleet.telemetry import slab as words
from fleet.telemetry.histogram import BUCKETS
from tests.protocol.support import Rig

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PART = b"1\r\na\r\n"


def gaps(rig: Rig) -> tuple[int, float]:
    """How many were counted, and their sum in seconds."""
    counted = sum(rig.count(words.CHUNK_GAP + bucket, 1) for bucket in range(BUCKETS))
    return counted, rig.count(words.CHUNK_GAP_US, 1) / 1e6


async def test_each_part_but_the_first_counts_the_time_since_the_one_before(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(HEAD)
    for wait in (3.0, 0.5, 0.25):
        rig.clock.now += wait
        rig.replica.send(PART)
    assert gaps(rig) == (2, 0.75)
    rig.clock.now += 2
    rig.replica.send(PART + b"0\r\n\r\n")
    assert gaps(rig) == (3, 2.75)


async def test_the_end_alone_is_no_part(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(HEAD + PART)
    rig.clock.now += 1
    rig.replica.send(b"0\r\n\r\n")
    assert gaps(rig) == (0, 0)


async def test_gaps_do_not_reach_from_one_reply_to_the_next(rig: Rig) -> None:
    client = rig.client()
    for _ in range(2):
        client.send(GET)
        rig.replica.send(HEAD + PART)
        rig.clock.now += 1
        rig.replica.send(PART + b"0\r\n\r\n")
        rig.clock.now += 1
    assert gaps(rig) == (2, 2)


async def test_time_in_which_the_client_takes_nothing_does_not_count(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(HEAD + PART)
    client.clog(True)
    rig.clock.now += 9
    client.clog(False)
    rig.replica.send(PART)
    rig.clock.now += 1
    rig.replica.send(PART)
    assert gaps(rig) == (1, 1)


async def test_a_websocket_has_no_gaps(rig: Rig) -> None:
    client = rig.client()
    client.send(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket"
    rig.replica.send(switch + b"\r\n\r\n")
    for _ in range(3):
        rig.clock.now += 1
        rig.replica.send(b"frame")
    assert gaps(rig) == (0, 0)
