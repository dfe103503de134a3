"""Members on one real server, beat by beat, with clocks that are moved and stepped by hand."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster import Role
from scaler.cluster.messages import decode_plan
from tests.integration.member_kit import MOST, Cluster, Daemon, one_server
from tests.support.waiting import wait_until
from tests.unit.scaler_policy.scaler_kit import config


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with one_server(tmp_path) as made:
        yield made


async def two(cluster: Cluster, **more: Any) -> tuple[Daemon, Daemon]:
    """a leads, b follows, each has one of the two replicas."""
    a = cluster.add("a", **more)
    b = cluster.add("b", **more)
    await cluster.beats()
    await cluster.settled(lambda: (a.size, b.size) == (1, 1), "one each")
    assert (a.role, b.role) == (Role.LEADER, Role.FOLLOWER)
    return a, b


def wanted_ago(daemon: Daemon, size: int) -> int:
    """Seconds since the size was wanted that its latest decision is held at."""
    latest = daemon.scaler.latest("p", "v1")
    assert latest is not None
    match = re.match(rf"stabilization \({size} wanted (\d+)s ago\)", latest.limits[0])
    assert match is not None, latest.limits
    return int(match[1])


async def test_the_leader_sees_the_traffic_of_all_and_each_does_its_share(
    cluster: Cluster,
) -> None:
    a, b = await two(cluster)
    a.load(7)
    b.load(28)
    await cluster.settled(lambda: a.size + b.size == 5, "five for 35 requests")
    assert (a.size, b.size) == (1, 4)
    assert b.journal.decisions == []
    assert a.member.status().members == b.member.status().members == ("a", "b")


async def test_a_silent_leader_is_replaced_and_what_it_remembered_is_kept(
    cluster: Cluster,
) -> None:
    a, b = await two(cluster)
    b.load(28)
    await cluster.settled(lambda: a.size + b.size == 4, "four for 28 requests")
    b.load(0)
    await cluster.beats(count=3)
    held = a.size, b.size
    await cluster.beats(b, count=5)
    assert b.role is Role.FOLLOWER
    await cluster.beats(b)
    assert b.role is Role.LEADER
    await cluster.settled(lambda: b.size == 4, "all of it at b", b)
    assert sum(held) == 4
    assert wanted_ago(b, 4) >= 1
    assert b.member.status().leader_changes == 1


async def test_a_leader_held_up_before_its_write_is_refused_and_does_nothing(
    cluster: Cluster,
) -> None:
    a, b = await two(cluster)

    async def meanwhile() -> None:
        await cluster.beats(b, count=7)
        assert b.role is Role.LEADER

    a.line.before_write = meanwhile
    applied = list(a.fleet.applied)
    a.load(50)
    await a.member.beat()
    assert a.fleet.applied == applied
    status = a.member.status()
    assert (status.role, status.fenced) == (Role.FOLLOWER, 1)
    assert "cluster.fenced" in a.journal.kinds()
    await cluster.beats()
    assert (a.role, b.role, a.member.status().leader) == (Role.FOLLOWER, Role.LEADER, "b")


async def test_a_leader_held_up_after_its_write_does_not_act_on_it(cluster: Cluster) -> None:
    a, b = await two(cluster)
    applied = list(a.fleet.applied)
    a.load(50)
    await a.member.beat()
    await wait_until(lambda: a.seat.decided["p"]["v1"] > 2, "more is decided")
    a.line.after_write = lambda: a.time.advance(60.0)
    await a.member.beat()
    written = decode_plan((await a.line.exchange("c", b"{}", everyone=False)).plan)
    assert written is not None
    assert written.shares["a"]["p"]["v1"] > 1
    assert a.fleet.applied == applied
    assert b.size == 1


async def test_a_plan_of_a_lease_that_is_over_is_history(cluster: Cluster) -> None:
    _, b = await two(cluster)
    b.fleet.sizes["p", "v1"] = 5
    lease = (await b.line.exchange("c", b"{}", everyone=False)).lease
    assert await b.line.take(lease, "c/1", 0) == 2
    await b.member.beat()
    assert (b.size, b.member.status().leader) == (5, "c")


async def test_a_leader_that_wakes_after_its_time_writes_nothing(cluster: Cluster) -> None:
    a, b = await two(cluster)
    await cluster.beats(b, count=7)
    written = b.seat.plan
    await a.member.beat()
    assert a.role is Role.FOLLOWER
    assert a.member.status().fenced == 0
    assert a.journal.kinds()[-1] == "cluster.lost"
    await b.member.beat()
    assert b.role is Role.LEADER
    assert written is not None and b.seat.plan is not None
    assert b.seat.plan.token == 2


@pytest.mark.parametrize("step", [-86400.0, 86400.0], ids=["a day back", "a day on"])
async def test_wall_clocks_that_step_or_differ_change_nothing(
    cluster: Cluster, step: float
) -> None:
    a, b = await two(cluster)
    b.time.unix += 10_000_000.0
    b.load(28)
    await cluster.settled(lambda: a.size + b.size == 4, "four for 28 requests")
    b.load(0)
    await cluster.beats(count=3)
    a.time.unix += step
    await cluster.beats(count=20)
    assert (a.role, b.role) == (Role.LEADER, Role.FOLLOWER)
    assert a.size + b.size == 4
    b.time.unix -= 2 * step
    await cluster.beats(b, count=8)
    assert b.role is Role.LEADER
    await cluster.settled(lambda: b.size == 4, "all of it at b", b)
    assert wanted_ago(b, 4) >= 3


async def test_without_the_store_nobody_leads_nothing_stops_and_the_maximum_holds(
    cluster: Cluster,
) -> None:
    a, b = await two(cluster)
    for daemon in (a, b):
        daemon.line.cut = True
        daemon.load(70)
    await cluster.beats(count=5)
    assert (a.size, b.size) == (1, 1)
    await cluster.beats(count=2)
    assert (a.role, b.role) == (Role.ALONE, Role.ALONE)
    assert a.member.status().leader is None
    await cluster.settled(lambda: a.size + b.size == MOST, "each adds its part of the room")
    for daemon in (a, b):
        daemon.load(0)
    await cluster.beats(count=3, seconds=100.0)
    assert min(a.size, b.size) >= 1
    for daemon in (a, b):
        daemon.line.cut = False
    await cluster.beats()
    assert sorted([a.role, b.role]) == [Role.FOLLOWER, Role.LEADER]
    await cluster.settled(lambda: a.size + b.size >= 2, "planned again")


async def test_only_the_one_that_lost_the_store_is_alone(cluster: Cluster) -> None:
    a, b = await two(cluster)
    a.line.cut = True
    await cluster.beats(count=8)
    assert (a.role, b.role) == (Role.ALONE, Role.LEADER)
    # it cannot know of b's replicas, so it has the pool's minimum by itself
    assert (a.size, b.size) == (2, 2)
    a.line.cut = False
    await cluster.beats()
    assert (a.role, b.role) == (Role.FOLLOWER, Role.LEADER)
    assert a.journal.kinds()[-3:] == ["cluster.lost", "cluster.alone", "cluster.joined"]


async def test_a_leader_that_leaves_is_followed_at_once(cluster: Cluster) -> None:
    a, b = await two(cluster)
    await a.member.leave()
    await b.member.beat()
    assert b.role is Role.LEADER
    assert b.seat.plan is not None
    assert b.seat.plan.members == ("b",)


async def test_a_member_that_restarts_gets_back_what_it_had(cluster: Cluster) -> None:
    a, b = await two(cluster)
    again = Daemon("b", cluster.store, b.time, start="2")
    again.fleet.sizes["p", "v1"] = 1
    cluster.daemons[1] = again
    await cluster.beats(count=3)
    assert (a.size, again.size, again.role) == (1, 1, Role.FOLLOWER)


async def test_a_member_whose_pools_the_leader_lacks_is_told_once_it_lasts(
    cluster: Cluster,
) -> None:
    a, b = await two(cluster)
    b.scaler.configure(config({"p": {}, "other": {}}), "unix:///none")
    await cluster.beats(count=2)
    assert "cluster.differs" not in a.journal.kinds()
    await cluster.beats(count=80)
    differing = [event for event in a.journal.events if event.kind == "cluster.differs"]
    assert [event.message.partition(", since")[0] for event in differing] == [
        "nobody sizes other of b"
    ]


async def test_what_is_set_by_hand_is_told_once_to_everyone(cluster: Cluster) -> None:
    a, b = await two(cluster)
    await a.line._store.set("overrides", b"one")
    await cluster.beats(count=2)
    await a.line._store.delete("overrides")
    await cluster.beats()
    assert a.overrides == b.overrides == [b"one"]


@pytest.mark.parametrize("reply_lost", [False, True], ids=["request lost", "reply lost"])
async def test_whichever_call_fails_one_leads_in_the_end_and_never_two(
    cluster: Cluster, reply_lost: bool
) -> None:
    for fails_at in range(1, 100):
        a, b = cluster.add("a", start=f"{fails_at}"), cluster.add("b", start=f"{fails_at}")
        for daemon in (a, b):
            daemon.line.reply_lost = reply_lost
        a.line.fails_at = fails_at
        cluster.daemons[:] = [a, b]
        for _ in range(10):
            await cluster.beats()
            assert [a.role, b.role].count(Role.LEADER) <= 1
        assert sorted([a.role, b.role]) == [Role.FOLLOWER, Role.LEADER]
        await cluster.settled(lambda a=a, b=b: (a.size, b.size) == (1, 1), "one each")
        await a.member.leave()
        await b.member.leave()
        if a.line.calls < fails_at:
            break
    assert 20 < fails_at < 99
