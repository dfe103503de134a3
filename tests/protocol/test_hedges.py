"""Second tries of late requests: who wins, and what becomes of the other."""

from __future__ import annotations

from typing import Any

import pytest

from fleet import wire
from fleet.telemetry import slab as words
from tests.protocol.steps import GET, OK, answer, forget_idle
from tests.protocol.support import Rig, Wire, pool, replica, version

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
OUTLIERS = wire.OutliersEntry(
    failures=1, gateway_errors=0, interval=10.0, requests=100, replicas=5, success_deviations=1.9,
    latency_factor=0.0, time=30.0, max_time=300.0, max_ejected=1.0, panic=0.0,
)  # fmt: skip
HEDGE = wire.TriesEntry(hedge=wire.HedgeEntry(quantile=0.9, least=0.2))


def hedging(
    rig: Rig,
    *,
    replicas: int = 2,
    budget: wire.BudgetEntry | None = None,
    tries: wire.TriesEntry = HEDGE,
    **settings: Any,
) -> Wire:
    """A pool that has answered 30 requests at once; gives a client."""
    rig.configure(
        pool(budget=budget or wire.BudgetEntry(), **settings),
        routes=[wire.RouteEntry(
            host=None, path="/", methods=(), headers={}, pool="agents", tries=tries)],
    )  # fmt: skip
    rig.members(version("v1", *(replica(f"a-{n + 1}") for n in range(replicas))))
    client = rig.client()
    for _ in range(30):
        client.send(GET)
        (busy,) = [u for u in rig.upstreams if u.written]
        busy.take()
        busy.send(OK)
        client.take()
    return client


def asked(rig: Rig) -> list[Wire]:
    return [u for u in rig.upstreams if u.written]


def held(rig: Rig) -> int:
    return rig.count(words.LEASED) - rig.count(words.RELEASED)


def late(rig: Rig, client: Wire, request: bytes = GET) -> tuple[Wire, Wire]:
    """Send a request that is late: its first and its second try."""
    client.send(request)
    (first,) = asked(rig)
    rig.advance(0.3)
    (second,) = [u for u in asked(rig) if u is not first]
    assert held(rig) == 2
    return first, second


def late_without_idle(rig: Rig, client: Wire) -> Wire:
    """Send a request that is late: its first try; the dial of its second waits in `rig.dials`."""
    forget_idle(rig)
    client.send(GET)
    (first,) = asked(rig)
    rig.dialling = "manual"
    rig.advance(0.3)
    return first


async def test_the_hedge_wins_and_the_first_is_aborted(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    answer(second, client)
    assert first.closed == "abort"
    assert not second.closed
    assert held(rig) == 0
    assert (rig.count(words.HEDGES), rig.count(words.HEDGE_WINS)) == (1, 1)
    assert rig.logged()[-1]["hedge"] == "won"


async def test_the_first_wins_and_the_hedge_is_aborted(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    answer(first, client)
    assert second.closed == "abort"
    assert held(rig) == 0
    assert rig.count(words.HEDGE_WINS) == 0
    assert rig.logged()[-1]["hedge"] == "lost"


async def test_the_slot_of_the_loser_is_free_with_the_head_of_the_winner(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    second.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert held(rig) == 1
    assert first.closed == "abort"
    second.send(b"1\r\nb\r\n0\r\n\r\n")
    assert client.message().body == b"ab"


async def test_an_error_of_the_hedge_is_no_answer(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    second.send(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\noh")
    assert client.written == b""
    assert not second.closed, "its connection could have been kept"
    answer(first, client)


async def test_a_lost_first_leaves_the_hedge_to_answer(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    first.hang_up()
    assert held(rig) == 1
    answer(second, client)
    assert rig.count(words.RETRIES) == 0


async def test_a_lost_hedge_leaves_the_first_to_answer(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    second.hang_up()
    assert held(rig) == 1
    answer(first, client)


async def test_a_client_that_goes_takes_both_tries_along(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    client.hang_up()
    assert (first.closed, second.closed) == ("abort", "abort")
    assert held(rig) == 0


async def test_a_first_that_fails_while_the_hedge_connects(rig: Rig) -> None:
    client = hedging(rig)
    first = late_without_idle(rig, client)
    (dial,) = rig.dials
    rig.dials.clear()
    first.hang_up()
    assert held(rig) == 1
    second = dial.answer()
    answer(second, client)


async def test_a_hedge_that_cannot_connect_changes_nothing(rig: Rig) -> None:
    client = hedging(rig)
    first = late_without_idle(rig, client)
    rig.dials.popleft().refuse()
    assert held(rig) == 1
    answer(first, client)


async def test_there_is_one_hedge_at_most(rig: Rig) -> None:
    client = hedging(rig, replicas=3)
    first, _ = late(rig, client)
    rig.advance(5)
    assert held(rig) == 2
    answer(first, client)


UNHEDGED: dict[str, tuple[bytes, dict[str, Any], int]] = {
    "a POST": (POST, {}, 0),
    "no other replica": (GET, {"replicas": 1}, 0),
    "a spent budget": (GET, {"budget": wire.BudgetEntry(share=0, floor=0)}, 1),
}
"""By why: the request, what is set, and how many retries the budget denied."""


@pytest.mark.parametrize("case", UNHEDGED.values(), ids=UNHEDGED)
async def test_nothing_is_hedged_with(rig: Rig, case: tuple[bytes, dict[str, Any], int]) -> None:
    request, settings, denied = case
    client = hedging(rig, **settings)
    client.send(request)
    rig.advance(5)
    assert held(rig) == 1
    assert rig.count(words.RETRIES_DENIED) == denied
    (first,) = asked(rig)
    answer(first, client)


async def test_a_hedged_request_counts_as_late_as_its_client_saw_it(rig: Rig) -> None:
    client = hedging(rig)
    before = rig.count(words.FIRST_BYTE_US)
    _, second = late(rig, client)
    rig.advance(0.1)
    answer(second, client)
    # else the late ones vanish from the times, and each quantile makes more of them late
    assert rig.count(words.FIRST_BYTE_US) - before == pytest.approx(400_000, rel=0.01)


async def test_a_replica_whose_tries_always_lose_is_learned_to_be_late(rig: Rig) -> None:
    client = hedging(rig, balance="peak_ewma")
    silent = rig.upstreams[0].protocol._replica  # type: ignore[union-attr]
    asked_first = 0
    for _ in range(20):
        client.send(GET)
        (first,) = asked(rig)
        if first.protocol._replica is silent:  # type: ignore[union-attr]
            asked_first += 1
            rig.advance(0.3)
        for upstream in asked(rig):
            if upstream.protocol._replica is not silent:  # type: ignore[union-attr]
                upstream.take()
                answer(upstream, client)
        first.take()
    assert asked_first <= 2


async def test_a_hedge_keeps_to_the_limit_of_connections(rig: Rig) -> None:
    client = hedging(rig, circuit=wire.CircuitEntry(connections=2))
    forget_idle(rig)
    busy = [rig.client() for _ in range(2)]
    for other in busy:
        other.send(GET)
    rig.advance(5)
    assert rig.plane.directory.pools["agents"].versions["v1"].connections == 2
    assert rig.count(words.HEDGES) == 0
    for upstream in asked(rig):
        upstream.send(OK)
    assert [other.message().body for other in busy] == [b"ok"] * 2
    assert not client.closed


async def test_after_both_tries_failed_a_third_replica_is_asked(rig: Rig) -> None:
    client = hedging(rig, replicas=3)
    first, second = late(rig, client)
    tried = {w.protocol._replica for w in (first, second)}  # type: ignore[union-attr]
    other = rig.client()
    other.send(GET)
    (third,) = [u for u in asked(rig) if u not in (first, second)]
    for upstream in (first, second, third):
        upstream.take()
    # the next in turn is the first again
    first.send(b"HTTP/1.1 503 No\r\nX-Headrace-Retry: true\r\nContent-Length: 0\r\n\r\n")
    second.send(b"HTTP/1.1 503 No\r\nX-Headrace-Retry: true\r\nContent-Length: 0\r\n\r\n")
    (last,) = asked(rig)
    assert last.protocol._replica not in tried  # type: ignore[union-attr]
    for upstream in (third, last):
        upstream.send(OK)
    assert [c.message().body for c in (client, other)] == [b"ok"] * 2


async def test_a_hedge_that_fails_counts_against_its_replica(rig: Rig) -> None:
    client = hedging(rig, outliers=OUTLIERS)
    first, second = late(rig, client)
    second.send(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\noh")
    ejected = [m.replica for m in rig.told if isinstance(m, wire.Ejected)]
    assert ejected == [second.protocol._replica.name]  # type: ignore[union-attr]
    answer(first, client)


async def test_what_held_the_first_holds_the_client_no_more_when_the_hedge_has_won(
    rig: Rig,
) -> None:
    client = hedging(rig)
    client.send(b"PUT" + POST.removeprefix(b"POST"))
    (first,) = asked(rig)
    first.clog(True)
    assert client.paused
    rig.advance(0.3)
    (second,) = [u for u in asked(rig) if u is not first]
    second.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert first.closed
    assert not client.paused


async def test_the_hedge_has_the_whole_time_to_its_first_byte(rig: Rig) -> None:
    client = hedging(rig, tries=wire.TriesEntry(hedge=wire.HedgeEntry(quantile=0.9, least=30)))
    client.send(GET)
    (first,) = asked(rig)
    rig.advance(31)
    (second,) = [u for u in asked(rig) if u is not first]
    rig.advance(30)
    assert first.closed
    assert held(rig) == 1
    rig.advance(28)
    answer(second, client)


async def test_no_hedge_is_dialled_beyond_the_limit_of_connections(rig: Rig) -> None:
    client = hedging(rig, circuit=wire.CircuitEntry(connections=1))
    client.send(GET)
    (first,) = asked(rig)
    rig.advance(0.3)
    assert asked(rig) == [first]
    assert held(rig) == 1
    assert rig.count(words.HEDGES) == 0
    answer(first, client)
