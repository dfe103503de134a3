"""A second try of a request whose first is late, and replies nobody waits for.

A hedge never waits: it takes a slot of another replica that is free now, or is not made. Until it
has won it is what its connection tells of the reply; when the head of a good reply comes it gives
connection and lease to the exchange, which gives up its own, and is no more.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from fleet.telemetry import slab as words
from fleet.wire import TimeoutsEntry
from router.errors import Refusal
from router.http.phase import Phase
from router.http.ports import UpstreamPort
from router.http.reply import ReplyHead

if TYPE_CHECKING:
    from router.http.exchange import Exchange
    from router.http.tries import Tries
    from router.plane import Plane
    from router.pool import Replica

UNWANTED = 65_536
"""Bytes of an unwanted reply that are read to keep its connection."""


class Discarded:
    """Takes a reply that is not wanted, so that its connection can be kept."""

    __slots__ = ("_upstream", "bytes_out", "phase", "timeouts")

    def __init__(self, upstream: UpstreamPort, timeouts: TimeoutsEntry) -> None:
        self._upstream = upstream
        self.timeouts = timeouts
        self.bytes_out = 0
        self.phase = Phase.RELAY

    def connected(self, upstream: UpstreamPort) -> None:
        """See `Caller`; never called."""

    def connect_failed(self, error: str) -> None:
        """See `Caller`; never called."""

    def reply_interim(self, head: ReplyHead) -> None:
        """See `Caller`."""

    def reply_head(self, head: ReplyHead) -> None:
        """See `Caller`."""

    def reply_body(self, data: bytes) -> None:
        """See `Caller`."""
        self.bytes_out += len(data)
        if self.bytes_out > UNWANTED:
            self._upstream.abort()

    def chunk_gap(self, seconds: float) -> None:
        """See `Caller`."""

    def reply_end(self, trailers: bytes) -> None:
        """See `Caller`."""
        self._upstream.keep()

    def tunnel_out(self, data: bytes) -> None:
        """See `Caller`."""

    def upstream_lost(self, code: str, message: str, *, status: int = 502) -> None:
        """See `Caller`."""

    def upstream_paused(self, on: bool) -> None:
        """See `Caller`."""

    def fail(self, refusal: Refusal) -> None:
        """See `Caller`."""


class Hedge(Discarded):
    """See the module."""

    __slots__ = ("_exchange", "_first", "_plane", "_tries", "leased_at", "replica", "sent_at")

    def __init__(self, plane: Plane, exchange: Exchange, tries: Tries, replica: Replica) -> None:
        self._plane = plane
        self._exchange = exchange
        self._tries = tries
        self.replica = replica
        self.phase = Phase.CONNECTING
        self.leased_at = monotonic()
        self.sent_at = 0.0
        self._first = False
        """The exchange has given up its own try and waits for this one."""
        self.bytes_out = 0
        self.timeouts = exchange.timeouts

    def connected(self, upstream: UpstreamPort) -> None:
        """See `Caller`."""
        if self._first:
            self._leave()
            self._exchange.connected(upstream)
            return
        self.phase = Phase.FORWARD
        self._upstream = upstream
        self.sent_at = monotonic()
        self._exchange.send_to(upstream, self.sent_at)
        upstream.hand_over(self)

    def connect_failed(self, error: str) -> None:
        """See `Caller`."""
        self._leave()
        if self._first:
            self._exchange.connect_failed(error)
            return
        self._failed()
        self._plane.suspect(self.replica, error, suspend=True)
        self._end_lease()

    def reply_head(self, head: ReplyHead) -> None:
        """See `Caller`. An error is no answer while the first try may bring a better one."""
        self._leave()
        upstream = self._upstream
        if head.status >= 500 or head.status == 425:
            upstream.hand_over(Discarded(upstream, self.timeouts))
            self._answered_badly(head)
            self._end_lease()
            return
        self.replica.version.counters.add(words.HEDGE_WINS)
        self._tries.hedged = "won"
        self.become_first()
        self._exchange.reply_head(head)

    def upstream_lost(self, code: str, message: str, *, status: int = 502) -> None:
        """See `Caller`."""
        self._leave()
        self._failed()
        if code == "upstream_closed" and not self._upstream.reused:
            self._plane.suspect(self.replica, message, suspend=False)
        self._end_lease()

    def become_first(self) -> None:
        """Give the lease, and the connection if there is one, to the exchange."""
        self._first = True
        leased_at, self.leased_at = self.leased_at, 0.0
        connecting = self.phase is Phase.CONNECTING
        upstream = None if connecting else self._upstream
        self._exchange.adopt(self.replica, leased_at, upstream, self.sent_at)

    def cancel(self) -> None:
        """Its reply is not wanted any more."""
        connecting = self.phase is Phase.CONNECTING
        self.phase = Phase.DONE
        if not connecting:
            self._upstream.abort()
        self._end_lease()

    def _leave(self) -> None:
        self._tries.hedge = None

    def _answered_badly(self, head: ReplyHead) -> None:
        self._tries.failed.append(self.replica)
        version, seconds = self.replica.version, monotonic() - self.sent_at
        if version.observer is not None:
            version.observer.replied(self.replica, head, seconds)
        if version.outliers is not None:
            version.outliers.ended(self.replica, head.status, seconds)

    def _failed(self) -> None:
        self._tries.failed.append(self.replica)
        self.replica.version.counters.add(words.UPSTREAM_FAILURES)
        self._exchange.replica_failed(self.replica)

    def _end_lease(self) -> None:
        if self.leased_at:
            held, self.leased_at = monotonic() - self.leased_at, 0.0
            self._plane.admission.release(self.replica, held, 0)
