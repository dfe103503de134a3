"""A client that leaves: whatever is being done for it stops, and its slot is free at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleet.telemetry import slab as words
from tests.protocol.steps import GET, OK, answer
from tests.protocol.support import Rig, Wire, replica, version

LEAVE: dict[str, Callable[[Wire], None]] = {"by closing": Wire.hang_up, "by a reset": Wire.reset}


@pytest.fixture(params=[*LEAVE.values()], ids=[*LEAVE])
def leave(request: pytest.FixtureRequest) -> Callable[[Wire], None]:
    how: Callable[[Wire], None] = request.param
    return how


def one_slot(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))


def gone(rig: Rig) -> None:
    assert rig.count(words.CLIENT_ABORTS, 1) == 1
    assert rig.count(words.REQUESTS + 0, 1) + rig.count(words.REQUESTS + 2, 1) == 1
    assert [line["outcome"] for line in rig.logged()] == ["client_gone"]
    rig.check()


async def test_while_it_waits(rig: Rig, leave: Callable[[Wire], None]) -> None:
    one_slot(rig)
    first, second = rig.client(), rig.client()
    first.send(GET)
    second.send(GET)
    leave(second)
    gone(rig)
    answer(rig.replica, first)
    assert len(rig.upstreams) == 1


async def test_while_the_replica_is_dialled(rig: Rig, leave: Callable[[Wire], None]) -> None:
    one_slot(rig)
    rig.dialling = "manual"
    first, second = rig.client(), rig.client()
    first.send(GET)
    second.send(GET)
    leave(first)
    gone(rig)
    old, new = rig.dials
    rig.dials.clear()
    unused = old.answer()
    assert unused.closed == "close"
    assert unused.written == b""
    new.answer()
    answer(rig.replica, second)


async def test_while_the_dial_fails(rig: Rig, leave: Callable[[Wire], None]) -> None:
    rig.dialling = "manual"
    client = rig.client()
    client.send(GET)
    leave(client)
    rig.dials.popleft().refuse()
    gone(rig)
    assert not rig.told


async def test_while_its_request_is_sent(rig: Rig, leave: Callable[[Wire], None]) -> None:
    client = rig.client()
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
    leave(client)
    assert rig.replica.closed == "abort"
    gone(rig)


async def test_while_it_waits_for_the_reply(rig: Rig, leave: Callable[[Wire], None]) -> None:
    one_slot(rig)
    client, other = rig.client(), rig.client()
    client.send(GET)
    other.send(GET)
    leave(client)
    assert rig.upstreams[0].closed == "abort"
    assert len(rig.upstreams) == 2
    gone(rig)
    answer(rig.replica, other)


async def test_while_the_reply_streams(rig: Rig, leave: Callable[[Wire], None]) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    leave(client)
    assert rig.replica.closed == "abort"
    assert rig.count(words.UPSTREAM_FAILURES, 1) == 0
    gone(rig)


async def test_with_requests_pipelined(rig: Rig, leave: Callable[[Wire], None]) -> None:
    client = rig.client()
    client.send(GET * 5)
    leave(client)
    gone(rig)
    assert len(rig.upstreams) == 1


async def test_between_requests(rig: Rig, leave: Callable[[Wire], None]) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(OK)
    leave(client)
    assert rig.count(words.CLIENT_ABORTS) == 0
    assert not rig.replica.closed


async def test_inside_a_head(rig: Rig, leave: Callable[[Wire], None]) -> None:
    client = rig.client()
    client.send(GET[:10])
    leave(client)
    assert rig.count(words.STARTED) == 0
