"""The store: a Redis (or Valkey) that holds what outlives a daemon or is shared between several.

Nothing waits for it. Records are kept in memory while it is away and sent when it is back; only
an explicit read or write of state fails without it, within `TIMEOUT`.

Keys, all below `headrace:`, or `headrace:cluster:NAME:` for the members of a cluster:

| key | type | holds |
|---|---|---|
| `decisions` | stream, about 10,000 newest | `id`: the record's id, `json`: a `Decision` |
| `events` | stream, about 10,000 newest | `id`: the record's id, `json`: an `Event` |
| `members:POOL` | hash, replaced as a whole | replica name to a `Replica` in JSON |
| `members:POOL@MEMBER` | the same | those of one member of a cluster |
| `owner`, `owner:MEMBER` | string | the daemon that these keys belong to (`fleet.store.claim`) |
| `state:NAME` | string | what `set(NAME, ...)` was given: overrides, scaler state |

A daemon that does not own them leaves all of them alone, and goes on as if the store were away.

A record whose confirmation was lost with the connection is sent again, so a stream may hold it
twice; readers tell by `id` and show it once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
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
from fleet.store.claim import LOOKED_EVERY, RENEWED_EVERY, Claim, Owner
from fleet.store.history import bodies, newest
from fleet.store.journal import Journal, Record
from fleet.store.scripts import CLAIM, DELETE, GUARD, RELEASE, REPLACE, SET

KEYS: Final = "headrace:"
DECISIONS: Final = "decisions"
EVENTS: Final = "events"
MEMBERS: Final = "members:"
STATE: Final = "state:"

TIMEOUT: Final = 1.0
"""Longest wait for one answer, in seconds."""
HEARTBEAT: Final = RENEWED_EVERY
"""Seconds between two checks of the connection and of whose the keys are."""
GRACE: Final = 1.0
"""A store not reached this long after the start is reported lost, in seconds."""
STREAM_LENGTH: Final = 10_000
BATCH: Final = 500

_FAILURES: Final = (RedisError, OSError, TimeoutError)
_encode: Final = msgspec.json.Encoder().encode
_decision: Final = msgspec.json.Decoder(Decision)
_event: Final = msgspec.json.Decoder(Event)

_B = TypeVar("_B", Decision, Event)


class _TakenError(Exception):
    """The keys are another daemon's."""


class Store:
    """One store, connected in the background; a `fleet.ports.Recorder`.

    `on_event` gets `store.lost`, `store.taken` and `store.connected`; by default they are
    recorded like any other event.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        keys: str = KEYS,
        member: str | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        """`url` is redis://, rediss:// or unix://. ValueError when it is none of them.

        `keys` is what every key begins with; `member` keeps this daemon's membership apart from
        that of others in its cluster.
        """
        self.keys = keys
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
        self._claim: Claim | None = None
        self._checked = 0.0
        self._told_rival: Owner | None = None
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

    @property
    def rival(self) -> Owner | None:
        """The other daemon that the keys belong to, if there is one."""
        return self._claim.rival if self._claim is not None else None

    async def start(self, claim: Claim | None = None) -> None:
        """Begin to connect; returns at once. Without a `claim` nobody else can have the keys."""
        self._claim = claim
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
        if self.connected and self._claim is not None:
            with contextlib.suppress(*_FAILURES):
                async with asyncio.timeout(timeout):
                    await self._eval(RELEASE, [self._claim.key], [self._claim.mine])
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

    async def events(
        self, limit: int, keep: Callable[[Event], bool] = lambda _: True
    ) -> list[Event]:
        """The newest events (that `keep` accepts), newest first; from memory while the store is
        away.
        """
        return await self._newest(EVENTS, _event, self._journal.events(), keep, limit)

    async def get(self, name: str) -> bytes | None:
        """The state kept under `name`; None when there is none. Raises StoreUnavailableError."""
        value: bytes | None = await self._ask(lambda: self._redis.get(self.keys + STATE + name))
        return value

    async def set(self, name: str, value: bytes) -> None:
        """Keep `value` under `name`. Raises StoreUnavailableError."""
        await self._ask(lambda: self._write(SET, self.keys + STATE + name, [value]))

    async def delete(self, name: str) -> None:
        """Forget the state kept under `name`, if any. Raises StoreUnavailableError."""
        await self._ask(lambda: self._write(DELETE, self.keys + STATE + name, []))

    async def evaluate(
        self, script: str, keys: Sequence[str], arguments: Sequence[bytes | str]
    ) -> Any:
        """Run a Lua script, which happens at once or not at all. Raises StoreUnavailableError."""
        return await self._ask(lambda: self._eval(script, keys, arguments))

    async def _eval(
        self, script: str, keys: Sequence[str], arguments: Sequence[bytes | str]
    ) -> Any:
        return await self._redis.eval(script, len(keys), *keys, *arguments)

    async def _write(self, script: str, key: str, arguments: Sequence[bytes | str]) -> None:
        """Run a script on `key`, unless the keys are another daemon's."""
        if self._claim is None:
            await self._eval(script, [key], arguments)
        else:
            await self._eval(GUARD + script, [key, self._claim.key], [*arguments, self._claim.mine])

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self._serve()
            except _TakenError:
                self._stand_aside()
                await asyncio.sleep(LOOKED_EVERY)
            except _FAILURES as error:
                self._lose(error)
                await asyncio.sleep(self._backoff.delay())

    async def _serve(self) -> None:
        """Connect, deliver what has gathered, then as it comes, until stopped. Raises when lost.

        A store that answers but takes no writes (out of memory, read only) counts as lost: it is
        connected only once the backlog is through.
        """
        await self._check()
        self._unpublished.update(self._members)
        await self._flush()
        self._find()
        while not self._stopping:
            rest = self._checked + HEARTBEAT - self._clock.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._wake.wait()
            if self._suspect or self._clock.monotonic() >= self._checked + HEARTBEAT:
                await self._check()
            self._wake.clear()
            await self._flush()

    async def _check(self) -> None:
        """Whether the store answers and, with a claim, the keys are this daemon's."""
        async with asyncio.timeout(TIMEOUT):
            if self._claim is None:
                await self._redis.ping()
            else:
                await self._renew(self._claim)
        self._suspect = False
        self._checked = self._clock.monotonic()

    async def _renew(self, claim: Claim) -> None:
        """Raises _TakenError."""
        for _ in range(2):
            value = await self._eval(CLAIM, [claim.key], claim.attempt())
            claim.answered(value.decode(errors="replace"), self._clock.monotonic())
            if claim.held:
                return
            if not claim.may_take:
                break
        raise _TakenError

    async def _flush(self) -> None:
        while self._unpublished or len(self._journal):
            await self._send_members()
            await self._send_records()

    async def _send_members(self) -> None:
        while self._unpublished:
            pool = next(iter(self._unpublished))
            replicas = self._members[pool]
            key = self.keys + MEMBERS + pool + self._of_member
            pairs = [text for r in replicas for text in (r.name, _encode(r))]
            async with asyncio.timeout(TIMEOUT):
                await self._write(REPLACE, key, pairs)
            if self._members[pool] is replicas:
                self._unpublished.discard(pool)

    async def _send_records(self) -> None:
        batch = self._journal.batch(BATCH)
        kept: Sequence[Record] = batch
        try:
            async with asyncio.timeout(TIMEOUT), self._redis.pipeline(transaction=False) as pipe:
                for record in batch:
                    pipe.xadd(
                        self.keys + (DECISIONS if isinstance(record.body, Decision) else EVENTS),
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
        self._told_rival = None
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

    def _stand_aside(self) -> None:
        self.connected = False
        self._reached.clear()
        claim = self._claim
        if claim is None or claim.rival is None or claim.rival == self._told_rival:
            return
        self._told_rival = claim.rival
        self._tell(
            "store.taken",
            f"store {self.display} is used by another daemon, {claim.rival}: this one goes on "
            f"without it until that is gone; {claim.remedy}",
        )

    def _tell(self, kind: str, message: str) -> None:
        self._on_event(Event(at=self._clock.wall(), kind=kind, message=message))

    async def _ask(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        if self._claim is not None and not self._claim.held:
            raise StoreUnavailableError(f"store {self.display} is not this daemon's to use")
        try:
            async with asyncio.timeout(TIMEOUT):
                return await ask()
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
        if self.connected:
            with contextlib.suppress(StoreUnavailableError):
                return await newest(
                    lambda before, count: self._ask(
                        lambda: self._redis.xrevrange(self.keys + stream, before, "-", count)
                    ),
                    decoder,
                    self._journal.unsent(),
                    keep,
                    limit,
                )
        return list(bodies(recent, decoder, keep).values())[:limit]


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
