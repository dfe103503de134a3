"""One request and its reply, from the head's arrival to the last byte: the heart of the router.

Theory of operation. An exchange is told of events by the two connections it joins and by the
admission queue, and answers by calling them; it does no I/O itself, awaits nothing and creates
no task, future or timer. Its phases follow one another, each may be skipped by `finish`:

    ROUTE      the pool, then the version (override, session or split)
    QUEUED     waiting for a slot of that version
    CONNECTING a slot is leased; a connection to the replica is being made
    FORWARD    the request is on its way; no byte of a reply has come
    RELAY      the reply's head has been passed on: the exchange is committed
    TUNNEL     the replica has switched protocols: bytes go both ways until either side ends
    DONE       finished, exactly once, whatever happened

Before RELAY a failed connection, or for requests that may be repeated (RFC 9110 section 9.2.2)
a lost one, sends the exchange back to the front of the queue; in RELAY nothing is retried and a
lost replica truncates the reply visibly. The lease ends when the reply has ended.
"""

from __future__ import annotations

from bisect import bisect_left
from enum import IntEnum
from time import monotonic
from typing import TYPE_CHECKING

from fleet.telemetry import slab as words
from fleet.telemetry.histogram import BOUNDS
from router.errors import Refusal
from router.http.head import ALLOW, RequestHead
from router.http.ports import DownstreamPort, UpstreamPort
from router.http.reply import ReplyHead
from router.pool import Counters, Replica, Version

if TYPE_CHECKING:
    from router.plane import Plane

KEPT_BODY = 65_536
"""Bytes of a request body held while no connection takes them, and for a repeat (nginx keeps
`client_body_buffer_size`, 16 KiB)."""

MAX_ATTEMPTS = 4
"""Times a request is sent. Connections that could not be made are not counted: nothing was
sent, and each failure keeps its replica out of the choice for a while."""

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})


class Phase(IntEnum):
    """See the module."""

    ROUTE = 0
    QUEUED = 1
    CONNECTING = 2
    FORWARD = 3
    RELAY = 4
    TUNNEL = 5
    DONE = 6


class Exchange:
    """See the module. Created by a downstream when a request's head is whole."""

    __slots__ = (
        "_attempts",
        "_body",
        "_body_size",
        "_counters",
        "_downstream",
        "_plane",
        "_trailers",
        "_version",
        "bytes_in",
        "bytes_out",
        "first_byte_at",
        "hash_key",
        "head",
        "leased_at",
        "phase",
        "pool",
        "queued_until",
        "replica",
        "request_ended",
        "request_id",
        "sent_at",
        "started",
        "status",
        "upstream",
        "wait",
    )

    def __init__(self, plane: Plane, downstream: DownstreamPort, head: RequestHead) -> None:
        self._plane = plane
        self._downstream = downstream
        self.head = head
        given = head.request_id if downstream.peer.trusted else None
        self.request_id = given or plane.new_id()
        self.phase = Phase.ROUTE
        self.started = 0.0
        self.pool = ""
        self._version: Version | None = None
        self._counters: Counters = plane.unrouted
        self.replica: Replica | None = None
        self.upstream: UpstreamPort | None = None
        self._body: list[bytes] | None = []
        self._body_size = 0
        self._trailers = b""
        self.request_ended = False
        self._attempts = 0
        self.hash_key: bytes | None = None
        self.queued_until = 0.0
        self.wait = 0.0
        self.leased_at = 0.0
        self.sent_at = 0.0
        self.first_byte_at = 0.0
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0

    def __repr__(self) -> str:
        return (
            f"<Exchange {self.request_id.decode()} {self.phase.name} {self.head.method.decode()} "
            f"{self.head.path.decode('latin-1')} {self.replica!r}>"
        )

    @property
    def version(self) -> str:
        """Name of the version chosen; empty before it is."""
        return self._version.name if self._version else ""

    # ROUTE

    def start(self) -> None:
        """Route, split and admit."""
        self.started = monotonic()
        head = self.head
        try:
            version = self._plane.choose_version(head)
        except Refusal as refusal:
            self._counters.add(words.STARTED)
            self.refuse(refusal)
            return
        self._version = version
        self.pool = version.pool.name
        self._counters = version.counters
        self._counters.add(words.STARTED)
        limit = self._plane.limits.body
        if max(head.length, self.bytes_in) > limit:
            self.refuse(_too_large(limit))
            return
        if head.final:
            self.refuse(Refusal(204, "max_forwards", "Max-Forwards is used up", allow=ALLOW))
            return
        replica_key = version.pool.replica_key
        if replica_key is not None:
            self.hash_key = replica_key(head, self._downstream.peer.client)
        self.queued_until = self.started + version.pool.entry.queue_timeout
        self._admit(version)

    def _admit(self, version: Version) -> None:
        admission = self._plane.admission
        replica = admission.lease(version, self.hash_key)
        if replica is not None:
            self._leased(replica)
            return
        again = self._attempts > 0
        self.phase = Phase.QUEUED
        if not admission.enqueue(self, version, front=again):
            self.phase = Phase.ROUTE
            retry = admission.retry_after(version)
            self.refuse(Refusal(503, "queue_full", "the queue is full", retry_after=retry))

    # QUEUED

    def granted(self, replica: Replica) -> None:
        """A slot has come free (`router.pool.Waiter`)."""
        self._leased(replica)

    def expired(self) -> None:
        """Waited too long (`router.pool.Waiter`)."""
        assert self._version is not None
        self.phase = Phase.ROUTE
        retry = self._plane.admission.retry_after(self._version)
        if self._version.usable_slots:
            refusal = Refusal(503, "queue_timeout", "no slot came free in time", retry_after=retry)
        else:
            refusal = Refusal(503, "no_replica", "no replica is ready", retry_after=retry)
        self.refuse(refusal)

    def moved(self, version: Version) -> None:
        """Its version has vanished (`router.pool.Waiter`)."""
        self._version = version
        self._counters = version.counters

    def dropped(self) -> None:
        """Its pool has vanished (`router.pool.Waiter`)."""
        self.phase = Phase.ROUTE
        self.refuse(Refusal(503, "pool_removed", "the pool was removed from the configuration"))

    def _leased(self, replica: Replica) -> None:
        now = monotonic()
        self.replica = replica
        self.leased_at = now
        if self._attempts == 0:
            self.wait = now - self.started if self.phase is Phase.QUEUED else 0.0
            self._observe(words.WAIT, words.WAIT_US, self.wait)
        self._attempts += 1
        self.phase = Phase.CONNECTING
        self._plane.connect(replica, self)

    # CONNECTING

    def connected(self, upstream: UpstreamPort) -> None:
        """A connection is there, new or kept: send what there is of the request."""
        self.phase = Phase.FORWARD
        self.upstream = upstream
        self.sent_at = monotonic()
        pieces = self._body
        assert pieces is not None
        if self._body_size > KEPT_BODY:
            # before the pieces are sent: they may fill the connection, which holds again
            self._body = None
            self._downstream.hold(False)
        upstream.send(self)
        for piece in pieces:
            upstream.send_body(piece)
        if self.request_ended:
            upstream.send_end(self._trailers)

    def connect_failed(self, error: str) -> None:
        """No connection could be made: nothing was sent, so another replica may be tried."""
        replica = self.replica
        assert replica is not None
        self._counters.add(words.UPSTREAM_FAILURES)
        self._failed(replica)
        self._plane.suspect(replica, error, suspend=True)
        self._end_lease()
        if monotonic() < self.queued_until:
            self._again()
        else:
            self.refuse(Refusal(502, "connect_failed", f"no connection to the replica: {error}"))

    def _again(self) -> None:
        assert self._version is not None
        self._counters.add(words.RETRIES)
        self._admit(self._version)

    # the request's body

    def request_body(self, data: bytes) -> None:
        """A piece of the request's body has come."""
        self.bytes_in += len(data)
        limit = self._plane.limits.body
        if self.bytes_in > limit and self._version is not None:
            self.fail(_too_large(limit))
            return
        if self._body is not None:
            self._body.append(data)
            self._body_size += len(data)
            if self._body_size > KEPT_BODY:
                if self.upstream is None:
                    self._downstream.hold(True)
                else:
                    self._body = None
        if self.upstream is not None:
            self.upstream.send_body(data)

    def request_end(self, trailers: bytes) -> None:
        """The request's body is whole but for these trailer lines."""
        self.request_ended = True
        self._trailers = trailers
        if self.upstream is not None:
            self.upstream.send_end(trailers)

    # FORWARD and RELAY

    def reply_interim(self, head: ReplyHead) -> None:
        """A 1xx reply has come. A client of HTTP/1.0 knows none, and 100 is for those who wait."""
        if head.status == 100:
            if not self.head.expect_continue or self.request_ended:
                return
            self.head.expect_continue = False
        if self.head.minor:
            self._downstream.send_interim(head)

    def reply_head(self, head: ReplyHead) -> None:
        """The head of the final reply has come, or 101."""
        self.first_byte_at = monotonic()
        self._observe(words.FIRST_BYTE, words.FIRST_BYTE_US, self.first_byte_at - self.sent_at)
        self.status = head.status
        self._body = None
        assert self._version is not None and self.replica is not None
        observer = self._version.observer
        if observer is not None:
            observer.replied(self.replica, head, self.first_byte_at - self.sent_at)
        extra = b"X-Request-Id: " + self.request_id + b"\r\n"
        if self._version.pool.entry.served_by:
            extra += b"X-Served-By: " + self._version.served_by + b"\r\n"
        if head.status == 101:
            self.phase = Phase.TUNNEL
            self._served()
            self._downstream.open_tunnel(head, extra)
        else:
            self.phase = Phase.RELAY
            self._downstream.send_head(head, extra)
        if self._downstream.paused and self.upstream is not None:
            self.upstream.hold(True)

    def reply_body(self, data: bytes) -> None:
        """A piece of the reply's body has come."""
        self.bytes_out += len(data)
        self._downstream.send_body(data)

    def tunnel_in(self, data: bytes) -> None:
        """The client has sent bytes through the tunnel."""
        self.bytes_in += len(data)
        if self.upstream is not None:
            self.upstream.send_tunnelled(data)

    def tunnel_out(self, data: bytes) -> None:
        """The replica has sent bytes through the tunnel."""
        self.bytes_out += len(data)
        self._downstream.send_tunnelled(data)

    def reply_end(self, trailers: bytes) -> None:
        """The reply is whole but for these trailer lines."""
        upstream = self.upstream
        assert upstream is not None
        self.upstream = None
        if self.request_ended:
            upstream.keep()
        else:
            upstream.abort()
        self._downstream.send_end(trailers)
        self._served()
        self.finish("ok")

    def upstream_lost(self, code: str, message: str, *, status: int = 502) -> None:
        """The connection to the replica ended, or broke the rules, before the reply was whole."""
        upstream, self.upstream = self.upstream, None
        assert upstream is not None
        if self.phase is Phase.TUNNEL:
            self._downstream.close_tunnel()
            self.finish("ok" if code == "upstream_truncated" else code)
            return
        self._counters.add(words.UPSTREAM_FAILURES)
        if self.replica is not None and not (upstream.reused and code == "upstream_closed"):
            # a kept connection that closes as it is used again says nothing of the replica
            self._failed(self.replica)
        if self.phase is Phase.RELAY:
            self._downstream.truncate()
            self.finish(code)
            return
        self._end_lease()
        refusal = Refusal(status, code, message)
        if code == "upstream_closed":
            if not upstream.reused and self.replica is not None:
                # not suspended: one request that makes agents close must not take them all out
                self._plane.suspect(self.replica, message, suspend=False)
            repeatable = self.head.method in IDEMPOTENT and self._body is not None
            if repeatable and self._attempts < MAX_ATTEMPTS:
                self._downstream.hold(False)
                self._again()
                return
        self.refuse(refusal)

    # flow control

    def downstream_paused(self, on: bool) -> None:
        """The client has stopped, or begun again, to take bytes."""
        if self.upstream is not None and self.phase >= Phase.RELAY:
            self.upstream.hold(on)

    def upstream_paused(self, on: bool) -> None:
        """The replica has stopped, or begun again, to take bytes."""
        self._downstream.hold(on)

    # the end

    def client_gone(self) -> None:
        """The client has closed its connection: whatever is being done for it stops now."""
        if self.phase is Phase.DONE:
            return
        if self.phase is Phase.TUNNEL:
            upstream, self.upstream = self.upstream, None
            if upstream is not None:
                upstream.close()
            self.finish("ok")
            return
        self._counters.add(words.CLIENT_ABORTS)
        self._stop_upstream()
        self.finish("client_gone")

    def fail(self, refusal: Refusal) -> None:
        """Something other than the replica went wrong: answer if that is still possible."""
        if self.phase is Phase.DONE:
            return
        committed = self.phase >= Phase.RELAY
        self._stop_upstream()
        if committed:
            self._downstream.truncate()
            self.finish(refusal.code)
        else:
            self.refuse(refusal)

    def refuse(self, refusal: Refusal) -> None:
        """Answer instead of a replica."""
        self.status = refusal.status
        self.bytes_out = self._downstream.send_refusal(refusal, self.request_id)
        self.finish(refusal.code)

    def finish(self, outcome: str) -> None:
        """The one exit: count, log, release, and let the connection go on."""
        assert self.phase is not Phase.DONE
        self._end_lease()
        self.phase = Phase.DONE
        self._body = None
        now = monotonic()
        counters = self._counters
        counters.add(words.REQUESTS + min(self.status // 100, 5))
        counters.add(words.BYTES_IN, self.bytes_in)
        counters.add(words.BYTES_OUT, self.bytes_out)
        self._observe(words.DURATION, words.DURATION_US, now - self.started)
        self._plane.log.exchange(self, self._downstream.peer.client, now, outcome)
        self._downstream.exchange_done(self)

    def forwarded(self) -> bytes:
        """Header lines that tell the replica whom it serves."""
        return self._downstream.peer.forwarded(self.head)

    @property
    def retries(self) -> int:
        """Attempts after the first."""
        return max(0, self._attempts - 1)

    def _stop_upstream(self) -> None:
        if self.phase is Phase.QUEUED:
            assert self._version is not None
            self._plane.admission.leave(self, self._version)
            self.phase = Phase.ROUTE
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abort()

    def _served(self) -> None:
        replica = self.replica
        assert replica is not None
        outliers = replica.version.outliers
        if outliers is not None:
            outliers.ended(replica, self.status, self.first_byte_at - self.sent_at)

    def _failed(self, replica: Replica) -> None:
        version = replica.version
        if version.observer is not None:
            version.observer.failed(replica)
        if version.outliers is not None:
            version.outliers.failed(replica)

    def _end_lease(self) -> None:
        if self.leased_at:
            replica = self.replica
            assert replica is not None
            held = monotonic() - self.leased_at
            self.leased_at = 0.0
            self._plane.admission.release(replica, held)

    def _observe(self, buckets: int, total: int, seconds: float) -> None:
        self._counters.add(buckets + bisect_left(BOUNDS, seconds))
        self._counters.add(total, int(seconds * 1e6))


def _too_large(limit: int) -> Refusal:
    return Refusal(413, "body_too_large", f"the request body is above the limit of {limit} bytes")
