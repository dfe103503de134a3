"""The store: a Redis (or Valkey) that holds what outlives a daemon or is shared between several.

Nothing waits for it. Records are kept in memory while it is away and sent when it is back; only
an explicit read or write of state fails without it, within `TIMEOUT`.

Keys, all below `headrace:`

| key | type | holds |
|---|---|---|
| `headrace:decisions` | stream, about 10,000 newest | `id`: the record's id, `json`: a `Decision` |
| `headrace:events` | stream, about 10,000 newest | `id`: the record's id, `json`: an `Event` |
| `headrace:members:POOL` | hash, replaced as a whole | replica name to a `Replica` in JSON |
| `headrace:members:POOL@MEMBER` | the same | those of one member of a cluster |
| `headrace:state:NAME` | string | what `set(NAME, ...)` was given: overrides, scaler state |

A record whose confirmation was lost with the connection is sent again, so a stream may hold it
twice; readers tell by `id` and show it once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from fleet.clock import Clock
from fleet.errors import StoreUnavailableError
from fleet.model import Decision, Event, Replica
from fleet.store.address import redacted
from fleet.store.backoff import Backoff
from fleet.store.journal import Journal, Record

DECISIONS: Final = "headrace:decisions"
EVENTS: Final = "headrace:events"
MEMBERS: Final = "headrace:members:"
STATE: Final = "headrace:state:"

TIMEOUT: Final = 1.0
"""Longest wait for one answer, in seconds."""
HEARTBEAT: Final = 2.0
"""Longest silence before an idle connection is checked, in seconds."""
GRACE: Final = 1.0
"""A store not reached this long after the start is reported lost, in seconds."""
STREAM_LENGTH: Final = 10_000
BATCH: Final = 500
PAGE: Final = 500

_FAILURES: Final = (RedisError, OSError, TimeoutError)
_encode: Final = msgspec.json.Encoder().encode
_decision: Final = msgspec.json.Decoder(Decision)
_event: Final = msgspec.json.Decoder(Event)

Page = Sequence[tuple[bytes, dict[bytes, bytes]]]
"""Entries of a stream: id, fields."""
_B = TypeVar("_B", Decision, Event)


class Store:
    """One store, connected in the background; a `fleet.ports.Recorder`.

    `on_event` gets `store.lost` and `store.connected`; by default they are recorded like any
    other event.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        member: str | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        """`url` is redis://, rediss:// or unix://. ValueError when it is none of them.

        `member` keeps this daemon's membership apart from that of others in its cluster.
        """
        self.display = redacted(url)
        self.connected = False
        self._clock = clock
        self._of_member = "" if member is None else f"@{member}"
        self._on_event = on_event or self.event
        self._redis: Redis = Redis.from_url(
            url,
            protocol=2,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        self._backoff = Backoff(0.05, 2.0, random.random)
        self._journal = Journal(secrets.token_hex(4))
        self._members: dict[str, tuple[Replica, ...]] = {}
        self._unpublished: set[str] = set()
        self._wake = asyncio.Event()
        self._suspect = False
        self._reached = asyncio.Event()
        self._lost_since: float | None = None
        self._told_lost = False
        self._task: asyncio.Task[None] | None = None
        # A flag besides the cancellation: `asyncio.wait_for`, used inside the client, may swallow
        # a cancellation that meets its result (until Python 3.12).
        self._stopping = False

    def __repr__(self) -> str:
        state = "connected" if self.connected else "away"
        return f"<Store {self.display} {state}, {self.unsent} unsent, {self.dropped} dropped>"

    @property
    def unsent(self) -> int:
        """Records the store has not confirmed."""
        return len(self._journal)

    @property
    def dropped(self) -> int:
        """Records lost for good because the store was away too long."""
        return self._journal.dropped

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        self._lost_since = self._clock.monotonic()
        self._task = asyncio.create_task(self._run(), name="store")

    async def stop(self, timeout: float = TIMEOUT) -> None:
        """Send what is left for at most `timeout` seconds, then disconnect."""
        self._stopping = True
        if self._task is not None:
            if self.connected:
                self._wake.set()
                await asyncio.wait([self._task], timeout=timeout)
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self.connected = False
        self._reached.clear()
        await self._redis.aclose()

    async def wait_connected(self, timeout: float | None) -> bool:
        """Whether the store was reached within `timeout` seconds; None: however long it takes."""
        try:
            async with asyncio.timeout(timeout):
                await self._reached.wait()
        except TimeoutError:
            return False
        return True

    def decision(self, decision: Decision) -> None:
        """See `fleet.ports.Recorder`."""
        self._journal.add(decision)
        self._wake.set()

    def event(self, event: Event) -> None:
        """See `fleet.ports.Recorder`."""
        self._journal.add(event)
        self._wake.set()

    def publish_membership(self, pool: str, replicas: Sequence[Replica]) -> None:
        """Replace the stored membership of `pool`; the latest call wins. Never blocks."""
        self._members[pool] = tuple(replicas)
        self._unpublished.add(pool)
        self._wake.set()

    async def decisions(self, pool: str | None, limit: int) -> list[Decision]:
        """The newest decisions (of `pool`), newest first; from memory while the store is away."""

        def keep(decision: Decision) -> bool:
            return pool is None or decision.pool == pool

        return await self._newest(DECISIONS, _decision, self._journal.decisions(), keep, limit)

    async def decision_at(self, pool: str, version: str, at: float) -> Decision | None:
        """The newest decision of a version at Unix time `at` or before; None: none is kept."""

        def keep(decision: Decision) -> bool:
            return (decision.pool, decision.version) == (pool, version) and decision.at <= at

        found = await self._newest(DECISIONS, _decision, self._journal.decisions(), keep, 1)
        return found[0] if found else None

    async def events(self, limit: int) -> list[Event]:
        """The newest events, newest first; from memory while the store is away."""
        return await self._newest(EVENTS, _event, self._journal.events(), lambda _: True, limit)

    async def get(self, name: str) -> bytes | None:
        """The state kept under `name`; None when there is none. Raises StoreUnavailableError."""
        value: bytes | None = await self._ask(self._redis.get(STATE + name))
        return value

    async def set(self, name: str, value: bytes) -> None:
        """Keep `value` under `name`. Raises StoreUnavailableError."""
        await self._ask(self._redis.set(STATE + name, value))

    async def delete(self, name: str) -> None:
        """Forget the state kept under `name`, if any. Raises StoreUnavailableError."""
        await self._ask(self._redis.delete(STATE + name))

    async def evaluate(
        self, script: str, keys: Sequence[str], arguments: Sequence[bytes | str]
    ) -> Any:
        """Run a Lua script, which happens at once or not at all. Raises StoreUnavailableError."""
        return await self._ask(self._redis.eval(script, len(keys), *keys, *arguments))

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self._serve()
            except _FAILURES as error:
                self._lose(error)
                await asyncio.sleep(self._backoff.delay())

    async def _serve(self) -> None:
        """Connect, deliver what has gathered, then as it comes, until stopped. Raises when lost.

        A store that answers but takes no writes (out of memory, read only) counts as lost: it is
        connected only once the backlog is through.
        """
        await self._ping()
        self._unpublished.update(self._members)
        await self._flush()
        self._find()
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT):
                    await self._wake.wait()
            if self._suspect or not self._wake.is_set():
                await self._ping()
            self._wake.clear()
            await self._flush()

    async def _ping(self) -> None:
        async with asyncio.timeout(TIMEOUT):
            await self._redis.ping()
        self._suspect = False

    async def _flush(self) -> None:
        while self._unpublished or len(self._journal):
            await self._send_members()
            await self._send_records()

    async def _send_members(self) -> None:
        while self._unpublished:
            pool = next(iter(self._unpublished))
            replicas = self._members[pool]
            key = MEMBERS + pool + self._of_member
            async with asyncio.timeout(TIMEOUT), self._redis.pipeline(transaction=True) as pipe:
                pipe.delete(key)
                if replicas:
                    pipe.hset(key, mapping={r.name: _encode(r) for r in replicas})
                await pipe.execute()
            if self._members[pool] is replicas:
                self._unpublished.discard(pool)

    async def _send_records(self) -> None:
        batch = self._journal.batch(BATCH)
        kept: Sequence[Record] = batch
        try:
            async with asyncio.timeout(TIMEOUT), self._redis.pipeline(transaction=False) as pipe:
                for record in batch:
                    pipe.xadd(
                        DECISIONS if isinstance(record.body, Decision) else EVENTS,
                        {"id": record.id, "json": _encode(record.body)},
                        maxlen=STREAM_LENGTH,
                    )
                answers = await pipe.execute(raise_on_error=False)
            refused = [
                (record, answer)
                for record, answer in zip(batch, answers, strict=True)
                if isinstance(answer, Exception)
            ]
            kept = [record for record, _ in refused]
        finally:
            self._journal.settle(kept)
        for _, answer in refused:
            raise answer

    def _find(self) -> None:
        self._backoff.reset()
        self.connected = True
        self._lost_since = None
        self._told_lost = False
        self._reached.set()
        self._tell("store.connected", f"store {self.display} is connected")

    def _lose(self, error: Exception) -> None:
        now = self._clock.monotonic()
        was_connected, self.connected = self.connected, False
        self._reached.clear()
        if self._lost_since is None:
            self._lost_since = now
        if not self._told_lost and (was_connected or now - self._lost_since >= GRACE):
            self._told_lost = True
            self._tell("store.lost", f"store {self.display} is lost: {_reason(error)}")

    def _tell(self, kind: str, message: str) -> None:
        self._on_event(Event(at=self._clock.wall(), kind=kind, message=message))

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await answer
        except _FAILURES as error:
            self._suspect = True
            self._wake.set()
            raise StoreUnavailableError(
                f"store {self.display} is not available: {_reason(error)}"
            ) from error

    async def _newest(
        self,
        stream: str,
        decoder: msgspec.json.Decoder[_B],
        recent: Sequence[Record],
        keep: Callable[[_B], bool],
        limit: int,
    ) -> list[_B]:
        """Up to `limit` bodies that `keep` accepts: unsent ones, then page by page the stream's."""
        own = {r.id: body for r in recent if isinstance(body := r.body, decoder.type)}
        if not self.connected:
            return [body for body in own.values() if keep(body)][:limit]
        unsent = {r.id for r in self._journal.unsent()}
        found = {id_: body for id_, body in own.items() if id_ in unsent and keep(body)}
        before = "+"
        try:
            while len(found) < limit:
                page: Page = await self._ask(self._redis.xrevrange(stream, before, "-", PAGE))
                found.update((id_, body) for id_, body in _decoded(page, decoder) if keep(body))
                if len(page) < PAGE:
                    break
                before = "(" + page[-1][0].decode()
        except StoreUnavailableError:
            return [body for body in own.values() if keep(body)][:limit]
        return sorted(found.values(), key=lambda body: body.at, reverse=True)[:limit]


def _decoded(page: Page, decoder: msgspec.json.Decoder[_B]) -> Iterator[tuple[str, _B]]:
    """Entries of a stream with their record ids; what no version of this model wrote is skipped."""
    for _, fields in page:
        with contextlib.suppress(KeyError, UnicodeDecodeError, msgspec.MsgspecError):
            yield fields[b"id"].decode(), decoder.decode(fields[b"json"])


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
