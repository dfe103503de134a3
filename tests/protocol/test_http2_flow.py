"""Windows of HTTP/2: each side takes what it can, and a slow stream stalls no other."""

# a wire changes state by calls mypy does not follow
# mypy: disable-error-code="unreachable,comparison-overlap"

from __future__ import annotations

import random

from h2.errors import ErrorCodes
from hyperframe.frame import SettingsFrame

from router.http.exchange import KEPT_BODY
from router.http2.session import STREAM_WINDOW
from router.http2.stream import HIGH
from tests.protocol.http2_kit import GET, POST, Client, but, data, window
from tests.protocol.support import Rig, replica, version

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MANY = 100
TEN_MIB = 10 * 1024 * 1024
INITIAL_WINDOW = 4
MAX_FRAME_SIZE = 5


def sized(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size


async def test_a_body_is_acknowledged_as_the_replica_takes_it(rig: Rig) -> None:
    client = Client(rig)
    client.send(client.head(1, POST, end=False))
    whole = random.Random(1).randbytes(TEN_MIB)
    room = {0: 65_535, 1: 65_535}
    client.take()
    room[0] += client.room.pop(0)
    room[1] += client.settings[INITIAL_WINDOW] - 65_535
    at = 0
    while at < len(whole):
        size = min(16_384, len(whole) - at, *room.values())
        assert size > 0, f"no room for a byte after {at}"
        client.send(data(1, whole[at : at + size]))
        at += size
        client.take()
        for stream in room:
            room[stream] += client.room.pop(stream, 0) - size
    client.send(data(1, b"", end=True))
    got = rig.replica.message()
    assert (got.body == whole, got.whole) == (True, True)
    rig.replica.send(OK)
    assert client.reply(1).body == b"ok"


async def test_a_request_that_is_held_gets_no_more_room_and_others_do(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))
    client = Client(rig)
    client.request(1)
    client.send(client.head(3, POST, end=False))
    client.send(*[data(3, bytes(16_384))] * 8)
    client.take()
    assert client.room[3] == KEPT_BODY, "what was taken before it was held"
    assert STREAM_WINDOW - 8 * 16_384 == 0
    for stream in (5, 7):
        client.send(client.head(stream, POST, end=False), data(stream, bytes(16_000)))
    rig.upstreams[0].send(OK)
    assert client.reply(1).body == b"ok"
    held = rig.upstreams[0]
    assert len(held.take()) > 8 * 16_384, "the kept connection took what was held"
    client.take()
    assert client.room[3] == 8 * 16_384
    assert client.goaway is None


async def test_a_replica_that_takes_nothing_stops_its_stream_alone(rig: Rig) -> None:
    client = Client(rig)
    client.send(client.head(1, POST, end=False), data(1, b"a"))
    slow = rig.replica
    slow.clog(True)
    client.send(*[data(1, bytes(16_384))] * 7)
    client.send(client.head(3, POST, end=False))
    client.send(*[data(3, bytes(16_384))] * 7)
    client.take()
    assert client.room[1] == 0
    assert client.room[3] > 0
    slow.clog(False)
    client.take()
    assert client.room[1] == 7 * 16_384 + 1


async def test_padding_is_given_back_too(rig: Rig) -> None:
    client = Client(rig)
    client.send(client.head(1, POST, end=False))
    frame = data(1, b"a" * 16_000)
    frame.flags.add("PADDED")
    frame.pad_length = 255
    client.send(*[frame] * 8)
    client.take()
    assert client.room[1] >= 4 * 16_256
    assert len(rig.replica.message().body) == 8 * 16_000


async def test_what_comes_for_a_request_that_is_over_is_given_back(rig: Rig) -> None:
    rig.configure(routes=[])
    client = Client(rig)
    client.take()
    start = client.room.pop(0) + 65_535
    for stream in range(1, 2 * 90, 2):
        client.send(client.head(stream, POST, end=False), *[data(stream, bytes(16_384))] * 8)
    client.take()
    assert start - 90 * 8 * 16_384 + client.room[0] > start / 2
    assert client.goaway is None


async def test_what_comes_behind_a_refusal_that_waits_gets_no_more_room(rig: Rig) -> None:
    rig.configure(routes=[])
    client = Client(rig, {INITIAL_WINDOW: 0})
    client.send(client.head(1, POST, end=False))
    client.send(*[data(1, bytes(16_384))] * 8)
    assert client.reply(1).status == 404
    assert client.room[1] == 0


async def test_a_reply_waits_for_the_window_and_its_replica_is_held(rig: Rig) -> None:
    client = Client(rig, {INITIAL_WINDOW: 10})
    client.request(1)
    upstream = rig.replica
    upstream.send(sized(HIGH + 100))
    upstream.send(bytes(HIGH))
    assert client.reply(1).body == bytes(10)
    assert not upstream.paused
    upstream.send(bytes(50))
    assert upstream.paused
    client.send(window(1, 100), window(0, 1000))
    assert len(client.reply(1).body) == 110
    client.send(window(1, 60_000))
    assert len(client.reply(1).body) == 60_110
    assert not upstream.paused
    upstream.send(bytes(50))
    client.send(window(0, 10_000), window(1, 10_000))
    reply = client.reply(1)
    assert (len(reply.body), reply.ended, reply.reset) == (HIGH + 100, True, None)


async def test_a_stream_without_room_stalls_no_other(rig: Rig) -> None:
    client = Client(rig, {INITIAL_WINDOW: 20})
    client.request(1)
    client.request(3)
    first, second = rig.upstreams
    first.send(sized(1000) + bytes(1000))
    second.send(sized(12) + b"not stalled!")
    assert (client.reply(3).body, client.streams[3].ended) == (b"not stalled!", True)
    assert len(client.reply(1).body) == 20
    client.send(window(1, 5000))
    assert (len(client.reply(1).body), client.streams[1].ended) == (1000, True)


async def test_a_window_larger_by_setting_lets_replies_go_on(rig: Rig) -> None:
    client = Client(rig, {INITIAL_WINDOW: 0})
    client.request(1)
    rig.replica.send(OK)
    assert (client.reply(1).status, client.streams[1].body) == (200, b"")
    client.send(SettingsFrame(0, settings={INITIAL_WINDOW: 100}))
    assert (client.reply(1).body, client.streams[1].ended) == (b"ok", True)


async def test_a_window_may_become_negative_by_setting(rig: Rig) -> None:
    client = Client(rig, {INITIAL_WINDOW: 10})
    client.request(1)
    rig.replica.send(sized(20) + bytes(20))
    client.send(SettingsFrame(0, settings={INITIAL_WINDOW: 3}))
    client.send(window(1, 6))
    assert len(client.reply(1).body) == 10
    client.send(window(1, 11))
    assert (len(client.reply(1).body), client.streams[1].ended) == (20, True)


async def test_streams_take_turns(rig: Rig) -> None:
    client = Client(rig)
    client.request(1)
    client.request(3)
    first, second = rig.upstreams
    client.wire.clog(True)
    first.send(sized(60_000) + bytes(60_000))
    second.send(sized(60_000) + bytes(60_000))
    client.wire.clog(False)
    client.take()
    sizes = [len(client.streams[n].body) for n in (1, 3)]
    assert sum(sizes) == 65_535
    assert min(sizes) >= 65_535 // 2 - 16_384
    client.send(window(0, 60_000))
    assert client.reply(1).ended
    assert client.reply(3).ended


async def test_a_narrow_window_is_shared_too(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=3)))
    client = Client(rig)
    for stream in (1, 3, 5):
        client.request(stream)
    first, second, third = rig.upstreams
    first.send(sized(65_535) + bytes(65_535))
    assert client.reply(1).ended
    second.send(sized(60_000) + bytes(60_000))
    third.send(sized(60_000) + bytes(60_000))
    for _ in range(4):
        client.send(window(0, 10_000))
    assert [len(client.reply(n).body) for n in (3, 5)] == [20_000, 20_000]


async def test_a_reply_of_ten_mebibytes_comes_whole(rig: Rig) -> None:
    client = Client(rig, {INITIAL_WINDOW: (1 << 31) - 1, MAX_FRAME_SIZE: 1 << 20})
    client.send(window(0, (1 << 31) - 1 - 65_535))
    client.request(1)
    whole = random.Random(2).randbytes(TEN_MIB)
    rig.replica.send(sized(TEN_MIB))
    for at in range(0, TEN_MIB, 262_144):
        rig.replica.send(whole[at : at + 262_144])
    reply = client.reply(1)
    assert (reply.body == whole, reply.ended) == (True, True)


async def test_a_hundred_requests_are_under_way_at_once(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=MANY)))
    client = Client(rig)
    streams = range(1, 2 * MANY, 2)
    client.send(*[client.head(n, but(GET, path=b"/%d" % n)) for n in streams])
    assert len(rig.upstreams) == MANY
    for upstream in reversed(rig.upstreams):
        path = upstream.message().start.split(b" ")[1]
        upstream.send(sized(len(path)) + path)
    for n in streams:
        assert (client.reply(n).body, client.streams[n].ended) == (b"/%d" % n, True)
    assert client.goaway is None


async def test_a_client_that_takes_nothing_is_not_read_from(rig: Rig) -> None:
    client = Client(rig)
    client.request(1)
    client.wire.clog(True)
    assert client.wire.paused
    rig.replica.send(OK)
    client.wire.clog(False)
    assert not client.wire.paused
    assert client.reply(1).body == b"ok"


async def test_a_reply_that_nobody_takes_is_given_up(rig: Rig) -> None:
    client = Client(rig, {INITIAL_WINDOW: 0})
    client.request(1)
    rig.replica.send(OK)
    client.request(3)
    rig.replica.send(CHUNKS + b"%x\r\n" % (2 * HIGH) + bytes(2 * HIGH))
    busy = rig.replica
    assert busy.paused
    rig.advance(21)
    assert client.reply(1).reset == ErrorCodes.CANCEL
    assert client.reply(3).reset == ErrorCodes.INTERNAL_ERROR
    assert busy.closed
    assert client.goaway is None
    assert [line["outcome"] for line in rig.logged()] == ["ok", "client_stalled"]
