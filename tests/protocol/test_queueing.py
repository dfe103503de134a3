"""Waiting for a slot, and what changes of membership and configuration do to those who wait."""

from __future__ import annotations

from fleet import wire
from fleet.telemetry import slab as words
from tests.protocol.steps import GET, OK, answer
from tests.protocol.support import Rig, Wire, pool, replica, route, version


def waiting(rig: Rig, count: int) -> list[Wire]:
    clients = [rig.client() for _ in range(count)]
    for client in clients:
        client.send(GET)
    return clients


def idle_told(rig: Rig) -> list[str]:
    return [m.replica for m in rig.told if isinstance(m, wire.Idle)]


def demands(rig: Rig) -> list[wire.Demand]:
    return [m for m in rig.told if isinstance(m, wire.Demand)]


async def test_slots_are_given_in_the_order_of_arrival(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))
    clients = waiting(rig, 4)
    for n, client in enumerate(clients):
        assert [bool(c.written) for c in clients[n:]] == [False] * (4 - n)
        answer(rig.replica, client)
    assert len(rig.upstreams) == 1
    assert rig.count(words.QUEUED, 1) == 3


async def test_the_queue_is_bounded(rig: Rig) -> None:
    rig.configure(pool(queue_limit=1))
    rig.members(version("v1", replica("a-1", slots=1)))
    first, second, third = waiting(rig, 3)
    got = third.message()
    assert (got.status, got.get(b"retry-after")) == (503, b"1")
    assert b"queue_full" in got.body
    assert not third.half_closed
    assert rig.count(words.SHED, 1) == 1
    for client in (first, second):
        answer(rig.replica, client)


async def test_from_zero_replicas_requests_wait_and_demand_is_told_once(rig: Rig) -> None:
    rig.members(version("v1"))
    clients = waiting(rig, 3)
    assert demands(rig) == [wire.Demand(pool="agents", version="v1")]
    rig.advance(5)
    rig.members(version("v1", replica("a-1", slots=3)))
    assert len(rig.upstreams) == 3
    for client, upstream in zip(clients, rig.upstreams, strict=True):
        answer(upstream, client)
    assert {line["wait_ms"] for line in rig.logged()} == {5000.0}


async def test_demand_is_told_anew_when_the_queue_forms_anew(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))
    for _ in range(2):
        clients = waiting(rig, 2)
        for client in clients:
            answer(rig.replica, client)
    assert len(demands(rig)) == 2


async def test_those_who_wait_for_a_vanished_version_wait_for_the_heaviest_left(
    rig: Rig,
) -> None:
    versions = [version("v1", weight=1), version("v2", weight=0, block=2),
                version("v3", weight=5, block=3)]  # fmt: skip
    rig.configure(pool("agents", version("v1")))
    rig.members(version("v1"))
    (client,) = waiting(rig, 1)
    rig.configure(pool("agents", *versions[1:]))
    assert demands(rig)[-1] == wire.Demand(pool="agents", version="v3")
    rig.members(versions[1], version("v3", replica("c-3"), weight=5, block=3))
    rig.replica.send(OK)
    assert client.message().get(b"x-served-by") == b"agents/v3"


async def test_those_moved_still_time_out_in_time(rig: Rig) -> None:
    both = pool("agents", version("v1"), version("v2", weight=0, block=2))
    rig.configure(both)
    rig.members(version("v1"), version("v2", weight=0, block=2))
    (old,) = waiting(rig, 1)
    rig.advance(5)
    named = rig.client()
    named.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-Headrace-Version: v2\r\n\r\n")
    rig.configure(pool("agents", version("v2", block=2)))
    rig.advance(5.15)
    assert old.message().status == 503
    assert named.take() == b""
    rig.advance(5)
    assert named.message().status == 503


async def test_a_removed_pool_sends_its_queue_away_and_finishes_what_runs(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))
    running, waits = waiting(rig, 2)
    rig.configure(pool("other"), routes=[route("other")])
    got = waits.message()
    assert got.status == 503
    assert b"pool_removed" in got.body
    assert idle_told(rig) == []
    answer(rig.replica, running)
    assert idle_told(rig) == ["a-1"]


async def test_a_draining_replica_is_idle_once_and_when_its_last_lease_ends(rig: Rig) -> None:
    first, second = waiting(rig, 2)
    rig.members(version("v1", replica("a-1", serving=False, draining=True)))
    assert idle_told(rig) == []
    answer(rig.upstreams[0], first)
    assert idle_told(rig) == []
    assert rig.upstreams[0].closed, "its connection was kept"
    answer(rig.upstreams[1], second)
    assert idle_told(rig) == ["a-1"]
    rig.members(version("v1", replica("a-1", serving=False, draining=True)))
    rig.members(version("v1"))
    assert idle_told(rig) == ["a-1"]


async def test_a_replica_without_leases_is_idle_as_soon_as_it_drains(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", draining=True, serving=False)))
    assert idle_told(rig) == ["a-1"]


async def test_an_unhealthy_replica_finishes_and_gets_nothing_new(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1"), replica("a-2")))
    (first,) = waiting(rig, 1)
    rig.members(version("v1", replica("a-1", serving=False), replica("a-2")))
    second, _third, fourth = waiting(rig, 3)
    assert {u.protocol._replica.name for u in rig.upstreams[1:]} == {"a-2"}  # type: ignore[union-attr]
    assert fourth.written == b""
    answer(rig.upstreams[0], first)
    assert len(rig.upstreams) == 3, "its free slot was used"
    rig.members(version("v1", replica("a-1"), replica("a-2")))
    assert len(rig.upstreams) == 4
    answer(rig.upstreams[1], second)


async def test_fewer_slots_take_effect_as_leases_end_and_more_at_once(rig: Rig) -> None:
    clients = waiting(rig, 4)
    assert len(rig.upstreams) == 2
    rig.members(version("v1", replica("a-1", slots=1)))
    rig.upstreams[0].send(OK)
    assert clients[0].message().body == b"ok"
    assert len(rig.upstreams) == 2
    assert rig.upstreams[0].written.count(b"GET") == 1
    rig.members(version("v1", replica("a-1", slots=3)))
    assert sum(bytes(u.written).count(b"GET") for u in rig.upstreams) == 4


async def test_a_pool_with_every_weight_0_has_nothing_to_offer(rig: Rig) -> None:
    rig.configure(pool("agents", version("v1", weight=0)))
    client = rig.client()
    client.send(GET)
    got = client.message()
    assert got.status == 503
    assert b"no_version" in got.body


async def test_a_version_without_replicas_is_passed_over_while_another_has_some(rig: Rig) -> None:
    rig.configure(pool("agents", version("v1"), version("v2", block=2)))
    rig.members(version("v1"), version("v2", replica("b-2", slots=20), block=2))
    for _ in range(4):
        client = rig.client()
        client.send(GET)
        rig.replica.send(OK)
        assert client.message().get(b"x-served-by") == b"agents/v2"


async def test_a_session_stays_on_its_version(rig: Rig) -> None:
    rig.configure(pool("agents", version("v1"), version("v2", block=2), affinity_cookie="sid"))
    rig.members(
        version("v1", replica("a-1", slots=50)), version("v2", replica("b-2", slots=50), block=2)
    )
    seen: dict[int, set[bytes | None]] = {}
    client = rig.client()
    for n in range(40):
        session = n % 10
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\nCookie: a=b; sid=%d\r\n\r\n" % session)
        for upstream in rig.upstreams:
            if upstream.take():
                upstream.send(OK)
        seen.setdefault(session, set()).add(client.message().get(b"x-served-by"))
    assert all(len(versions) == 1 for versions in seen.values())
    assert len(set.union(*seen.values())) == 2
