"""How long connections live, on both sides, and what ends them."""

# a wire changes state by calls mypy does not follow
# mypy: disable-error-code="unreachable,comparison-overlap"

from __future__ import annotations

import pytest

from fleet.telemetry import slab as words
from fleet.telemetry.slab import worker_at
from router.http.connection import GONE
from router.http.downstream import Downstream
from router.http2.connection import Connection
from tests.protocol.play import play
from tests.protocol.steps import GET, OK, answer, served
from tests.protocol.support import Rig, replica, version

EARLY = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"


async def test_both_connections_are_kept() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        for _ in range(5):
            client.send(GET)
            answer(rig.replica, client)
        return len(rig.upstreams), client.half_closed

    play(scenario)


CLOSING = {
    "the client says close": (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", True),
    "the client says Close among others": (
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", True),
    "the client speaks 1.0": (b"GET / HTTP/1.0\r\nHost: h\r\n\r\n", True),
    "the client says nothing": (GET, False),
}  # fmt: skip


@pytest.mark.parametrize("case", CLOSING.values(), ids=CLOSING)
async def test_the_clients_connection_when(case: tuple[bytes, bool]) -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(case[0])
        rig.replica.send(OK)
        got = client.message()
        assert (got.get(b"connection") == b"close") is case[1]
        assert client.half_closed is case[1]
        assert not rig.replica.closed
        return got.body

    play(scenario)


DROPPED = {
    "it says close": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    "it speaks 1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("reply", DROPPED.values(), ids=DROPPED)
async def test_the_replicas_connection_is_not_used_again_when(reply: bytes) -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(GET)
        rig.replica.send(reply)
        first = client.message()
        assert first.whole
        client.send(GET)
        assert len(rig.upstreams) == 2
        assert rig.upstreams[0].closed
        answer(rig.replica, client)
        return first.status, first.body

    play(scenario)


EXCESS = {
    "bytes follow the message": (b"GET", OK + b"!"),
    "another reply follows": (b"GET", OK + OK),
    "a body follows a reply without one": (b"GET", b"HTTP/1.1 204 No Content\r\n\r\nbody"),
    "a body follows a reply to HEAD": (b"HEAD", OK),
}  # fmt: skip


@pytest.mark.parametrize("case", EXCESS.values(), ids=EXCESS)
async def test_a_reply_is_not_believed_when(rig: Rig, case: tuple[bytes, bytes]) -> None:
    method, reply = case
    client = rig.client()
    client.send(method + b" / HTTP/1.1\r\nHost: h\r\n\r\n")
    rig.replica.send(reply)
    assert client.message(bodiless=method == b"HEAD").status == 502
    assert rig.upstreams[0].closed == "abort"
    client.send(GET)
    answer(rig.replica, client)


@pytest.mark.parametrize("case", EXCESS.values(), ids=EXCESS)
async def test_what_comes_too_late_to_be_told_goes_nowhere_when(
    rig: Rig, case: tuple[bytes, bytes]
) -> None:
    method, reply = case
    rig.cut = lambda label, data: [data[i : i + 1] for i in range(len(data))]
    client = rig.client()
    client.send(method + b" / HTTP/1.1\r\nHost: h\r\n\r\n")
    rig.replica.send(reply)
    assert client.message(bodiless=method == b"HEAD").status in (200, 204)
    assert rig.upstreams[0].closed == "abort"
    client.send(GET)
    assert len(rig.upstreams) == 2
    answer(rig.replica, client)


async def test_bytes_behind_the_last_chunk_end_the_connection(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + OK)
    assert client.message().status == 200
    assert rig.upstreams[0].closed == "abort"


async def test_bytes_nobody_asked_for_end_an_idle_connection(rig: Rig) -> None:
    client = served(rig)
    rig.upstreams[0].send(OK)
    assert rig.upstreams[0].closed == "abort"
    client.send(GET)
    assert len(rig.upstreams) == 2
    answer(rig.replica, client)


async def test_a_connection_whose_end_has_been_read_is_not_used(rig: Rig) -> None:
    client = served(rig)
    rig.upstreams[0].eof()  # the loop says connection_lost only in its next turn
    client.protocol.data_received(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    rig.turn()
    assert len(rig.upstreams) == 2
    answer(rig.replica, client)


async def test_an_idle_connection_closed_by_the_replica_is_forgotten(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(OK)
    rig.upstreams[0].hang_up()
    client.take()
    client.send(GET)
    assert len(rig.upstreams) == 2
    answer(rig.replica, client)


async def test_a_kept_connection_ends_with_its_replicas_service(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(OK)
    rig.members(version("v1", replica("a-1", serving=False)))
    assert rig.upstreams[0].closed == "close"


async def test_a_replica_that_has_moved_is_dialled_at_its_new_address(rig: Rig) -> None:
    client = served(rig)
    rig.members(version("v1", replica("a-1", serving=False, port=9001)))
    rig.members(version("v1", replica("a-1", port=9555)))
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert rig.upstreams[0].closed
    assert rig.replica.message().get(b"host") == b"10.0.0.1:9555"
    assert rig.replica.protocol._replica.port == 9555  # type: ignore[union-attr]
    answer(rig.replica, client)


async def test_an_early_reply_ends_both_connections() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
        rig.replica.send(EARLY)
        got = client.message()
        assert (got.status, got.body, got.get(b"connection")) == (413, b"no", b"close")
        assert client.half_closed
        assert rig.replica.closed == "abort"
        client.send(b"67890" + GET)
        assert client.take() == b""
        return got.status

    play(scenario)


async def test_a_body_behind_a_refusal_is_thrown_away_and_the_connection_kept() -> None:
    def scenario(rig: Rig) -> object:
        rig.configure(routes=[])
        client = rig.client()
        client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
        assert client.message().status == 404
        client.send(b"67890")
        client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.message().status == 404
        client.send(b"3\r\nabc\r\n0\r\n\r\n")
        rig.configure()
        client.send(GET)
        rig.replica.send(OK)
        return client.message().body

    play(scenario)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 300000", b"Transfer-Encoding: chunked"], ids=["length", "chunks"]
)
async def test_a_big_body_behind_a_refusal_ends_the_connection(rig: Rig, framing: bytes) -> None:
    rig.configure(routes=[])
    client = rig.client()
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n")
    assert client.message().status == 404
    for _ in range(5):
        client.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    assert client.half_closed
    assert client.take() == b""


async def test_a_closing_connection_reads_on_for_a_while_and_is_then_cut(rig: Rig) -> None:
    client = rig.client()
    client.send(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
    rig.replica.send(OK)
    assert client.half_closed
    rig.advance(1.9)
    assert not client.closed
    rig.advance(0.2)
    assert client.closed == "abort"


async def test_what_follows_the_last_request_does_not_prolong_the_closing(rig: Rig) -> None:
    rig.configure(routes=[])
    client = rig.client()
    client.send(
        b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi" + GET
    )
    assert client.message().status == 404
    rig.advance(2.1)
    assert client.closed == "abort"


async def test_a_slow_client_gets_the_rest_of_its_reply_before_the_close(rig: Rig) -> None:
    client = rig.client()
    client.send(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
    client.unsent = 120_000
    rig.replica.send(OK)
    for unsent in (90_000, 60_000, 0):
        rig.advance(20)
        assert not client.closed, "cut off while the client was still taking bytes"
        client.unsent = unsent
        rig.advance(11)
    rig.advance(2)
    assert client.closed == "abort"


async def test_a_client_that_takes_nothing_more_is_cut_off(rig: Rig) -> None:
    client = rig.client()
    client.send(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
    client.unsent = 120_000
    rig.replica.send(OK)
    rig.advance(30.1)
    assert client.closed == "abort"


async def test_a_bad_chunk_in_a_body_thrown_away_is_not_answered_again(rig: Rig) -> None:
    rig.configure(routes=[])
    client = rig.client()
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert client.message().status == 404
    client.send(b"zz\r\n")
    assert client.take() == b""
    assert client.half_closed


async def test_connections_above_the_limit_are_refused(rig: Rig) -> None:
    rig.configure(limits={"connections": 1})
    first, second = rig.client(), rig.client()
    assert second.message().status == 503
    assert rig.row[worker_at() + words.CONNECTIONS_REFUSED] == 1
    assert second.half_closed
    second.send(GET)
    first.send(GET)
    rig.replica.send(OK)
    assert first.message().status == 200
    assert rig.count(words.REQUESTS + 5, 0) == 1


async def test_at_shutdown_idle_connections_close_and_busy_ones_after_their_reply(
    rig: Rig,
) -> None:
    idle, busy = rig.client(), rig.client()
    busy.send(GET)
    rig.plane.draining = True
    for downstream in list(rig.plane.downstreams):
        downstream.drain()
    rig.turn()
    assert idle.closed
    assert not busy.closed
    rig.replica.send(OK)
    assert busy.message().get(b"connection") == b"close"
    assert busy.half_closed


POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"


async def test_a_post_is_sent_elsewhere_when_the_kept_connection_closes_before_it_is_out(
    rig: Rig,
) -> None:
    client = served(rig)
    rig.replica.take()
    kept = rig.replica
    client.protocol.data_received(POST)  # in one turn of the loop with
    kept.eof()
    rig.turn()
    assert kept.take() == b""
    assert rig.replica is not kept
    assert rig.replica.message().body == b"hi"
    rig.replica.send(OK)
    assert client.message().status == 200


async def test_a_post_that_was_out_is_not_repeated(rig: Rig) -> None:
    client = served(rig)
    client.send(POST)
    rig.replica.hang_up()
    assert client.message().status == 502
    assert len(rig.upstreams) == 1


@pytest.mark.parametrize("kind", [Downstream, Connection])
async def test_a_lost_connection_lets_its_transport_go(
    rig: Rig, kind: type[Downstream | Connection]
) -> None:
    client = rig.client(kind)
    client.hang_up()
    assert client.protocol._transport is GONE


async def test_a_lost_connection_to_a_replica_lets_its_transport_go(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(OK)
    rig.replica.hang_up()
    assert rig.replica.protocol._transport is GONE
