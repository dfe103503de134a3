"""Transcripts without sockets: a test plays the client and the replicas, byte by byte.

A `Rig` is a whole data plane whose transports are `Wire`s, whose clock is moved by hand and whose
dialling hands the test the other end. At the end of a run `Rig.end` checks the books.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import msgspec
import pytest

from fleet import wire
from fleet.telemetry import slab as words
from fleet.telemetry.slab import block_at, cell_at, worker_at
from router import plane as plane_module
from router.accesslog import AccessLog
from router.http import claim as claim_module
from router.http import connection as connection_module
from router.http import downstream as downstream_module
from router.http import exchange as exchange_module
from router.http import hedge as hedge_module
from router.http import relay as relay_module
from router.http import tries as tries_module
from router.http import upstream as upstream_module
from router.http.downstream import Downstream
from router.http.phase import Phase
from router.http.ports import Caller
from router.http.upstream import Upstream
from router.http2 import connection as http2_connection_module
from router.http2 import stream as http2_stream_module
from router.http2.connection import Connection
from router.plane import Plane
from router.pool import Replica
from tests.protocol.messages import Message, parse
from tests.support.rows import row

TIMEOUTS = wire.TimeoutsEntry(
    header=10, body=30, keep_alive=75, connect=2, first_byte=60, stream_idle=20,
    upstream_keep_alive=4,
)  # fmt: skip
LIMITS = wire.LimitsEntry(
    header_size=65536, headers=128, target=16384, body=1 << 30, connections=1000
)
BLOCKS = 8


def replica(name: str, **changes: Any) -> wire.ReplicaEntry:
    """An entry such as control would send; `a-1` has cell 1 and port 9001."""
    number = int(name.rsplit("-", 1)[1])
    entry = wire.ReplicaEntry(
        name=name, host="10.0.0.1", port=9000 + number, slots=2, cell=number, serving=True
    )
    return msgspec.structs.replace(entry, **changes)


def version(
    name: str, *replicas: wire.ReplicaEntry, weight: int = 100, block: int = 1
) -> wire.VersionEntry:
    return wire.VersionEntry(name=name, weight=weight, block=block, replicas=replicas)


def pool(name: str = "agents", *versions: wire.VersionEntry, **changes: Any) -> wire.PoolEntry:
    entry = wire.PoolEntry(
        name=name, versions=versions or (version("v1"),), balance="round_robin",
        affinity_header=None, affinity_cookie=None, queue_limit=100, queue_timeout=10,
        served_by=True, version_header="X-Headrace-Version",
    )  # fmt: skip
    return msgspec.structs.replace(entry, **changes)


def route(pool_name: str = "agents", path: str | None = "/") -> wire.RouteEntry:
    return wire.RouteEntry(host=None, path=path, methods=(), headers={}, pool=pool_name)


class Drawn(Random):
    """Random numbers that are always the same: 0 is a back-off of no length."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Wire(asyncio.Transport):
    """One socket: what our side wrote, and the peer's side of it for the test to play."""

    def __init__(self, rig: Rig, protocol: Connection | Downstream | Upstream, label: str) -> None:
        super().__init__({"peername": ("192.0.2.7", 40000)})
        self._rig = rig
        self.protocol = protocol
        self.label = label
        self.written = b""
        self.half_closed = False
        self.closed = ""
        self.lost = False
        self.paused = False
        self.unsent = 0
        """Bytes in our user-space buffer, as the test sets them."""
        self._coming: deque[bytes] = deque()
        rig.wires.append(self)
        protocol.connection_made(self)

    def __repr__(self) -> str:
        return f"<Wire {self.label} closed={self.closed!r} paused={self.paused}>"

    # asyncio.Transport, for the data plane

    def write(self, data: Any) -> None:
        assert not self.half_closed, "write after write_eof"
        assert not self.lost, "write after connection_lost"
        if not self.closed:
            self.written += bytes(data)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half_closed = True

    def close(self) -> None:
        self._end("close")

    def abort(self) -> None:
        self._end("abort")

    def is_closing(self) -> bool:
        return bool(self.closed)

    def pause_reading(self) -> None:
        assert not self.lost
        self.paused = True

    def resume_reading(self) -> None:
        assert not self.lost
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def _end(self, how: str) -> None:
        if not self.closed:
            self.closed = how
            self._rig.later(self._lose)

    def _lose(self, error: Exception | None = None) -> None:
        if not self.lost:
            self.closed = self.closed or "peer"
            self.lost = True
            self.protocol.connection_lost(error)

    # the peer, for the test

    def send(self, data: bytes) -> None:
        """The peer's bytes arrive, cut as the rig cuts them; what is held waits in the kernel."""
        self._coming.extend(self._rig.cut(self.label, data))
        self._rig.turn()

    def deliver(self) -> bool:
        """Hand one piece to the protocol; False when there is nothing to hand over."""
        if not self._coming or self.paused or self.closed:
            return False
        self.protocol.data_received(self._coming.popleft())
        return True

    def eof(self) -> None:
        """The peer closes. Our transport notices now and says `connection_lost` a turn later."""
        while self.deliver():
            pass
        if self.closed:
            return
        self.protocol.eof_received()
        self._end("peer")

    def hang_up(self) -> None:
        self.eof()
        self._rig.turn()

    def reset(self) -> None:
        self._lose(ConnectionResetError())
        self._rig.turn()

    def clog(self, on: bool) -> None:
        """The peer stops, or begins again, to take bytes."""
        if on:
            self.protocol.pause_writing()
        else:
            self.protocol.resume_writing()
        self._rig.turn()

    def take(self) -> bytes:
        """What our side wrote since the last call."""
        data, self.written = self.written, b""
        return data

    def messages(self, *, bodiless: bool = False) -> list[Message]:
        return parse(self.written, bodiless=bodiless)

    def message(self, *, bodiless: bool = False) -> Message:
        """The one message our side wrote since the last `take`; takes it."""
        (message,) = parse(self.take(), bodiless=bodiless)
        return message


class Dial:
    """A connection being made to a replica."""

    def __init__(self, rig: Rig, to: Replica, caller: Caller) -> None:
        self._rig = rig
        self.to = to
        self._caller = caller

    def answer(self) -> Wire:
        rig = self._rig
        wire_ = Wire(rig, Upstream(rig.plane, self.to), "replica")
        rig.upstreams.append(wire_)
        self.to.version.dialling -= 1
        if self._caller.phase is Phase.CONNECTING:
            self._caller.connected(wire_.protocol)  # type: ignore[arg-type]
        else:
            wire_.protocol.close()  # type: ignore[union-attr]
        rig.turn()
        return wire_

    def refuse(self, error: str = "Connection refused") -> None:
        self.to.version.dialling -= 1
        if self._caller.phase is Phase.CONNECTING:
            self._caller.connect_failed(error)
        self._rig.turn()


class ScriptedPlane(Plane):
    """The plane, but for the dialling."""

    rig: Rig

    def connect(self, replica: Replica, caller: Caller) -> None:
        if replica.idle:
            super().connect(replica, caller)
        else:
            replica.version.dialling += 1
            self.rig.dials.append(Dial(self.rig, replica, caller))


class Rig:
    """A data plane of one pool `agents` at `/` with version v1 and replica a-1, unless told
    otherwise. With `dialling` "auto" every connection is made at once; with "manual" the test
    answers `rig.dials`.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        cut: Callable[[str, bytes], Sequence[bytes]] | None = None,
    ) -> None:
        self.clock = Clock()
        for module in (
            plane_module,
            connection_module,
            downstream_module,
            exchange_module,
            http2_connection_module,
            http2_stream_module,
            claim_module,
            hedge_module,
            relay_module,
            tries_module,
            upstream_module,
        ):
            monkeypatch.setattr(module, "monotonic", self.clock)
        self.cut = cut or (lambda label, data: [data])
        self.wires: list[Wire] = []
        self.clients: list[Wire] = []
        self.upstreams: list[Wire] = []
        self.dials: deque[Dial] = deque()
        self.dialling = "auto"
        self.told: list[wire.ToControl] = []
        self.log: list[dict[str, Any]] = []
        self._later: deque[Callable[[], None]] = deque()
        self._turning = False
        self.row = row()
        log = AccessLog(self._logged, lambda: 0, self.row)
        self.plane = ScriptedPlane(self.row, self.told.append, log)
        self.plane.rig = self
        self.plane.random = Drawn(0.0)
        self.plane._soon = self.later
        self.configure()
        self.members(version("v1", replica("a-1")))

    def configure(
        self,
        *pools: wire.PoolEntry,
        routes: Sequence[wire.RouteEntry] | None = None,
        timeouts: Mapping[str, float] | None = None,
        limits: Mapping[str, int] | None = None,
        trusted: Sequence[str] = (),
        paths: str = "canonical",
    ) -> None:
        pools = pools or (pool(),)
        table = wire.Table(
            generation=1, listeners=(), new_listeners=(),
            routes=tuple(routes if routes is not None else [route(p.name) for p in pools]),
            pools=pools,
            timeouts=msgspec.structs.replace(TIMEOUTS, **(timeouts or {})),
            limits=msgspec.structs.replace(LIMITS, **(limits or {})),
            log_enabled=True, log_sample=1.0, trusted_proxies=tuple(trusted), paths=paths,
        )  # fmt: skip
        self.plane.apply(table)
        self.turn()

    def members(self, *versions: wire.VersionEntry, pool_name: str = "agents") -> None:
        def no_token() -> int:
            raise AssertionError("no semaphore was sent")

        self.plane.members(wire.Members(pool=pool_name, versions=versions), no_token)
        self.turn()

    def client(self, kind: type[Downstream | Connection] = Downstream) -> Wire:
        self.clients.append(Wire(self, kind(self.plane), "client"))
        return self.clients[-1]

    @property
    def replica(self) -> Wire:
        """The newest connection to a replica."""
        return self.upstreams[-1]

    def later(self, callback: Callable[[], None]) -> None:
        self._later.append(callback)

    def turn(self) -> None:
        """Run the loop until nothing is left to do: bytes, dials, closed connections."""
        if self._turning:
            return
        self._turning = True
        try:
            busy = True
            while busy:
                busy = sum(w.deliver() for w in list(self.wires)) > 0
                if self.dialling == "auto" and self.dials:
                    busy = True
                    self.dials.popleft().answer()
                if self._later:
                    busy = True
                    self._later.popleft()()
        finally:
            self._turning = False

    def advance(self, seconds: float) -> None:
        """Let time pass, tick by tick."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + self.plane.wheel.tick)
            self.plane.tick()
            self.turn()

    def logged(self) -> list[dict[str, Any]]:
        self.plane.log.flush()
        return self.log

    def count(self, word: int, block: int | None = None) -> int:
        """A counter of one block, or summed over all."""
        blocks = range(BLOCKS) if block is None else [block]
        return sum(self.row[block_at(b) + word] for b in blocks)

    def _logged(self, lines: bytes) -> None:
        self.log += [json.loads(line) for line in lines.splitlines()]

    # the books

    def check(self) -> None:
        """What must hold at any time between two events."""
        for p in self.plane.directory.pools.values():
            assert p.queued == sum(len(v.waiting) for v in p.versions.values())
            for v in p.versions.values():
                assert [r.place for r in v.free] == list(range(len(v.free)))
                assert set(v.free) == {
                    r for r in v.replicas.values() if r.usable and r.in_flight < r.slots
                }
                assert not (v.waiting and v.free), "a request waits beside a free slot"
                for r in v.replicas.values():
                    at = cell_at(r.cell)
                    assert self.row[at] - self.row[at + 1] == r.in_flight
                    assert r.in_flight >= 0
                    for kept in r.idle:
                        assert kept._exchange is None  # type: ignore[attr-defined]
                        assert not kept._closed  # type: ignore[attr-defined]

    def check_closed(self) -> None:
        """What must hold once every client is gone."""
        self.check()
        for b in range(BLOCKS):
            assert self.count(words.LEASED, b) == self.count(words.RELEASED, b)
            assert self.count(words.QUEUED, b) == self.count(words.UNQUEUED, b)
        replies = sum(self.count(words.REQUESTS + c) for c in range(6))
        assert self.count(words.STARTED) == replies
        finished = [line["id"] for line in self.logged()]
        assert len(finished) == len(set(finished)), "an exchange was finished twice"
        for w in self.wires:
            left = (
                w.protocol._streams if isinstance(w.protocol, Connection) else w.protocol._exchange
            )
            assert not left, f"an exchange is left on {w}"
        at = worker_at()
        assert self.row[at + words.CONNECTIONS_OPENED] == len(self.clients)
        assert self.row[at + words.CONNECTIONS_CLOSED] == len(self.clients)
        assert not self.plane.downstreams

    def end(self) -> None:
        """Everyone hangs up; then nothing may be left over."""
        self.check()
        while self.dials:
            self.dials.popleft().refuse()
        for client in self.clients:
            client._coming.clear()
            client.hang_up()
        self.check_closed()
