"""Priority classes, tenants and refusing for lack of room, as clients see it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet import wire
from fleet.telemetry import slab as words
from fleet.telemetry.slab import band_at, cell_at
from router import plane as plane_module
from tests.protocol.support import Rig, Wire, pool, replica, route, version

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLASSES = wire.QueueEntry(classes=("high", "low"), class_header="X-Priority", aging=0.0)
TENANTS = wire.QueueEntry(tenant_header="X-Tenant")


def queue(rig: Rig, entry: wire.QueueEntry = CLASSES, **changes: Any) -> None:
    """One slot, and a queue with these settings."""
    rig.configure(pool(queue=entry, **changes))
    rig.members(version("v1", replica("a-1", slots=1)))


def ask(rig: Rig, fields: str = "") -> Wire:
    client = rig.client()
    client.send(f"GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n".encode())
    return client


def high(rig: Rig) -> Wire:
    return ask(rig, "X-Priority: high\r\n")


def shed(rig: Rig, reason: str, band: int = 0) -> int:
    at = band_at(1, band) + words.BAND_SHED + words.SHED_REASONS.index(reason)
    return rig.row[at]


def served(client: Wire) -> bool:
    written = client.take()
    return b"200 OK" in written


async def test_the_higher_class_goes_first_and_the_log_names_it(rig: Rig) -> None:
    queue(rig)
    running, low, urgent = ask(rig), ask(rig), high(rig)
    rig.replica.send(OK)
    assert served(running)
    rig.replica.send(OK)
    assert (served(urgent), served(low)) == (True, False)
    rig.replica.send(OK)
    assert served(low)
    assert [line["class"] for line in rig.logged()] == ["low", "high", "low"]
    assert rig.row[band_at(1, 0) + words.BAND_QUEUED] == 1
    assert rig.row[band_at(1, 1) + words.BAND_UNQUEUED] == 1


async def test_a_routes_priority_is_its_requests_class(rig: Rig) -> None:
    first = msgspec.structs.replace(route(path="/urgent"), priority="high")
    rig.configure(pool(queue=CLASSES), routes=[first, route()])
    rig.members(version("v1", replica("a-1", slots=1)))
    client = rig.client()
    client.send(b"GET /urgent HTTP/1.1\r\nHost: h\r\n\r\n")
    rig.replica.send(OK)
    assert served(client)
    assert rig.logged()[0]["class"] == "high"


async def test_in_a_full_queue_a_higher_class_takes_the_place_of_a_lower(rig: Rig) -> None:
    queue(rig, queue_limit=1)
    ask(rig)
    low = ask(rig)
    urgent = high(rig)
    got = low.message()
    assert (got.status, got.get(b"retry-after")) == (503, b"1")
    assert b"overloaded" in got.body
    assert shed(rig, "displaced", band=1) == 1
    refused = high(rig)
    assert b"queue_full" in refused.message().body
    rig.replica.send(OK)
    rig.replica.send(OK)
    assert served(urgent)


async def test_what_comes_behind_a_displaced_request_does_not_get_over_the_limit(rig: Rig) -> None:
    queue(rig, queue_limit=1)
    ask(rig)
    low = rig.client()
    low.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 3)
    urgent = high(rig)
    assert [m.status for m in low.messages()] == [503] * 3
    assert rig.plane.directory.pools["agents"].queued == 1
    rig.replica.send(OK)
    rig.replica.send(OK)
    assert served(urgent)


async def test_those_who_give_way_while_others_time_out_are_told_once(rig: Rig) -> None:
    queue(rig, queue_limit=2)
    ask(rig)
    first = rig.client()
    first.send(
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        b"GET /1 HTTP/1.1\r\nHost: h\r\nX-Priority: high\r\n\r\n"
        b"GET /2 HTTP/1.1\r\nHost: h\r\nX-Priority: high\r\n\r\n"
    )
    second = ask(rig)
    rig.configure(pool(queue=CLASSES, queue_limit=1))
    rig.advance(10.1)
    assert [m.status for m in first.messages()] == [503]
    assert [m.status for m in second.messages()] == [503]
    assert shed(rig, "displaced", band=1) == 1


async def test_a_tenant_that_fills_the_queue_gives_way_to_another(rig: Rig) -> None:
    queue(rig, TENANTS, queue_limit=3)
    greedy = [ask(rig, "X-Tenant: a\r\n") for _ in range(4)]
    other = ask(rig, "X-Tenant: b\r\n")
    got = greedy[3].message()
    assert got.status == 429
    assert got.get(b"retry-after") == b"1"
    assert b"tenant_share" in got.body
    assert shed(rig, "share") == 1
    for _ in range(3):
        rig.replica.send(OK)
    assert served(other)


async def test_who_has_waited_too_long_in_a_standing_queue_is_refused(rig: Rig) -> None:
    queue(rig, wire.QueueEntry(target=0.2, interval=1.0))
    ask(rig)
    waits = ask(rig)
    rig.advance(1.0)
    assert waits.take() == b""
    rig.advance(0.4)
    got = waits.message()
    assert got.status == 503
    assert b"overloaded" in got.body
    assert shed(rig, "delay") == 1


async def test_after_a_stall_a_higher_class_waits_for_what_refusing_a_lower_one_brings(
    rig: Rig,
) -> None:
    entry = msgspec.structs.replace(CLASSES, target=0.2, interval=0.4)
    queue(rig, entry)
    ask(rig)
    low, urgent = ask(rig), high(rig)
    rig.advance(0.2)
    rig.clock.now += 1.0
    rig.advance(0.5)
    assert (low.message().status, urgent.message().status) == (503, 503), "nothing came free"
    low, urgent = ask(rig), high(rig)
    rig.advance(0.2)
    rig.clock.now += 1.0
    rig.advance(0.1)
    assert low.message().status == 503
    assert urgent.take() == b""
    rig.replica.send(OK)
    rig.replica.send(OK)
    assert served(urgent)


async def test_the_hint_tells_when_a_starting_replica_is_expected(rig: Rig) -> None:
    rig.configure(pool(queue_limit=0))
    starting = msgspec.structs.replace(version("v1"), ready_at=rig.clock.now + 7.5)
    rig.members(starting)
    assert ask(rig).message().get(b"retry-after") == b"8"
    rig.advance(10)
    assert ask(rig).message().get(b"retry-after") == b"10", "it is overdue: the queue's timeout"


async def test_new_settings_of_a_queue_lose_nobody_who_waits(rig: Rig) -> None:
    queue(rig)
    running, low, urgent = ask(rig), ask(rig), high(rig)
    rig.configure(pool())
    for client in (running, urgent, low):
        rig.replica.send(OK)
        assert served(client)
    rig.configure(pool(queue=CLASSES))
    running, waits = ask(rig), ask(rig)
    rig.replica.send(OK)
    rig.replica.send(OK)
    assert served(running) and served(waits)


async def test_a_worker_that_lags_refuses_all_but_critical_pools(rig: Rig) -> None:
    pools = [pool("agents"), pool("vital", version("v1", block=2), critical=True)]
    rig.configure(*pools, routes=[route("vital", "/vital"), route()])
    rig.members(version("v1", replica("a-1")))
    rig.members(version("v1", replica("b-2"), block=2), pool_name="vital")
    rig.plane.overload.configure(wire.OverloadEntry(lag=0.05))
    for _ in range(20):
        rig.plane.tick(0.11)
    got = ask(rig).message()
    assert (got.status, got.get(b"retry-after")) == (503, b"1")
    assert shed(rig, "lag") == 1
    client = rig.client()
    client.send(b"GET /vital HTTP/1.1\r\nHost: h\r\n\r\n")
    rig.replica.send(OK)
    assert served(client)
    for _ in range(20):
        rig.plane.tick(0.0)
    client = ask(rig)
    rig.replica.send(OK)
    assert served(client)


async def test_a_pool_with_a_full_queue_takes_nothing_from_another(rig: Rig) -> None:
    rig.configure(
        pool(queue_limit=3), pool("other", version("v1", block=2), queue_limit=3),
        routes=[route("other", "/other"), route()],
    )  # fmt: skip
    rig.members(version("v1", replica("a-1", slots=1)))
    rig.members(version("v1", replica("b-2", slots=1), block=2), pool_name="other")
    crowd = [ask(rig) for _ in range(6)]
    assert [b"queue_full" in c.take() for c in crowd] == [False] * 4 + [True] * 2
    others = [rig.client() for _ in range(4)]
    for client in others:
        client.send(b"GET /other HTTP/1.1\r\nHost: h\r\n\r\n")
    for client in others:
        rig.replica.send(OK)
        assert served(client)


@pytest.mark.parametrize("critical", [False, True], ids=["ordinary", "critical"])
async def test_the_last_connections_are_for_critical_pools(rig: Rig, critical: bool) -> None:
    rig.configure(
        pool(critical=critical), pool("vital", version("v1", block=2), critical=True),
        routes=[route()], limits={"connections": 32},
    )  # fmt: skip
    rig.members(version("v1", replica("a-1", slots=99)))
    kept = [rig.client() for _ in range(30)]
    last = ask(rig)
    if critical:
        rig.replica.send(OK)
        assert served(last)
    else:
        assert b"too_many_connections" in last.message().body
        assert last.closed or last.half_closed
        assert shed(rig, "connections") == 1
    kept[0].hang_up()
    last.hang_up()
    again = ask(rig)
    rig.replica.send(OK)
    assert served(again)


async def test_slots_that_are_found_out_are_told_and_bounded(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=6, adaptive=True)))
    at = cell_at(1) + words.CELL_LIMIT
    assert rig.row[at] == 4
    clients = [ask(rig) for _ in range(8)]
    assert len(rig.upstreams) == 4
    for _ in range(400):
        busy = [u for u in rig.upstreams if u.take()]
        rig.advance(0.5)
        for upstream in busy:
            upstream.send(OK)
        for client in clients:
            if served(client):
                client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert rig.row[at] == 6
    assert rig.plane.directory.pools["agents"].versions["v1"].replicas["a-1"].in_flight == 6


async def test_a_worker_short_of_memory_gives_back_what_is_free_and_serves_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [1000]
    monkeypatch.setattr(plane_module, "resident_bytes", lambda: sizes[-1])
    monkeypatch.setattr(plane_module, "shrink_heap", lambda: sizes.append(sizes[-1] // 2))
    rig.plane.overload.configure(wire.OverloadEntry(memory=1000))
    rig.advance(1.0)
    assert sizes == [1000, 500]
    client = ask(rig)
    rig.replica.send(OK)
    assert served(client)
    sizes.append(4000)
    rig.advance(1.0)
    assert shed(rig, "memory") == 0
    assert ask(rig).message().status == 503
    assert shed(rig, "memory") == 1
    rig.advance(5.0)
    client = ask(rig)
    rig.replica.send(OK)
    assert served(client)
