"""The fence: what a real server lets a leader write, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet.clock import SystemClock
from fleet.errors import StoreUnavailableError
from fleet.store.client import Store
from fleet.store.cluster import ClusterStore, Exchanged, Lease, cluster_keys
from fleet.store.embedded import EmbeddedStore
from tests.support.servers import answers, redis_client
from tests.support.waiting import wait_until


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    embedded = EmbeddedStore(tmp_path / "store", SystemClock())
    await embedded.start()
    try:
        await wait_until(lambda: answers(embedded.url), "the server answers")
        yield embedded.url
    finally:
        await embedded.stop()


@pytest.fixture
async def shared(url: str) -> AsyncIterator[ClusterStore]:
    store = Store(url, SystemClock(), keys=cluster_keys("prod"))
    yield ClusterStore(store)
    await store.stop()


async def taken(shared: ClusterStore, holder: str, seen: int = 0) -> Lease:
    """The lease, whoever has it now."""
    present = (await look(shared)).lease
    token = await shared.take(present, holder, seen)
    assert token is not None
    return Lease(token, holder)


async def look(shared: ClusterStore) -> Exchanged:
    return await shared.exchange("looker", b"{}", everyone=True)


async def lead(shared: ClusterStore, lease: Lease, beat: int, plan: bytes) -> bool:
    return await shared.lead(lease, beat, plan=plan, state=b"", gone=())


async def test_tokens_grow_with_every_lease(shared: ClusterStore) -> None:
    tokens = [(await taken(shared, holder)).token for holder in ("a/1", "b/1", "a/1", "a/2")]
    assert tokens == [1, 2, 3, 4]


async def test_of_several_that_take_the_same_lease_one_has_it(shared: ClusterStore) -> None:
    tokens = [await shared.take(None, f"{name}/1", 0) for name in "abc"]
    assert tokens == [1, None, None]


async def test_a_renewal_in_between_fails_who_would_take_the_lease(shared: ClusterStore) -> None:
    lease = await taken(shared, "a/1")
    seen = (await look(shared)).lease
    assert await lead(shared, lease, 1, b"plan")
    assert await shared.take(seen, "b/1", 0) is None


async def test_a_stale_leader_changes_nothing(shared: ClusterStore) -> None:
    stale = await taken(shared, "a/1")
    await shared.lead(stale, 1, plan=b"old", state=b"old", gone=())
    await shared.exchange("a", b"report", everyone=False)
    leader = await taken(shared, "b/1")
    assert not await shared.lead(stale, 2, plan=b"stale", state=b"stale", gone=["a"])
    after = await look(shared)
    assert (after.plan, after.reports["a"]) == (b"old", b"report")
    assert after.lease == f"{leader} 0".encode()
    kept = await shared.state()
    assert kept is not None
    assert kept[0] == b"old"
    assert await lead(shared, leader, 1, b"new")
    assert (await look(shared)).plan == b"new"


async def test_a_lease_that_was_removed_refuses_its_holder(shared: ClusterStore, url: str) -> None:
    lease = await taken(shared, "a/1")
    async with redis_client(url) as redis:
        await redis.flushall()
    assert not await lead(shared, lease, 1, b"plan")


async def test_tokens_grow_even_when_the_store_has_forgotten_them(
    shared: ClusterStore, url: str
) -> None:
    lease = await taken(shared, "a/1")
    async with redis_client(url) as redis:
        await redis.flushall()
    assert (await taken(shared, "a/1", seen=lease.token)).token == lease.token + 1


async def test_a_write_that_was_held_up_does_not_undo_a_later_one(shared: ClusterStore) -> None:
    lease = await taken(shared, "a/1")
    assert await lead(shared, lease, 5, b"later")
    assert not await lead(shared, lease, 4, b"earlier")
    assert (await look(shared)).plan == b"later"


async def test_a_leader_that_leaves_frees_the_lease_and_takes_its_report_along(
    shared: ClusterStore,
) -> None:
    lease = await taken(shared, "a/1")
    await shared.exchange("a", b"report", everyone=False)
    await shared.leave("a", lease)
    after = await look(shared)
    assert after.lease is None
    assert set(after.reports) == {"looker"}


async def test_one_that_leaves_late_does_not_free_the_lease_of_another(
    shared: ClusterStore,
) -> None:
    stale = await taken(shared, "a/1")
    leader = await taken(shared, "b/1")
    await shared.leave("a", stale)
    assert (await look(shared)).lease == f"{leader} 0".encode()


async def test_the_state_has_its_age_by_the_clock_of_the_store(
    shared: ClusterStore, url: str
) -> None:
    assert await shared.state() is None
    lease = await taken(shared, "a/1")
    await shared.lead(lease, 1, plan=b"", state=b"state", gone=())
    kept = await shared.state()
    assert kept is not None
    assert kept[0] == b"state"
    assert 0 <= kept[1] < 30
    async with redis_client(url) as redis:
        # the store's clock has been set back an hour since
        at = float(await redis.hget("headrace:cluster:prod:state", "at"))
        await redis.hset("headrace:cluster:prod:state", "at", str(at + 3600))
    assert await shared.state() == (b"state", 0.0)


async def test_clusters_of_one_store_do_not_meet(shared: ClusterStore, url: str) -> None:
    store = Store(url, SystemClock(), keys=cluster_keys("test"))
    other = ClusterStore(store)
    await taken(shared, "a/1")
    assert (await look(other)).lease is None
    await store.stop()


async def test_a_store_that_is_away_is_told(tmp_path: Path) -> None:
    store = Store(f"unix://{tmp_path}/none.sock", SystemClock())
    with pytest.raises(StoreUnavailableError):
        await ClusterStore(store).take(None, "a/1", 0)
    await store.stop()
