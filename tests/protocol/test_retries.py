"""Requests that are sent again, and those that are not."""

from __future__ import annotations

import pytest

from fleet import wire
from fleet.telemetry import slab as words
from tests.protocol.steps import GET, OK, answer, forget_idle
from tests.protocol.support import Drawn, Rig, pool, replica, route, version

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
KEYED = b"POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: 7\r\nContent-Length: 4\r\n\r\nbody"
DECLINED = b"HTTP/1.1 503 No\r\nX-Headrace-Retry: true\r\nContent-Length: 4\r\n\r\nbusy"
BUSY = b"HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy"
EARLY = b"HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n"


def two(rig: Rig, slots: int = 2) -> None:
    rig.members(version("v1", replica("a-1", slots=slots), replica("a-2", slots=slots)))


def settings(rig: Rig, *, budget: wire.BudgetEntry | None = None, **tries: object) -> None:
    entry = wire.TriesEntry(**tries)  # type: ignore[arg-type]
    rig.configure(
        pool(budget=budget or wire.BudgetEntry()),
        routes=[wire.RouteEntry(
            host=None, path="/", methods=(), headers={}, pool="agents", tries=entry)],
    )  # fmt: skip


def asked(rig: Rig) -> list[str]:
    """Replicas in the order in which they were first connected to."""
    return [u.protocol._replica.name for u in rig.upstreams]  # type: ignore[union-attr]


@pytest.mark.parametrize("reply", [DECLINED, EARLY], ids=["503", "425"])
@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_what_was_not_begun_goes_to_another_replica(
    rig: Rig, reply: bytes, request_: bytes
) -> None:
    two(rig)
    client = rig.client()
    client.send(request_)
    rig.replica.send(reply)
    assert sorted(asked(rig)) == ["a-1", "a-2"]
    assert client.written == b""
    assert rig.replica.message().body == (b"body" if request_ is POST else b"")
    answer(rig.replica, client)
    (line,) = rig.logged()
    assert (line["retries"], line["retry_cause"]) == (1, "declined")
    assert rig.count(words.RETRIES) == 1


async def test_the_connection_of_a_declined_request_is_kept(rig: Rig) -> None:
    two(rig)
    client = rig.client()
    client.send(GET)
    first = rig.replica
    first.send(DECLINED)
    assert not first.closed
    assert len(first.protocol._replica.idle) == 1  # type: ignore[union-attr]
    answer(rig.replica, client)


async def test_a_long_body_of_a_declined_request_is_not_waited_for(rig: Rig) -> None:
    two(rig)
    client = rig.client()
    client.send(GET)
    first = rig.replica
    first.send(b"HTTP/1.1 425 No\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 70_000)
    assert first.closed == "abort"
    answer(rig.replica, client)


async def test_a_busy_replica_passes_on_what_may_be_repeated_only(rig: Rig) -> None:
    two(rig)
    get, post = rig.client(), rig.client()
    post.send(POST)
    rig.replica.send(BUSY)
    assert post.message().status == 503
    get.send(GET)
    rig.replica.send(BUSY)
    rig.upstreams[0].take()
    assert len(rig.upstreams) == 2
    for upstream in rig.upstreams:
        if upstream.written:
            upstream.send(OK)
    assert rig.count(words.RETRIES) == 1
    get.take()


async def test_when_every_replica_declines_the_client_gets_the_last_answer(rig: Rig) -> None:
    two(rig)
    client = rig.client()
    client.send(GET)
    for _ in range(4):
        (busy,) = [u for u in rig.upstreams if u.written]
        busy.take()
        busy.send(DECLINED)
    got = client.message()
    assert (got.status, got.body) == (503, b"busy")
    assert rig.count(words.RETRIES) == 3


LOST = {
    "a GET": (GET, {}, True),
    "a POST": (POST, {}, False),
    "a POST with a key": (KEYED, {"idempotency_key": True}, True),
    "a POST with a key where keys are not allowed": (KEYED, {}, False),
    "a GET whose route allows no repeat": (GET, {"attempts": 0}, False),
}


@pytest.mark.parametrize("case", LOST.values(), ids=LOST)
async def test_a_lost_connection_with(
    rig: Rig, case: tuple[bytes, dict[str, object], bool]
) -> None:
    request, tries, repeated = case
    settings(rig, **tries)
    two(rig)
    client = rig.client()
    client.send(request)
    rig.replica.hang_up()
    if not repeated:
        assert client.message().status == 502
        return
    assert sorted(asked(rig)) == ["a-1", "a-2"]
    answer(rig.replica, client)


BODIES = {"that was kept": (100, True), "too long to be kept": (101, False)}


@pytest.mark.parametrize("case", BODIES.values(), ids=BODIES)
async def test_a_body(rig: Rig, case: tuple[int, bool]) -> None:
    size, repeated = case
    settings(rig, body=100)
    two(rig)
    client = rig.client()
    client.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size)
    rig.replica.hang_up()
    if repeated:
        assert rig.replica.message().body == b"a" * size
        rig.replica.send(OK)
    assert client.message().status == (200 if repeated else 502)


async def test_a_silent_replica_is_given_up_for_another(rig: Rig) -> None:
    two(rig)
    client = rig.client()
    client.send(GET)
    rig.advance(60.2)
    assert len(rig.upstreams) == 2
    assert rig.upstreams[0].closed == "abort"
    answer(rig.replica, client)


async def test_nonsense_is_asked_for_again_elsewhere(rig: Rig) -> None:
    two(rig)
    client = rig.client()
    client.send(GET)
    rig.replica.send(b"SSH-2.0-OpenSSH_9.2\r\n")
    assert len(rig.upstreams) == 2
    answer(rig.replica, client)


async def test_the_repeat_waits_its_backoff(rig: Rig) -> None:
    settings(rig, backoff=0.4)
    two(rig)
    rig.plane.random = Drawn(0.5)
    client = rig.client()
    client.send(GET)
    rig.replica.hang_up()
    rig.advance(0.15)
    assert len(rig.upstreams) == 1
    rig.advance(0.15)
    assert len(rig.upstreams) == 2
    answer(rig.replica, client)


async def test_a_client_that_goes_during_the_backoff_leaves_nothing(rig: Rig) -> None:
    settings(rig, backoff=1.0)
    two(rig)
    rig.plane.random = Drawn(0.9)
    client = rig.client()
    client.send(GET)
    rig.replica.hang_up()
    client.hang_up()
    rig.advance(2)
    assert len(rig.upstreams) == 1


async def test_the_budget_bounds_repeats(rig: Rig) -> None:
    settings(rig, budget=wire.BudgetEntry(share=0, floor=0.2))
    two(rig)
    statuses = []
    for _ in range(4):
        client = rig.client()
        client.send(GET)
        rig.replica.hang_up()
        if not client.written:
            rig.replica.send(OK)
        statuses.append(client.message().status)
        forget_idle(rig)
    assert statuses == [200, 200, 502, 502]
    assert rig.count(words.RETRIES_DENIED) == 2


async def test_connections_that_are_refused_cost_no_budget(rig: Rig) -> None:
    settings(rig, budget=wire.BudgetEntry(share=0, floor=0))
    two(rig)
    rig.dialling = "manual"
    client = rig.client()
    client.send(POST)
    rig.dials.popleft().refuse()
    answer(rig.dials.popleft().answer(), client)


async def test_a_version_without_replicas_left_gives_its_repeats_to_another(rig: Rig) -> None:
    rig.configure(pool("agents", version("v1"), version("v2", weight=0, block=2)))
    rig.dialling = "manual"
    rig.members(version("v1", replica("a-1")), version("v2", replica("b-2"), weight=1, block=2))
    first, second = rig.client(), rig.client()
    first.send(GET)
    second.send(GET)
    while rig.dials:
        dial = rig.dials.popleft()
        if dial.to.name == "a-1":
            dial.refuse()
        else:
            dial.answer()
    for upstream in list(rig.upstreams):
        upstream.send(OK)
    for client in (first, second):
        assert client.message().get(b"x-served-by") == b"agents/v2"


async def test_a_repeat_counts_for_the_route_it_came_by(rig: Rig) -> None:
    none = wire.TriesEntry(attempts=0)
    rig.configure(
        pool(),
        routes=[
            wire.RouteEntry(
                host=None, path="/once", methods=(), headers={}, pool="agents", tries=none
            ),
            route(),
        ],
    )
    two(rig)
    once, more = rig.client(), rig.client()
    once.send(b"GET /once HTTP/1.1\r\nHost: h\r\n\r\n")
    rig.replica.hang_up()
    assert once.message().status == 502
    more.send(GET)
    rig.replica.hang_up()
    answer(rig.replica, more)


async def test_no_replica_is_asked_twice_while_there_are_others(rig: Rig) -> None:
    rig.members(version("v1", *(replica(f"a-{n}") for n in range(1, 5))))
    client = rig.client()
    client.send(GET)
    for _ in range(3):
        rig.replica.hang_up()
    assert sorted(asked(rig)) == ["a-1", "a-2", "a-3", "a-4"]
    answer(rig.replica, client)


async def test_a_scaler_at_its_maximum_leaves_a_quarter_of_the_budget(rig: Rig) -> None:
    settings(rig, budget=wire.BudgetEntry(share=0, floor=0.4))
    entry = version("v1", replica("a-1"), replica("a-2"))
    rig.plane.members(wire.Members(pool="agents", versions=(entry,), strained=True), lambda: -1)
    statuses = []
    for _ in range(2):
        client = rig.client()
        client.send(GET)
        (busy,) = [u for u in rig.upstreams if u.written and not u.closed]
        busy.hang_up()
        if not client.written:
            rig.replica.send(OK)
            rig.replica.take()
        statuses.append(client.message().status)
        forget_idle(rig)
    assert statuses == [200, 502]


GONE = {"its version has vanished": "agents", "its pool has vanished": "other"}


@pytest.mark.parametrize("heir", GONE.values(), ids=GONE)
async def test_a_repeat_goes_where_requests_go_now_when(rig: Rig, heir: str) -> None:
    settings(rig, backoff=1.0)
    two(rig)
    rig.plane.random = Drawn(0.5)
    client = rig.client()
    client.send(GET)
    rig.configure(pool(heir, version("v2", block=2)), routes=[route(heir)])
    rig.members(version("v2", replica("b-2"), block=2), pool_name=heir)
    rig.upstreams[0].hang_up()
    rig.advance(1)
    if heir == "other":
        assert b"pool_removed" in client.message().body
        return
    rig.replica.send(OK)
    assert client.message().get(b"x-served-by") == b"agents/v2"
