"""Second tries of late requests: who wins, and what becomes of the other."""

from __future__ import annotations

from fleet import wire
from fleet.telemetry import slab as words
from tests.protocol.support import Rig, Wire, pool, replica, version

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEDGE = wire.TriesEntry(hedge=wire.HedgeEntry(quantile=0.9, least=0.2))


def hedging(rig: Rig, *, replicas: int = 2, budget: wire.BudgetEntry | None = None) -> Wire:
    """A pool that has answered 30 requests at once; gives a client."""
    rig.configure(
        pool(budget=budget or wire.BudgetEntry()),
        routes=[wire.RouteEntry(
            host=None, path="/", methods=(), headers={}, pool="agents", tries=HEDGE)],
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


async def test_the_hedge_wins_and_the_first_is_aborted(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    second.send(OK)
    assert client.message().body == b"ok"
    assert first.closed == "abort"
    assert not second.closed
    assert held(rig) == 0
    assert (rig.count(words.HEDGES), rig.count(words.HEDGE_WINS)) == (1, 1)
    assert rig.logged()[-1]["hedge"] == "won"


async def test_the_first_wins_and_the_hedge_is_aborted(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    first.send(OK)
    assert client.message().body == b"ok"
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
    first.send(OK)
    assert client.message().body == b"ok"


async def test_a_lost_first_leaves_the_hedge_to_answer(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    first.hang_up()
    assert held(rig) == 1
    second.send(OK)
    assert client.message().body == b"ok"
    assert rig.count(words.RETRIES) == 0


async def test_a_lost_hedge_leaves_the_first_to_answer(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    second.hang_up()
    assert held(rig) == 1
    first.send(OK)
    assert client.message().body == b"ok"


async def test_a_client_that_goes_takes_both_tries_along(rig: Rig) -> None:
    client = hedging(rig)
    first, second = late(rig, client)
    client.hang_up()
    assert (first.closed, second.closed) == ("abort", "abort")
    assert held(rig) == 0


async def test_a_first_that_fails_while_the_hedge_connects(rig: Rig) -> None:
    client = hedging(rig)
    for r in rig.plane.directory.pools["agents"].versions["v1"].replicas.values():
        r.close_idle()
    rig.turn()
    client.send(GET)
    (first,) = asked(rig)
    rig.dialling = "manual"
    rig.advance(0.3)
    (dial,) = rig.dials
    rig.dials.clear()
    first.hang_up()
    assert held(rig) == 1
    second = dial.answer()
    second.send(OK)
    assert client.message().body == b"ok"


async def test_a_hedge_that_cannot_connect_changes_nothing(rig: Rig) -> None:
    client = hedging(rig)
    for r in rig.plane.directory.pools["agents"].versions["v1"].replicas.values():
        r.close_idle()
    rig.turn()
    client.send(GET)
    (first,) = asked(rig)
    rig.dialling = "manual"
    rig.advance(0.3)
    rig.dials.popleft().refuse()
    assert held(rig) == 1
    first.send(OK)
    assert client.message().body == b"ok"


async def test_there_is_one_hedge_at_most(rig: Rig) -> None:
    client = hedging(rig, replicas=3)
    first, _ = late(rig, client)
    rig.advance(5)
    assert held(rig) == 2
    first.send(OK)
    assert client.message().body == b"ok"


async def test_a_post_is_not_hedged(rig: Rig) -> None:
    client = hedging(rig)
    client.send(POST)
    rig.advance(5)
    assert held(rig) == 1
    (first,) = asked(rig)
    first.send(OK)
    assert client.message().body == b"ok"


async def test_without_another_replica_nothing_is_hedged(rig: Rig) -> None:
    client = hedging(rig, replicas=1)
    client.send(GET)
    rig.advance(5)
    assert held(rig) == 1
    (first,) = asked(rig)
    first.send(OK)
    assert client.message().body == b"ok"


async def test_a_spent_budget_allows_no_hedge(rig: Rig) -> None:
    client = hedging(rig, budget=wire.BudgetEntry(share=0, floor=0))
    client.send(GET)
    rig.advance(5)
    assert held(rig) == 1
    assert rig.count(words.RETRIES_DENIED) == 1
    (first,) = asked(rig)
    first.send(OK)
    assert client.message().body == b"ok"
