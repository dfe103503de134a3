"""What a client of HTTP/2 may ask of the gateway at most, and how its connection ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from h2.errors import ErrorCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    SettingsFrame,
)

from fleet.telemetry import slab as words
from fleet.telemetry.slab import worker_at
from router.http2.frames import PREFACE
from tests.protocol.http2_kit import GET, POST, Client, but, data, reset, window
from tests.protocol.support import Rig, replica, version

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CALM = ErrorCodes.ENHANCE_YOUR_CALM

Flood = Callable[[Client, int], list[Frame | bytes]]
"""The n-th of the frames that make it, n from 1."""


def pairs(client: Client, n: int) -> list[Frame | bytes]:
    return [client.head(2 * n - 1), reset(2 * n - 1)]


def made_reset(client: Client, n: int) -> list[Frame | bytes]:
    return [client.head(2 * n - 1), window(2 * n - 1, 0)]


def malformed(client: Client, n: int) -> list[Frame | bytes]:
    return [client.head(2 * n - 1, but(GET, path=None))]


FLOODS: dict[str, tuple[Flood, str]] = {
    "empty DATA": (
        lambda c, n: [*([c.head(1, POST, end=False)] if n == 1 else []), data(1, b"")],
        "empty_data"),
    "GOAWAY while a reply is under way": (
        lambda c, n: [*([c.head(1)] if n == 1 else []), GoAwayFrame(0)], "goaway"),
    "frames of unknown kinds": (lambda c, n: [b"\0\0\0\x50\0\0\0\0\0"], "unknown"),
    "malformed requests": (malformed, "reset"),
    "PING": (lambda c, n: [PingFrame(0, opaque_data=b"12345678")], "ping"),
    "PRIORITY": (lambda c, n: [PriorityFrame(1, depends_on=0, stream_weight=1)], "priority"),
    "rapid reset (CVE-2023-44487)": (pairs, "reset"),
    "resets it makes us send (CVE-2025-8671)": (made_reset, "reset"),
    "SETTINGS": (lambda c, n: [SettingsFrame(0, settings={4: n})], "settings"),
    "WINDOW_UPDATE": (lambda c, n: [window(0, 1)], "window_update"),
}  # fmt: skip


@pytest.mark.parametrize(("flood", "kind"), FLOODS.values(), ids=FLOODS)
async def test_a_flood_ends_the_connection(rig: Rig, flood: Flood, kind: str) -> None:
    client, other = Client(rig), Client(rig)
    for n in range(1, 2000):
        client.send(*flood(client, n))
        if client.goaway:
            break
    assert client.goaway == CALM
    assert client.wire.half_closed
    assert f"http2_{kind}_flood" in [line["outcome"] for line in rig.logged()]
    assert all(upstream.closed for upstream in rig.upstreams)
    other.request(1)
    rig.replica.send(OK)
    assert other.reply(1).body == b"ok"


SERVED = {name: flood for name, (flood, kind) in FLOODS.items() if kind != "goaway"}


@pytest.mark.parametrize("flood", SERVED.values(), ids=SERVED)
async def test_the_same_in_moderation_is_served(rig: Rig, flood: Flood) -> None:
    client = Client(rig)
    for n in range(1, 100):
        client.send(*flood(client, n))
        rig.clock.now += 1.0
    client.send(SettingsFrame(0, settings={4: 65_535}))
    client.request(999)
    rig.replica.send(OK)
    assert (client.reply(999).body, client.goaway) == (b"ok", None)


async def test_windows_may_be_renewed_as_often_as_there_is_reason(rig: Rig) -> None:
    client = Client(rig)
    client.request(1)
    rig.replica.send(CHUNKS)
    for _ in range(1500):
        rig.replica.send(b"1\r\na\r\n")
        client.send(window(1, 1), window(0, 1), PingFrame(0, opaque_data=b"12345678"))
    assert (client.goaway, client.pongs, len(client.reply(1).body)) == (None, 1500, 1500)


async def test_what_is_reset_costs_no_slot(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))
    client = Client(rig)
    for n in range(1, 150):
        client.send(*pairs(client, n))
    client.request(999)
    rig.replica.send(OK)
    assert (client.reply(999).body, client.goaway) == (b"ok", None)
    assert rig.count(words.CLIENT_ABORTS) == 149


# header blocks


def split(stream: int, block: bytes, size: int) -> list[Frame | bytes]:
    pieces = [block[at : at + size] for at in range(0, len(block), size)]
    frames: list[Frame] = [HeadersFrame(stream, data=pieces[0], flags=["END_STREAM"])]
    frames += [ContinuationFrame(stream, data=piece) for piece in pieces[1:]]
    frames[-1].flags.add("END_HEADERS")
    return list(frames)


async def test_a_header_block_may_come_in_pieces(rig: Rig) -> None:
    client = Client(rig)
    block = client.encoder.encode([*GET, (b"a", b"b" * 300)])
    client.send(*split(1, block, len(block) // 20))
    assert rig.replica.message().get(b"a") == b"b" * 300
    rig.replica.send(OK)
    assert client.reply(1).body == b"ok"


async def test_a_header_block_in_too_many_pieces_ends_the_connection(rig: Rig) -> None:
    client = Client(rig)
    empty = ContinuationFrame(1, data=b"")
    client.send(HeadersFrame(1, data=b"\x82"), *[empty] * 40)
    assert client.goaway == CALM
    assert rig.logged()[-1]["outcome"] == "http2_continuation_flood"


async def test_a_header_block_too_large_to_read_ends_the_connection(rig: Rig) -> None:
    rig.configure(limits={"header_size": 8192, "headers": 20})
    client = Client(rig)
    more = ContinuationFrame(1, data=bytes(4000))
    client.send(HeadersFrame(1, data=b"\x82"), *[more] * 5)
    assert client.goaway == CALM
    assert rig.logged()[-1]["outcome"] == "http2_header_flood"


async def test_a_bomb_of_references_ends_the_connection(rig: Rig) -> None:
    client = Client(rig)
    block = Encoder().encode([*GET, (b"bomb", b"x" * 4000)])
    client.send(HeadersFrame(1, data=block + b"\xbe" * 8000, flags=["END_HEADERS"]))
    assert client.goaway == CALM
    assert not rig.upstreams
    assert rig.logged()[-1]["outcome"] == "http2_header_flood"


async def test_a_table_as_large_as_the_client_likes_costs_nothing(rig: Rig) -> None:
    client = Client(rig, {1: (1 << 32) - 1})
    for stream in range(1, 100, 2):
        client.request(stream)
        rig.replica.send(OK)
        assert client.reply(stream).body == b"ok"
    assert client._decoder.header_table_size == 0


async def test_more_streams_than_allowed_are_refused_alone(rig: Rig) -> None:
    rig.configure(limits={"streams": 2})
    rig.members(version("v1", replica("a-1", slots=10)))
    client = Client(rig)
    client.take()
    assert client.settings[3] == 2
    client.send(*[client.head(n) for n in (1, 3, 5)])
    assert client.reply(5).reset == ErrorCodes.REFUSED_STREAM
    assert len(rig.upstreams) == 2
    rig.upstreams[0].send(OK)
    client.request(7)
    rig.upstreams[1].send(OK)
    rig.upstreams[0].send(OK)
    assert [client.reply(n).body for n in (1, 3, 7)] == [b"ok"] * 3
    assert client.goaway is None


async def test_connections_are_limited(rig: Rig) -> None:
    rig.configure(limits={"connections": 1})
    first, second = Client(rig), Client(rig)
    assert (first.goaway, second.goaway) == (None, CALM)
    assert second.wire.half_closed
    assert rig.logged()[-1]["outcome"] == "too_many_connections"


# time

SLOW: dict[str, bytes] = {
    "nothing at all": b"",
    "a part of the preface": PREFACE[:10],
    "no settings": PREFACE,
    "a part of a frame": PREFACE + SettingsFrame(0).serialize() + b"\0\0\x05\x01",
    "a header block without its end": (
        PREFACE + SettingsFrame(0).serialize() + HeadersFrame(1, data=b"\x82").serialize()
    ),
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
async def test_what_begins_must_come_in_time(rig: Rig, sent: bytes) -> None:
    client = Client(rig, preface=sent)
    rig.advance(9)
    assert client.goaway is None
    rig.advance(2)
    assert client.goaway == CALM
    assert client.wire.half_closed
    assert rig.logged()[-1]["outcome"] == "header_timeout"


async def test_pieces_of_a_header_block_do_not_buy_time(rig: Rig) -> None:
    client = Client(rig)
    client.send(HeadersFrame(1, data=b"\x82"))
    for _ in range(4):
        rig.advance(3)
        if client.goaway is None:
            client.send(ContinuationFrame(1, data=b"\x82"))
    assert client.goaway == CALM


async def test_a_silent_body_is_refused_alone(rig: Rig) -> None:
    client = Client(rig)
    client.send(client.head(1, POST, end=False), data(1, b"a"))
    client.request(3)
    rig.advance(20)
    client.send(data(1, b"b"))
    rig.advance(29)
    assert client.reply(1).status == 0
    rig.advance(2)
    reply = client.reply(1)
    assert (reply.status, reply.ended, reply.reset) == (408, True, ErrorCodes.NO_ERROR)
    assert rig.upstreams[0].closed == "abort"
    rig.upstreams[1].send(OK)
    assert (client.reply(3).body, client.goaway) == (b"ok", None)


async def test_a_slow_body_is_refused(rig: Rig) -> None:
    rig.configure(limits={"body_rate": 100})
    client = Client(rig)
    client.send(client.head(1, POST, end=False))
    for _ in range(40):
        client.send(data(1, b"a"))
        rig.advance(1)
    assert client.reply(1).status == 408
    assert rig.replica.closed == "abort"


async def test_time_in_which_a_body_may_not_be_sent_does_not_count(rig: Rig) -> None:
    rig.configure(timeouts={"first_byte": 1000})
    client = Client(rig)
    client.send(client.head(1, POST, end=False), data(1, b"a"))
    rig.replica.clog(True)
    rig.advance(100)
    assert client.reply(1).status == 0
    rig.replica.clog(False)
    client.send(data(1, b"b", end=True))
    rig.replica.send(OK)
    assert client.reply(1).body == b"ok"


async def test_a_replica_that_is_silent_too_long_is_given_up(rig: Rig) -> None:
    client = Client(rig)
    client.request(1)
    client.request(3)
    rig.upstreams[1].send(CHUNKS + b"1\r\na\r\n")
    rig.advance(21)
    assert client.reply(3).reset == ErrorCodes.INTERNAL_ERROR
    rig.advance(40)
    assert client.reply(1).status == 504
    assert client.goaway is None


async def test_an_idle_connection_is_closed(rig: Rig) -> None:
    client = Client(rig)
    rig.advance(70)
    client.request(1)
    rig.replica.send(OK)
    rig.advance(74)
    assert client.goaway is None
    rig.advance(2)
    assert client.goaway == ErrorCodes.NO_ERROR
    assert client.goaways[0].last_stream_id == 1
    assert client.wire.half_closed


# the end


def drain(rig: Rig, seconds: float) -> None:
    """What a worker does that stops."""
    rig.plane.draining = True
    end = rig.clock.now + seconds
    while rig.clock.now < end:
        for downstream in list(rig.plane.downstreams):
            downstream.drain()
        rig.advance(0.05)


async def test_a_stopping_worker_finishes_what_is_under_way(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=10)))
    client = Client(rig)
    client.request(1)
    drain(rig, 0.1)
    assert client.goaway == ErrorCodes.NO_ERROR
    assert client.goaways[0].last_stream_id == (1 << 31) - 1
    client.request(3)
    drain(rig, 1)
    client.take()
    assert [frame.last_stream_id for frame in client.goaways[1:]] == [3]
    assert client.request(5).reset == ErrorCodes.REFUSED_STREAM
    rig.upstreams[0].send(OK)
    assert (client.reply(1).body, client.wire.half_closed) == (b"ok", False)
    rig.upstreams[1].send(OK)
    assert (client.reply(3).body, client.wire.half_closed) == (b"ok", True)


async def test_a_stopping_worker_closes_idle_connections(rig: Rig) -> None:
    client = Client(rig)
    drain(rig, 1)
    assert client.goaway == ErrorCodes.NO_ERROR
    assert [frame.last_stream_id for frame in client.goaways] == [(1 << 31) - 1, 0]
    assert client.wire.half_closed


async def test_when_time_is_over_replies_are_cut_visibly(rig: Rig) -> None:
    client = Client(rig)
    client.request(1)
    rig.replica.send(CHUNKS + b"4\r\npart\r\n")
    client.wire.protocol.abandon()  # type: ignore[union-attr]
    rig.turn()
    reply = client.reply(1)
    assert (reply.body, reply.ended, reply.reset) == (b"part", False, ErrorCodes.INTERNAL_ERROR)
    assert client.wire.closed
    assert rig.replica.closed


async def test_a_client_that_says_goodbye_gets_its_replies(rig: Rig) -> None:
    client = Client(rig)
    client.request(1)
    client.send(GoAwayFrame(0, last_stream_id=0, error_code=0))
    assert not client.wire.half_closed
    rig.replica.send(OK)
    assert (client.reply(1).body, client.wire.half_closed) == (b"ok", True)


async def test_connections_are_counted(rig: Rig) -> None:
    at = worker_at()
    client = Client(rig)
    assert rig.row[at + words.HTTP2_OPENED] == 1
    client.wire.hang_up()
    assert rig.row[at + words.HTTP2_CLOSED] == 1
