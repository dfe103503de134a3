"""One request and its reply, from the head's arrival to the last byte: the heart of the router.

Theory of operation. An exchange is told of events by the two connections it joins and by the
admission queue, and answers by calling them; it does no I/O itself, awaits nothing and creates
no task, future or timer. Its phases follow one another, each may be skipped by `finish`:

    ROUTE      the pool, then the version (override, session or split)
    QUEUED     waiting for a slot of that version
    BACKOFF    a try has failed; the next is made in a moment
    CONNECTING a slot is leased; a connection to the replica is being made
    FORWARD    the request is on its way; no byte of a reply has come
    RELAY      the reply's head has been passed on: the exchange is committed
    TUNNEL     the replica has switched protocols: bytes go both ways until either side ends
    DONE       finished, exactly once, whatever happened

Before RELAY a failed try sends the exchange back to the front of the queue where `router.retry`
allows it; in RELAY nothing is retried and a lost replica truncates the reply visibly. The lease
ends when the reply has ended. The exchange is its own first try: a hedge (`router.http.hedge`)
stands beside it and gives it connection and lease when it wins.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from fleet.telemetry import slab as words
from fleet.wire import TriesEntry
from router.deadline import timeout_lines
from router.errors import Refusal
from router.http import refusals
from router.http.head import RequestHead
from router.http.phase import Phase
from router.http.ports import DownstreamPort, UpstreamPort
from router.http.relay import Relay
from router.http.tries import Tries
from router.pool import Replica
from router.retry import Cause

if TYPE_CHECKING:
    from router.plane import Plane

KEPT_BODY = 65_536
"""Bytes of a request body held while no connection takes them (nginx keeps
`client_body_buffer_size`, 16 KiB), unless more are kept for a repeat."""

NO_TRIES = TriesEntry()


class Exchange(Relay):
    """See the module. Created by a downstream when a request's head is whole."""

    __slots__ = (
        "_body_size",
        "_trailers",
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
        self.timeouts = plane.timeouts
        self.limits = plane.limits
        self.pool = ""
        self.band = 0
        self._version = None
        self._counters = plane.unrouted
        self.replica = None
        self.upstream = None
        self._body = []
        self._body_size = 0
        self._trailers = b""
        self.request_ended = False
        self._attempts = 0
        self.hash_key = None
        self._rules = NO_TRIES
        self._tries = None
        self._due = None
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

    def _leased(self, replica: Replica) -> None:
        now = monotonic()
        self.replica = replica
        self.leased_at = now
        if self._due is not None and self._due.deadline <= now:
            self.phase = Phase.ROUTE
            self._too_late()
            return
        circuit = replica.version.circuit
        if circuit is not None and not circuit.may_dial(replica):
            self._circuit_open("connections")
            return
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
        keep = self._body_size <= self._rules.body
        if not keep:
            # before the pieces are sent: they may fill the connection, which holds again
            self._downstream.hold(False)
        self.send_to(upstream, self.sent_at)
        if not keep:
            self._body = None
        if self._rules.hedge is not None:
            assert self._version is not None
            self._further().watch(self._version)

    def send_to(self, upstream: UpstreamPort, now: float) -> None:
        """Send what there is of the request, at `now` (monotonic seconds)."""
        pieces = self._body
        assert pieces is not None
        upstream.send(self, now)
        for piece in pieces:
            upstream.send_body(piece)
        if self.request_ended:
            upstream.send_end(self._trailers)

    def connect_failed(self, error: str) -> None:
        """No connection could be made: nothing was sent, so another replica may be tried."""
        replica = self.replica
        assert replica is not None
        self._counters.add(words.UPSTREAM_FAILURES)
        self.replica_failed(replica)
        self._plane.suspect(replica, error, suspend=True)
        self._end_lease()
        if not self._again(Cause.CONNECT):
            self.refuse(Refusal(502, "connect_failed", f"no connection to the replica: {error}"))

    def _further(self) -> Tries:
        if self._tries is None:
            self._tries = Tries(self._plane, self, self._rules)
        return self._tries

    def _again(self, cause: Cause, *, at_once: bool = False) -> bool:
        """Go on with the hedge or try again; False: the failure stands."""
        tries, version, replica = self._further(), self._version, self.replica
        assert version is not None and replica is not None
        if tries.promote():
            return True
        if not tries.may(cause, version, replica):
            return False
        self._downstream.hold(False)
        tries.go(cause, version, at_once=at_once)
        return True

    def adopt(
        self, replica: Replica, leased_at: float, upstream: UpstreamPort | None, sent_at: float
    ) -> None:
        """Go on with the lease of a hedge, and its connection unless that is being made yet; both
        times are monotonic seconds.
        """
        mine, self.upstream = self.upstream, upstream
        if mine is not None:
            self._further().first_sent_at = self.sent_at
            self._silent()
            mine.abort()
            self._downstream.hold(False)
        self._end_lease()
        self.replica, self.leased_at, self.sent_at = replica, leased_at, sent_at
        self.phase = Phase.CONNECTING
        if upstream is not None:
            self.phase = Phase.FORWARD
            upstream.hand_over(self)

    # the request's body

    def request_body(self, data: bytes) -> None:
        """A piece of the request's body has come."""
        self.bytes_in += len(data)
        limit = self.limits.body
        if self.bytes_in > limit and self._version is not None:
            self.fail(refusals.too_large(limit))
            return
        if self._body is not None:
            self._body.append(data)
            self._body_size += len(data)
            kept = self._rules.body
            if self._body_size > kept:
                if self.upstream is not None:
                    self._body = None
                elif self._body_size > KEPT_BODY:
                    self._downstream.hold(True)
        if self.upstream is not None:
            self.upstream.send_body(data)

    def request_end(self, trailers: bytes) -> None:
        """The request's body is whole but for these trailer lines."""
        self.request_ended = True
        self._trailers = trailers
        if self.upstream is not None:
            self.upstream.send_end(trailers)

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
        if self._tries is not None:
            self._tries.answered()
        if self._due is not None:
            self._cancel_due()
        self._end_lease(self.status if outcome == "ok" else 0)
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
        """Header lines that tell the replica whom it serves, and how long that will wait."""
        lines = self._downstream.peer.forwarded(self.head)
        if self._due is not None:
            timeout = self.head.timeout
            grpc = timeout is not None and timeout.grpc
            lines += timeout_lines(self._due.deadline - monotonic(), grpc=grpc)
        return lines

    @property
    def body_kept(self) -> bool:
        """Whether all that has come of the request's body is at hand."""
        return self._body is not None

    @property
    def retry_cause(self) -> str | None:
        """Why it was sent again last."""
        return None if self._tries is None else self._tries.cause

    @property
    def hedge(self) -> str | None:
        """How its hedge came out; None when there was none."""
        return None if self._tries is None else self._tries.hedged or None

    @property
    def retries(self) -> int:
        """Attempts after the first."""
        return max(0, self._attempts - 1)

    def _stop_upstream(self) -> None:
        if self.phase is Phase.QUEUED:
            assert self._version is not None
            self._plane.admission.leave(self, self._version)
            self.phase = Phase.ROUTE
        elif self.phase is Phase.FORWARD and self.request_ended:
            self._silent()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abort()

    def _silent(self) -> None:
        """Its replica has not replied, and nobody waits any longer: so late it is at least."""
        assert self.replica is not None
        observer = self.replica.version.observer
        if observer is not None:
            observer.silent(self.replica, monotonic() - self.sent_at)
