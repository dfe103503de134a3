"""Either side's full buffer stops the other side's reading, and nothing else."""

# a wire changes state by calls mypy does not follow
# mypy: disable-error-code="unreachable,comparison-overlap"

from __future__ import annotations

from typing import Any

from fleet.telemetry import slab as words
from router.http.exchange import KEPT_BODY
from tests.protocol.steps import GET, OK, answer
from tests.protocol.support import Rig, Wire, replica, version

CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def upload(size: int, method: bytes = b"POST") -> bytes:
    return method + b" / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size


async def test_a_slow_client_stops_the_reading_from_its_replica_alone(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1"), replica("a-2")))
    slow, quick = rig.client(), rig.client()
    slow.send(GET)
    first = rig.replica
    first.send(CHUNKS + b"1\r\na\r\n")
    slow.clog(True)
    assert first.paused
    quick.send(GET)
    answer(rig.replica, quick)
    first.send(b"1\r\nb\r\n0\r\n\r\n")
    slow.clog(False)
    assert slow.message().body == b"ab"
    assert not first.paused


async def test_a_client_slow_already_is_noticed_at_the_next_reply(rig: Rig) -> None:
    client = rig.client()
    client.send(GET + GET)
    rig.replica.send(OK)
    client.clog(True)
    rig.replica.send(CHUNKS)
    assert rig.replica.paused
    rig.replica.send(b"0\r\n\r\n")
    client.clog(False)
    assert [m.body for m in client.messages()] == [b"ok", b""]


async def test_a_connection_is_not_kept_paused(rig: Rig) -> None:
    client, other = rig.client(), rig.client()
    client.send(GET)
    rig.replica.protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    client.clog(True)
    rig.replica.protocol.data_received(b"ok")  # was read before the pause took effect
    assert not rig.replica.paused
    other.send(GET)
    answer(rig.replica, other)
    assert len(rig.upstreams) == 1


async def test_a_slow_replica_stops_the_reading_from_its_client(rig: Rig) -> None:
    client = rig.client()
    client.send(upload(10))
    rig.replica.clog(True)
    assert client.paused
    client.send(b"1234567890")
    rig.replica.clog(False)
    assert not client.paused
    assert rig.replica.message().body == b"1234567890"
    answer(rig.replica, client)


async def test_a_waiting_request_holds_64_kib_of_body_and_no_more(rig: Rig) -> None:
    rig.dialling = "manual"
    client = rig.client()
    client.send(upload(200_000))
    for _ in range(10):
        client.send(b"a" * 20_000)
    assert client.paused
    dial = rig.dials.popleft()
    dial.answer()
    got = rig.replica.message()
    assert (len(got.body), got.whole) == (200_000, True)
    answer(rig.replica, client)


async def test_a_replica_that_fills_up_with_the_body_held_stops_the_reading(rig: Rig) -> None:
    rig.dialling = "manual"
    client = rig.client()
    client.send(upload(200_000) + b"a" * (KEPT_BODY + 1))
    assert client.paused
    write = Wire.write

    def full(self: Wire, data: Any) -> None:
        write(self, data)
        if self.label == "replica" and len(self.written) > KEPT_BODY:
            self.protocol.pause_writing()  # as a transport does, from inside write

    Wire.write = full  # type: ignore[method-assign]
    try:
        rig.dials.popleft().answer()
    finally:
        Wire.write = write  # type: ignore[method-assign]
    assert client.paused, "the body would pile up in memory"
    rig.replica.clog(False)
    assert not client.paused


async def test_a_repeat_does_not_inherit_the_first_replicas_pause(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1"), replica("a-2")))
    client = rig.client()
    client.send(upload(10, b"PUT") + b"12345")
    rig.replica.clog(True)
    assert client.paused
    rig.replica.hang_up()
    assert len(rig.upstreams) == 2
    assert not client.paused, "nobody is left who would resume it"
    client.send(b"67890")
    assert rig.replica.message().body == b"1234567890"
    answer(rig.replica, client)


async def test_a_pause_ends_with_its_exchange(rig: Rig) -> None:
    client = rig.client()
    client.send(upload(3))
    rig.replica.clog(True)
    client.protocol.data_received(b"abc")
    answer(rig.replica, client)
    assert not client.paused
    client.send(GET)
    rig.replica.clog(False)
    answer(rig.replica, client)


async def test_a_client_that_stalls_is_cut_off_without_blaming_the_replica(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(CHUNKS + b"1\r\na\r\n")
    client.clog(True)
    rig.advance(20.5)
    assert client.half_closed
    assert rig.replica.closed == "abort"
    assert rig.count(words.UPSTREAM_FAILURES, 1) == 0
    assert rig.logged()[0]["outcome"] == "client_stalled"


async def test_a_replicas_silence_is_not_counted_while_it_is_not_read(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(CHUNKS + b"1\r\na\r\n")
    client.clog(True)
    rig.advance(19)
    client.clog(False)
    rig.advance(19)
    assert not rig.replica.closed
    rig.advance(1.5)
    assert rig.replica.closed == "abort"
    assert rig.logged()[0]["outcome"] == "stream_idle_timeout"
