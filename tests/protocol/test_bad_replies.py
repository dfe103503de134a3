"""Replicas that fail: before they reply, while they do, and by breaking HTTP."""

from __future__ import annotations

import pytest

from fleet import wire
from fleet.telemetry import slab as words
from tests.protocol.play import play
from tests.protocol.steps import GET, OK, answer
from tests.protocol.support import Rig, replica, version

PUT = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"

BAD_REPLIES = {
    "garbage": b"\x00\xff\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a bad status line": b"HTTP/1.1 abc\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 Low\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: 1a\r\n\r\na",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a coding before chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "chunked twice": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunks on HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a switch of protocols": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc"),
    "a body behind a 1xx": b"HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\nhello" + OK,
    "a head that is too large": b"HTTP/1.1 200 OK\r\n" + b"X-Fill: %s\r\n" % (b"a" * 1000) * 300,
}  # fmt: skip


@pytest.mark.parametrize("reply", BAD_REPLIES.values(), ids=BAD_REPLIES)
async def test_the_client_gets_502_and_the_connection_goes_for(reply: bytes) -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(GET)
        rig.replica.send(reply)
        got = client.messages()[-1]
        client.take()
        assert (got.status, got.whole) == (502, True)
        assert rig.upstreams[0].closed == "abort"
        assert len(rig.upstreams) == 1
        assert rig.count(words.UPSTREAM_FAILURES, 1) == 1
        client.send(GET)
        answer(rig.replica, client)
        return got.status

    if len(reply) > 10_000:
        with pytest.MonkeyPatch.context() as patch:
            rig = Rig(patch)
            scenario(rig)
            rig.end()
    else:
        play(scenario)


async def test_endless_1xx_replies_are_cut_off(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    for _ in range(300):
        rig.replica.send(b"HTTP/1.1 103 Hints\r\nLink: %s\r\n\r\n" % (b"a" * 1000))
    assert client.messages()[-1].status == 502


TRUNCATED = {
    "by length": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal", False),
    "by chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhal\r\n", False),
    "inside a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhal", False),
    "until close, by a reset": (b"HTTP/1.1 200 OK\r\n\r\nhal", True),
}


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("case", TRUNCATED.values(), ids=TRUNCATED)
async def test_a_reply_broken_off_has_no_clean_end(case: tuple[bytes, bool], minor: int) -> None:
    reply, by_reset = case

    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(b"GET / HTTP/1.%d\r\nHost: h\r\n\r\n" % minor)
        rig.replica.send(reply)
        if by_reset:
            rig.replica.reset()
        else:
            rig.replica.hang_up()
        got = client.message()
        assert (got.body, got.whole) == (b"hal", False)
        if got.get(b"content-length") is None and minor == 0:
            assert client.closed == "abort", "a clean close would pass for the end"
        else:
            assert client.half_closed
        assert rig.count(words.UPSTREAM_FAILURES, 1) == 1
        assert len(rig.upstreams) == 1
        return got.body

    play(scenario)


async def test_a_bad_chunk_truncates_the_reply(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    rig.replica.send(b"zz\r\n")
    got = client.message()
    assert (got.body, got.whole) == (b"a", False)
    assert rig.replica.closed == "abort"


@pytest.mark.parametrize("raw", [GET, PUT], ids=["GET", "PUT"])
async def test_a_repeatable_request_goes_to_another_replica_when_the_first_closes(
    raw: bytes,
) -> None:
    def scenario(rig: Rig) -> object:
        rig.members(version("v1", replica("a-1"), replica("a-2")))
        client = rig.client()
        client.send(raw)
        first = rig.replica
        sent = first.message()
        first.hang_up()
        assert rig.replica is not first
        again = rig.replica.message()
        assert (again.start, again.body) == (sent.start, sent.body)
        answer(rig.replica, client)
        assert rig.count(words.RETRIES, 1) == 1
        assert rig.count(words.STARTED, 1) == rig.count(words.REQUESTS + 2, 1) == 1
        suspects = [m.replica for m in rig.told if isinstance(m, wire.Suspect)]
        assert suspects == ["a-1"]
        return sent.body

    play(scenario)


async def test_a_post_is_not_repeated(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1"), replica("a-2")))
    client = rig.client()
    client.send(POST)
    rig.replica.hang_up()
    got = client.message()
    assert (got.status, len(rig.upstreams)) == (502, 1)
    assert b"upstream_closed" in got.body


async def test_a_request_is_sent_four_times_at_most(rig: Rig) -> None:
    rig.members(version("v1", *[replica(f"a-{n}") for n in range(1, 7)]))
    client = rig.client()
    client.send(GET)
    while not client.written:
        rig.replica.hang_up()
    assert client.message().status == 502
    assert len(rig.upstreams) == 4
    assert rig.logged()[0]["retries"] == 3


async def test_a_repeat_takes_up_the_body_where_the_client_is(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1"), replica("a-2")))
    client = rig.client()
    client.send(PUT[:-3])
    rig.replica.hang_up()
    client.send(PUT[-3:])
    assert rig.replica.message().body == b"hello"
    answer(rig.replica, client)


async def test_a_body_larger_than_what_is_kept_is_not_repeated(rig: Rig) -> None:
    client = rig.client()
    client.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n" + b"a" * 70000)
    rig.replica.hang_up()
    assert client.message().status == 502


async def test_a_refused_connection_is_tried_elsewhere_whatever_the_method(rig: Rig) -> None:
    rig.dialling = "manual"
    rig.members(version("v1", replica("a-1"), replica("a-2")))
    client = rig.client()
    client.send(POST)
    rig.dials.popleft().refuse()
    dial = rig.dials.popleft()
    assert dial.to.name == "a-2"
    dial.answer()
    answer(rig.replica, client)
    assert rig.told == [wire.Suspect(replica="a-1", error="Connection refused")]


async def test_a_suspected_replica_rests_a_second_unless_control_speaks_for_it(rig: Rig) -> None:
    rig.dialling = "manual"
    client = rig.client()
    client.send(GET)
    rig.dials.popleft().refuse()
    assert not rig.dials
    rig.advance(0.9)
    assert not rig.dials
    rig.advance(0.2)
    rig.dials.popleft().refuse()
    rig.members(version("v1", replica("a-1"), replica("a-2", serving=False)))
    assert not rig.dials, "a change that says nothing of it"
    rig.members(version("v1", replica("a-1", serving=False)))
    rig.members(version("v1", replica("a-1")))
    rig.dials.popleft().answer()
    answer(rig.replica, client)


async def test_a_replica_that_refuses_all_the_time_makes_502_or_503_in_the_end(rig: Rig) -> None:
    rig.dialling = "manual"
    client = rig.client()
    client.send(GET)
    for _ in range(30):
        while rig.dials:
            rig.dials.popleft().refuse()
        rig.advance(0.5)
    assert client.message().status in (502, 503)
    assert len(rig.logged()) == 1
