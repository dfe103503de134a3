"""The store against real servers: the embedded Valkey and a redis-server on TCP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from fleet.clock import SystemClock
from fleet.errors import StoreUnavailableError
from fleet.model import Decision, Direction, Event, Replica, ReplicaState
from fleet.store import client
from fleet.store.claim import Claim, Owner
from fleet.store.client import KEYS, Store
from fleet.store.embedded import EmbeddedStore, StoreInUseError
from tests.support.ports import free_port
from tests.support.processes import spawned
from tests.support.servers import answers, redis_client, redis_server
from tests.support.waiting import wait_until

DECISIONS = KEYS + client.DECISIONS
EVENTS = KEYS + client.EVENTS
MEMBERS = KEYS + client.MEMBERS


def decision(at: float, pool: str = "support") -> Decision:
    return Decision(
        pool=pool,
        version="v1",
        at=at,
        current=1,
        wanted=2,
        desired=2,
        direction=Direction.UP,
        reason="more work",
    )


def event(at: float) -> Event:
    return Event(at=at, kind="test.happened", message="it happened")


def replica(name: str, state: ReplicaState = ReplicaState.READY) -> Replica:
    return Replica(
        name=name,
        pool="support",
        version="v1",
        host="127.0.0.1",
        port=9001,
        slots=4,
        state=state,
        cell=0,
    )


@contextlib.asynccontextmanager
async def embedded_store(directory: Path) -> AsyncIterator[EmbeddedStore]:
    embedded = EmbeddedStore(directory, SystemClock())
    await embedded.start()
    try:
        yield embedded
    finally:
        await embedded.stop()


@contextlib.asynccontextmanager
async def store_at(url: str) -> AsyncIterator[Store]:
    store = Store(url, SystemClock())
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


async def delivered(store: Store) -> None:
    await wait_until(lambda: store.connected and store.unsent == 0, f"{store!r} delivers")


async def kinds(store: Store) -> list[str]:
    return [e.kind for e in await store.events(100)]


async def test_records_and_state_survive_a_restart_of_everything(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "store") as embedded, store_at(embedded.url) as store:
        assert await store.wait_connected(5)
        store.decision(decision(1.0))
        store.decision(decision(2.0, pool="chat"))
        store.event(event(3.0))
        await store.set("overrides", b'{"weights": {}}')
        await delivered(store)
    async with embedded_store(tmp_path / "store") as embedded, store_at(embedded.url) as store:
        assert await store.wait_connected(5)
        assert await store.decisions(None, 10) == [decision(2.0, pool="chat"), decision(1.0)]
        assert await store.decisions("support", 10) == [decision(1.0)]
        assert await store.decisions(None, 1) == [decision(2.0, pool="chat")]
        assert event(3.0) in await store.events(10)
        assert await store.get("overrides") == b'{"weights": {}}'
        await store.delete("overrides")
        assert await store.get("overrides") is None


async def test_the_decision_that_held_at_a_time_is_found(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "store") as embedded, store_at(embedded.url) as store:
        assert await store.wait_connected(5)
        for at in (1.0, 2.0, 3.0):
            store.decision(decision(at))
        store.decision(decision(2.5, pool="chat"))
        await delivered(store)
        found = [await store.decision_at("support", "v1", at) for at in (0.5, 1.0, 2.9, 9.0)]
        assert found == [None, decision(1.0), decision(2.0), decision(3.0)]
        assert await store.decision_at("support", "v2", 9.0) is None


async def test_stop_delivers_what_was_recorded_just_before(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "store") as embedded:
        async with store_at(embedded.url) as store:
            assert await store.wait_connected(5)
            store.decision(decision(1.0))
        async with redis_client(embedded.url) as redis:
            assert await redis.xlen(DECISIONS) == 1


async def test_the_socket_is_private_and_there_is_no_tcp_port(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "store") as embedded:
        await wait_until(lambda: answers(embedded.url), "the store answers")
        assert stat.S_IMODE(embedded.directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(embedded.socket.stat().st_mode) == 0o700
        async with redis_client(embedded.url) as redis:
            assert (await redis.config_get("port"))["port"] == "0"


async def test_a_long_state_directory_gets_a_short_private_socket(tmp_path: Path) -> None:
    long = tmp_path / ("d" * 120) / "store"
    async with embedded_store(long) as embedded:
        assert len(bytes(embedded.socket)) <= 107
        assert stat.S_IMODE(embedded.socket.parent.stat().st_mode) == 0o700
        await wait_until(lambda: answers(embedded.url), "the store answers")
    assert not embedded.socket.parent.exists()


async def test_a_killed_server_is_restarted_and_records_made_meanwhile_arrive(
    tmp_path: Path,
) -> None:
    async with embedded_store(tmp_path / "store") as embedded, store_at(embedded.url) as store:
        assert await store.wait_connected(5)
        store.decision(decision(1.0))
        await delivered(store)
        first = embedded.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        for at in range(2, 2002):
            store.decision(decision(float(at)))
        assert len(await store.decisions(None, 2000)) >= 1000
        await wait_until(lambda: embedded.restarts == 1, "the server is restarted")
        await delivered(store)
        assert embedded.pid not in (None, first)
        found = await store.decisions(None, 5000)
        assert [d.at for d in found] == [float(at) for at in range(2001, 0, -1)]
        assert store.dropped == 0
        assert (await kinds(store)).count("store.lost") == 1
        assert (await kinds(store)).count("store.connected") == 2


async def test_state_confirmed_just_before_the_server_is_killed_is_kept(tmp_path: Path) -> None:
    async with embedded_store(tmp_path / "store") as embedded, store_at(embedded.url) as store:
        assert await store.wait_connected(5)
        async with redis_client(embedded.url) as redis:
            assert (await redis.config_get("appendfsync"))["appendfsync"] == "always"
        await store.set("overrides", b"1")
        await store.set("overrides", b"2")
        assert embedded.pid is not None
        os.kill(embedded.pid, signal.SIGKILL)
        await wait_until(lambda: embedded.restarts == 1, "the server is restarted")
        await wait_until(lambda: answers(embedded.url), "the new server answers")
        assert await store.get("overrides") == b"2"


async def test_the_server_of_a_killed_daemon_is_replaced(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    hold = (
        "import asyncio, pathlib, sys\n"
        "from fleet.clock import SystemClock\n"
        "from fleet.store.embedded import EmbeddedStore\n"
        "async def main():\n"
        "    store = EmbeddedStore(pathlib.Path(sys.argv[1]), SystemClock())\n"
        "    await store.start()\n"
        "    print('pid', store.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    async with spawned(sys.executable, "-c", hold, directory) as daemon:
        orphan = int((await daemon.line(r"pid (\d+)"))[1])
        await wait_until((directory / "valkey.pid").exists, "the server is up")
        with pytest.raises(StoreInUseError):
            await EmbeddedStore(directory, SystemClock()).start()
        os.kill(orphan, signal.SIGSTOP)  # it cannot obey the kernel's SIGTERM
        daemon.kill()
        await daemon.process.wait()
        asyncio.get_running_loop().call_later(0.1, os.kill, orphan, signal.SIGCONT)
        async with embedded_store(directory) as embedded:
            await wait_until(lambda: answers(embedded.url), "the new server answers")
            assert embedded.pid != orphan
            assert not _runs(orphan)


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path("/proc", str(pid), "stat").read_text()
    except FileNotFoundError:
        return False


async def test_a_server_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.store.embedded.STOP_TIMEOUT", 0.1)
    embedded = EmbeddedStore(tmp_path / "store", SystemClock())
    await embedded.start()
    assert embedded.pid is not None
    os.kill(embedded.pid, signal.SIGSTOP)
    await embedded.stop()
    assert embedded.pid is None


async def test_a_store_away_at_the_start_stops_nothing_and_is_found_later(tmp_path: Path) -> None:
    port = free_port()
    async with store_at(f"redis://127.0.0.1:{port}/0") as store:
        store.decision(decision(1.0))
        store.event(event(1.0))
        store.publish_membership("support", [replica("support-v1-1")])
        assert not await store.wait_connected(0.05)
        assert await store.decisions(None, 10) == [decision(1.0)]
        assert await store.decisions("chat", 10) == []
        assert await store.events(10) == [event(1.0)]
        for access in (store.get("x"), store.set("x", b"1"), store.delete("x")):
            with pytest.raises(StoreUnavailableError):
                await access
        async with redis_server(tmp_path, port=port) as (url, _):
            await delivered(store)
            async with redis_client(url) as redis:
                assert await redis.xlen(DECISIONS) == 1
                assert await redis.hkeys(MEMBERS + "support") == ["support-v1-1"]


async def test_a_store_that_stays_away_is_reported_once(tmp_path: Path) -> None:
    told: list[Event] = []
    lost = asyncio.Event()

    def tell(happened: Event) -> None:
        told.append(happened)
        lost.set()

    store = Store(f"unix://{tmp_path}/none.sock", SystemClock(), on_event=tell)
    await store.start()
    async with asyncio.timeout(10):
        await lost.wait()
    await store.stop()
    assert [e.kind for e in told] == ["store.lost"]
    assert store.unsent == 0


async def test_membership_is_replaced_as_a_whole_and_comes_back_after_a_loss(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with store_at(f"redis://127.0.0.1:{port}/0") as store:
        async with redis_server(tmp_path, port=port) as (url, _), redis_client(url) as redis:
            assert await store.wait_connected(10)
            store.publish_membership("support", [replica("a"), replica("b")])
            store.publish_membership("support", [replica("b", ReplicaState.DRAINING)])
            store.publish_membership("chat", [replica("c")])
            # of two pools either may be written first
            await wait_until(lambda: redis.exists(MEMBERS + "chat"), "membership arrives")
            await wait_until(lambda: redis.exists(MEMBERS + "support"), "membership arrives")
            stored = await redis.hgetall(MEMBERS + "support")
            assert {
                name: msgspec.json.decode(text, type=Replica) for name, text in stored.items()
            } == {"b": replica("b", ReplicaState.DRAINING)}
            store.publish_membership("chat", [])

            async def chat_is_gone() -> bool:
                return not await redis.exists(MEMBERS + "chat")

            await wait_until(chat_is_gone, "empty membership is removed")
        await wait_until(lambda: not store.connected, "the loss of an idle store is noticed")
        async with redis_server(tmp_path, port=port) as (url, _), redis_client(url) as redis:
            await delivered(store)
            assert await redis.hkeys(MEMBERS + "support") == ["b"]


async def test_a_store_that_hangs_delays_state_by_a_second_and_records_by_nothing(
    tmp_path: Path,
) -> None:
    loop = asyncio.get_running_loop()
    async with redis_server(tmp_path) as (url, server), store_at(url) as store:
        assert await store.wait_connected(5)
        os.kill(server.pid, signal.SIGSTOP)
        began = loop.time()
        store.decision(decision(1.0))
        assert loop.time() - began < 0.1
        with pytest.raises(StoreUnavailableError):
            await store.get("overrides")
        assert loop.time() - began < 2.0
        assert await store.decisions(None, 10) == [decision(1.0)]
        os.kill(server.pid, signal.SIGCONT)
        await delivered(store)
        assert await store.decisions(None, 10) == [decision(1.0)]


async def test_a_store_that_refuses_one_stream_gets_the_other_once(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (url, _), redis_client(url) as redis:
        await redis.set(EVENTS, "not a stream")
        async with store_at(url) as store:
            store.event(event(1.0))
            store.decision(decision(1.0))
            await wait_until(lambda: redis.xlen(DECISIONS), "the decision arrives")
            await wait_until(lambda: "store.lost" in _kinds_in_memory(store), "it counts as lost")
            assert not store.connected
            assert await redis.xlen(DECISIONS) == 1
            await redis.delete(EVENTS)
            await delivered(store)
            assert await redis.xlen(EVENTS) >= 2


def _kinds_in_memory(store: Store) -> list[str]:
    return [r.body.kind for r in store._journal.events() if isinstance(r.body, Event)]


async def test_a_record_sent_twice_is_shown_once_and_a_strange_one_not_at_all(
    tmp_path: Path,
) -> None:
    async with redis_server(tmp_path) as (url, _), redis_client(url) as redis:
        text = msgspec.json.encode(decision(1.0))
        await redis.xadd(DECISIONS, {"id": "w-1", "json": text})
        await redis.xadd(DECISIONS, {"id": "w-1", "json": text})
        await redis.xadd(DECISIONS, {"id": "w-2", "json": b'{"of": "another version"}'})
        await redis.xadd(DECISIONS, {"other": "fields"})
        async with store_at(url) as store:
            assert await store.wait_connected(5)
            assert await store.decisions(None, 10) == [decision(1.0)]


async def test_decisions_of_a_quiet_pool_are_found_behind_pages_of_a_busy_one(
    tmp_path: Path,
) -> None:
    async with redis_server(tmp_path) as (url, _), store_at(url) as store:
        assert await store.wait_connected(5)
        store.decision(decision(1.0, pool="quiet"))
        for at in range(2, 1800):
            store.decision(decision(float(at), pool="busy"))
        await delivered(store)
        assert await store.decisions("quiet", 5) == [decision(1.0, pool="quiet")]


def claim_of(start: str, installation: str) -> Claim:
    owner = Owner(installation=installation, start=start, host="host", pid=7)
    return Claim(f"{KEYS}owner", owner, "rename one")


@contextlib.asynccontextmanager
async def claiming(url: str, start: str, installation: str = "") -> AsyncIterator[Store]:
    store = Store(url, SystemClock())
    await store.start(claim_of(start, installation or start))
    try:
        yield store
    finally:
        await store.stop()


async def test_of_two_daemons_on_one_store_the_first_has_it_and_the_other_writes_nothing(
    tmp_path: Path,
) -> None:
    async with redis_server(tmp_path) as (url, _), redis_client(url) as redis:
        async with claiming(url, "a") as first, contextlib.AsyncExitStack() as stack:
            assert await first.wait_connected(5)
            await first.set("overrides", b"first")
            first.publish_membership("support", [replica("a")])
            await delivered(first)
            second = await stack.enter_async_context(claiming(url, "b"))
            second.publish_membership("support", [replica("b")])
            second.decision(decision(1.0))
            await wait_until(lambda: second.rival is not None, "the other is noticed")
            for access in (second.get("overrides"), second.set("overrides", b"second")):
                with pytest.raises(StoreUnavailableError):
                    await access
            assert await second.decisions(None, 10) == [decision(1.0)]
            assert "store.taken" in await kinds(second)
            assert await redis.get("headrace:state:overrides") == "first"
            assert await redis.hkeys(MEMBERS + "support") == ["a"]
            assert await redis.xlen(DECISIONS) == 0
            await first.stop()
            await delivered(second)
            assert (second.rival, await redis.xlen(DECISIONS)) == (None, 1)
            assert await redis.hkeys(MEMBERS + "support") == ["b"]
            assert (await kinds(second))[0] == "store.connected"
        assert not await redis.exists("headrace:owner")


async def test_the_next_start_of_a_killed_daemon_has_its_store_at_once(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (url, _), redis_client(url) as redis:
        await redis.set("headrace:owner", "killed 5 number host 7")
        async with claiming(url, "again", "number") as store:
            assert await store.wait_connected(2)
            assert "store.taken" not in await kinds(store)


async def test_what_a_former_owner_still_has_to_write_is_refused(tmp_path: Path) -> None:
    async with (
        redis_server(tmp_path) as (url, _),
        redis_client(url) as redis,
        claiming(url, "a") as store,
    ):
        assert await store.wait_connected(5)
        await store.set("overrides", b"old")
        await redis.set("headrace:owner", "b 1 other host 8")
        with pytest.raises(StoreUnavailableError):
            await store.set("overrides", b"stale")
        assert await redis.get("headrace:state:overrides") == "old"
        await wait_until(lambda: store.rival is not None, "the other is noticed")
        assert not store.connected
        assert "store.taken" in _kinds_in_memory(store)


async def test_a_store_that_lost_its_data_is_claimed_anew(tmp_path: Path) -> None:
    async with (
        redis_server(tmp_path) as (url, _),
        redis_client(url) as redis,
        claiming(url, "a") as store,
    ):
        assert await store.wait_connected(5)
        await redis.flushall()
        with contextlib.suppress(StoreUnavailableError):
            await store.set("overrides", b"one")
        await wait_until(lambda: redis.exists("headrace:owner"), "the keys are claimed")
        await store.set("overrides", b"two")
        assert await redis.get("headrace:state:overrides") == "two"
        assert "store.taken" not in await kinds(store)
