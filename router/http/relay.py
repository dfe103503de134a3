"""What a replica answers, and what becomes of it: phases FORWARD, RELAY and TUNNEL.

Phases are told in `router.http.exchange`. Here a reply is passed on, or dropped because another
replica is asked instead, and those who learn from replies are told of it.
"""

from __future__ import annotations

from time import monotonic

from fleet.telemetry import slab as words
from router.errors import Refusal
from router.http.claim import Claim
from router.http.hedge import Discarded
from router.http.phase import Phase
from router.http.ports import UpstreamPort
from router.http.reply import ReplyHead
from router.http.tries import Tries
from router.pool import Replica
from router.retry import Cause, asks_again

_CAUSES = {
    "bad_reply": Cause.UNFIT,
    "first_byte_timeout": Cause.UNFIT,
    "upstream_closed": Cause.LOST,
    "upstream_unsent": Cause.CONNECT,
}


class Relay(Claim):
    """See the module. The exchange sets every attribute."""

    __slots__ = (
        "_body",
        "bytes_out",
        "first_byte_at",
        "request_ended",
        "request_id",
        "sent_at",
        "status",
        "upstream",
    )

    _body: list[bytes] | None
    """What has come of the request's body; None when it is not kept any more."""
    bytes_out: int
    first_byte_at: float
    request_ended: bool
    request_id: bytes
    sent_at: float
    status: int
    upstream: UpstreamPort | None

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
        if (head.status == 503 or head.status == 425) and self._declined(head):
            return
        sent_at = self.sent_at
        if self._tries is not None:
            self._tries.answered()
            # as the client sees it: without its late ones a quantile would make ever more late
            sent_at = self._tries.first_sent_at or sent_at
        self.first_byte_at = monotonic()
        self._observe(words.FIRST_BYTE, words.FIRST_BYTE_US, self.first_byte_at - sent_at)
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
            self._cancel_due()
            self._downstream.open_tunnel(head, extra)
        else:
            self.phase = Phase.RELAY
            self._downstream.send_head(head, extra)
        if self._downstream.paused and self.upstream is not None:
            self.upstream.hold(True)

    def _declined(self, head: ReplyHead) -> bool:
        """Whether the reply is dropped because another replica is asked instead."""
        cause = asks_again(head)
        upstream, version, replica = self.upstream, self._version, self.replica
        if cause is None or upstream is None or version is None or replica is None:
            return False
        tries = self._further()
        hedged = tries.hedge is not None
        if not hedged and not tries.may(cause, version, replica):
            return False
        if replica.version.observer is not None:
            replica.version.observer.failed(replica)
        if cause is Cause.BUSY and replica.version.outliers is not None:
            replica.version.outliers.ended(replica, head.status, monotonic() - self.sent_at)
        self.upstream = None
        if self.request_ended:
            upstream.hand_over(Discarded(upstream, self.timeouts))
        else:
            upstream.abort()
        self._end_lease()
        if hedged:
            tries.promote()
        else:
            tries.go(cause, version)
        return True

    def reply_body(self, data: bytes) -> None:
        """A piece of the reply's body has come."""
        self.bytes_out += len(data)
        self._downstream.send_body(data)

    def chunk_gap(self, seconds: float) -> None:
        """So long after a part of the reply's body has another come."""
        self._observe(words.CHUNK_GAP, words.CHUNK_GAP_US, seconds)

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
            self.replica_failed(self.replica)
        if self.phase is Phase.RELAY:
            self._downstream.truncate()
            self.finish(code)
            return
        self._end_lease()
        if code == "upstream_closed" and not upstream.reused and self.replica is not None:
            # not suspended: one request that makes agents close must not take them all out
            self._plane.suspect(self.replica, message, suspend=False)
        cause = _CAUSES.get(code)
        if cause is None or not self._again(cause, at_once=upstream.reused):
            self.refuse(Refusal(status, code, message))

    # flow control

    def downstream_paused(self, on: bool) -> None:
        """The client has stopped, or begun again, to take bytes."""
        if self.upstream is not None and self.phase >= Phase.RELAY:
            self.upstream.hold(on)

    def upstream_paused(self, on: bool) -> None:
        """The replica has stopped, or begun again, to take bytes."""
        self._downstream.hold(on)

    def _served(self) -> None:
        replica = self.replica
        assert replica is not None
        outliers = replica.version.outliers
        if outliers is not None:
            outliers.ended(replica, self.status, self.first_byte_at - self.sent_at)

    def replica_failed(self, replica: Replica) -> None:
        """Tell who learns from failures."""
        version = replica.version
        if version.observer is not None:
            version.observer.failed(replica)
        if version.outliers is not None:
            version.outliers.failed(replica)

    # the rest of the exchange

    def finish(self, outcome: str) -> None:
        """See `router.http.exchange.Exchange`."""
        raise NotImplementedError

    def _further(self) -> Tries:
        raise NotImplementedError

    def _again(self, cause: Cause, *, at_once: bool = False) -> bool:
        raise NotImplementedError
