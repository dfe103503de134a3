"""Balancing as clients and replicas see it: sessions, reported load, ejection, slow start."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet import wire
from fleet.telemetry import slab as words
from tests.protocol.support import Rig, Wire, pool, replica, version

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BROKEN = b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"
BALANCE = wire.BalanceEntry()
OUTLIERS = wire.OutliersEntry(
    failures=3, gateway_errors=2, interval=10.0, requests=100, replicas=5, success_deviations=1.9,
    latency_factor=0.0, time=30.0, max_time=300.0, max_ejected=0.1, panic=0.5,
)  # fmt: skip


def get(*fields: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n"


def fleet(rig: Rig, count: int, *, slots: int = 50, **settings: Any) -> None:
    rig.configure(pool(**settings))
    entries = [replica(f"a-{n}", slots=slots) for n in range(1, count + 1)]
    rig.members(version("v1", *entries))


def ask(rig: Rig, client: Wire, request: bytes, reply: bytes = OK) -> str:
    """Name of the replica that gets `request`; it answers at once."""
    client.send(request)
    asked = next(w for w in rig.upstreams if w.written and not w.closed)
    name: str = asked.protocol._replica.name  # type: ignore[union-attr]
    asked.take()
    asked.send(reply)
    assert client.message().whole
    return name


def told(rig: Rig, kind: type) -> list[str]:
    return [m.replica for m in rig.told if isinstance(m, kind)]  # type: ignore[attr-defined]


HASHED: dict[str, tuple[dict[str, Any], bytes]] = {
    "a header": ({"balancing": replace(BALANCE, header="X-User")}, b"x-user: %b"),
    "a cookie": ({"balancing": replace(BALANCE, cookie="user")}, b"Cookie: a=1; user=%b"),
    "the session": ({"affinity_header": "X-Session"}, b"X-Session: %b"),
}


@pytest.mark.parametrize(("settings", "field"), HASHED.values(), ids=HASHED)
async def test_consistent_hash_goes_by(rig: Rig, settings: dict[str, Any], field: bytes) -> None:
    fleet(rig, 4, balance="consistent_hash", **settings)
    client = rig.client()
    users = [b"user-%d" % n for n in range(20)]
    first = [ask(rig, client, get(field % user)) for user in users]
    assert [ask(rig, client, get(field % user)) for user in users] == first
    assert len(set(first)) == 4


async def test_consistent_hash_goes_by_the_address_when_nothing_else_is_named(rig: Rig) -> None:
    fleet(rig, 4, balance="consistent_hash")
    names = {ask(rig, rig.client(), get()) for _ in range(8)}
    assert len(names) == 1


async def test_a_session_stays_on_its_replica_while_others_come_and_go(rig: Rig) -> None:
    fleet(rig, 4, affinity_header="X-Session", affinity_replica=True)
    client = rig.client()
    sessions = [b"X-Session: %d" % n for n in range(40)]
    before = {s: ask(rig, client, get(s)) for s in sessions}
    rig.members(version("v1", *[replica(f"a-{n}", slots=50) for n in (1, 2, 4)]))
    after = {s: ask(rig, client, get(s)) for s in sessions}
    assert {before[s] for s in sessions if before[s] != after[s]} == {"a-3"}


async def test_requests_without_a_session_are_balanced_by_the_policy(rig: Rig) -> None:
    fleet(rig, 3, affinity_header="X-Session", affinity_replica=True, balance="round_robin")
    client = rig.client()
    assert [ask(rig, client, get()) for _ in range(6)] == ["a-1", "a-2", "a-3"] * 2


async def test_a_waiting_request_keeps_its_key(rig: Rig) -> None:
    fleet(rig, 2, slots=1, balance="consistent_hash", balancing=replace(BALANCE, header="K"))
    clients = [rig.client() for _ in range(3)]
    for client in clients:
        client.send(get(b"K: same"))
    busy = [w for w in rig.upstreams if w.written]
    assert len(busy) == 2
    for upstream in busy:
        upstream.take()
        upstream.send(OK)
    assert sum(bool(client.written) for client in clients) == 2
    next(w for w in rig.upstreams if w.written).send(OK)
    assert all(client.message().body == b"ok" for client in clients)


async def test_reported_load_turns_requests_away_and_does_not_reach_the_client(rig: Rig) -> None:
    fleet(rig, 2, balance="least_request", balancing=replace(BALANCE, load_header="X-Load"))
    client = rig.client()
    loaded = OK.replace(b"\r\n\r\n", b"\r\nX-Load: 40\r\n\r\n")
    client.send(get())
    busy = rig.replica.protocol._replica.name  # type: ignore[union-attr]
    rig.replica.take()
    rig.replica.send(loaded)
    assert client.message().get(b"x-load") is None
    assert {ask(rig, client, get()) for _ in range(10)} == {"a-1", "a-2"} - {busy}
    rig.advance(5.1)
    assert {ask(rig, client, get()) for _ in range(30)} == {"a-1", "a-2"}


async def test_load_that_control_was_told_counts_too(rig: Rig) -> None:
    fleet(rig, 2, balance="least_request")
    rig.plane.loads(wire.Loads(pool="agents", loads={"a-1": 30.0, "gone-1": 1.0}))
    rig.plane.loads(wire.Loads(pool="gone", loads={"a-1": 30.0}))
    client = rig.client()
    assert {ask(rig, client, get()) for _ in range(10)} == {"a-2"}


async def test_a_replica_that_answers_500_in_a_row_is_ejected_and_returns(rig: Rig) -> None:
    fleet(rig, 2, outliers=OUTLIERS)
    client = rig.client()

    def turn() -> str:
        client.send(get())
        asked = next(w for w in rig.upstreams if w.written and not w.closed)
        name: str = asked.protocol._replica.name  # type: ignore[union-attr]
        asked.take()
        asked.send(BROKEN if name == "a-1" else OK)
        client.take()
        return name

    assert [turn() for _ in range(5)] == ["a-1", "a-2", "a-1", "a-2", "a-1"]
    assert told(rig, wire.Ejected) == ["a-1"]
    assert {turn() for _ in range(20)} == {"a-2"}
    rig.advance(30.1)
    assert told(rig, wire.Returned) == ["a-1"]
    assert {turn() for _ in range(2)} == {"a-1", "a-2"}


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"


async def test_replies_that_break_off_count_though_their_heads_were_good(rig: Rig) -> None:
    fleet(rig, 2, outliers=OUTLIERS)
    while "a-1" not in told(rig, wire.Ejected):
        client = rig.client()
        client.send(get())
        asked = next(w for w in rig.upstreams if w.written and not w.closed)
        asked.take()
        if asked.protocol._replica.name == "a-1":  # type: ignore[union-attr]
            asked.send(CUT)
            asked.hang_up()
        else:
            asked.send(OK)
        assert rig.count(words.STARTED) < 10


async def test_refused_connections_eject_when_another_is_left(rig: Rig) -> None:
    rig.dialling = "manual"
    fleet(rig, 2, outliers=OUTLIERS)
    for _ in range(2):
        client = rig.client()
        client.send(get())
        while rig.dials:
            dial = rig.dials.popleft()
            if dial.to.name == "a-1":
                dial.refuse()
            else:
                dial.answer().send(OK)
        rig.advance(1.1)
        client.send(get())
        while rig.dials:
            rig.dials.popleft().refuse()
    assert told(rig, wire.Ejected) == ["a-1"]


async def test_the_last_replica_stays_however_it_fails(rig: Rig) -> None:
    fleet(rig, 1, outliers=OUTLIERS)
    client = rig.client()
    assert {ask(rig, client, get(), BROKEN) for _ in range(20)} == {"a-1"}
    assert told(rig, wire.Ejected) == []


async def test_a_newcomer_gets_little_at_first(rig: Rig) -> None:
    balancing = replace(BALANCE, slow_start=20.0)
    fleet(rig, 2, balance="round_robin", balancing=balancing)
    client = rig.client()
    rig.advance(20.1)
    rig.members(version("v1", *[replica(f"a-{n}", slots=50) for n in (1, 2, 3)]))
    early = [ask(rig, client, get()) for _ in range(42)]
    assert early.count("a-3") == 2
    rig.advance(10)
    half = [ask(rig, client, get()) for _ in range(50)]
    assert half.count("a-3") == 10
    rig.advance(10.1)
    assert [ask(rig, client, get()) for _ in range(30)].count("a-3") == 10


@pytest.mark.parametrize("balance", ["peak_ewma", "prequal"])
async def test_a_fast_failure_is_not_taken_for_speed(rig: Rig, balance: str) -> None:
    fleet(rig, 3, balance=balance)
    client = rig.client()
    names = []
    for _ in range(60):
        client.send(get())
        asked = next(w for w in rig.upstreams if w.written and not w.closed)
        names.append(asked.protocol._replica.name)  # type: ignore[union-attr]
        asked.take()
        if names[-1] != "a-1":
            rig.clock.now += 0.2
        asked.send(BROKEN if names[-1] == "a-1" else OK)
        client.take()
    assert names.count("a-1") == 1


async def test_a_busy_replica_is_ejected_though_its_requests_are_tried_elsewhere(rig: Rig) -> None:
    fleet(rig, 2, outliers=OUTLIERS)
    client = rig.client()
    busy = b"HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    for _ in range(8):
        client.send(get())
        while not client.written:
            (asked,) = [u for u in rig.upstreams if u.written]
            name = asked.protocol._replica.name  # type: ignore[union-attr]
            asked.take()
            asked.send(busy if name == "a-1" else OK)
        assert client.message().status == 200
    assert [m.replica for m in rig.told if isinstance(m, wire.Ejected)] == ["a-1"]
