"""What one exchange does beyond its first try: back-off, retries and one hedge.

Made when it is needed first, so a request that is answered at once pays nothing. The rules are
pure and stand in `router.retry` and `router.budget`; this asks them and acts.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from fleet.telemetry import slab as words
from fleet.wire import TriesEntry
from router.http.hedge import Hedge
from router.http.phase import Phase
from router.retry import Cause, allowed, backoff, repeatable
from router.timers import Alarm

if TYPE_CHECKING:
    from router.http.exchange import Exchange
    from router.plane import Plane
    from router.pool import Replica, Version


class Tries:
    """See the module."""

    __slots__ = (
        "_alarm",
        "_exchange",
        "_made",
        "_plane",
        "_rules",
        "cause",
        "failed",
        "first_sent_at",
        "hedge",
        "hedged",
    )

    def __init__(self, plane: Plane, exchange: Exchange, rules: TriesEntry) -> None:
        self._plane = plane
        self._exchange = exchange
        self._rules = rules
        self._made = 0
        self._alarm: Alarm | None = None
        self.failed: list[Replica] = []
        """Those that have been asked in vain."""
        self.cause: Cause | None = None
        """Why it was sent again last."""
        self.hedge: Hedge | None = None
        self.first_sent_at = 0.0
        """When the try was sent that a hedge has overtaken; 0: none has."""
        self.hedged = ""
        """How the hedge came out: `won` or `lost`; empty when there was none."""

    # retries

    def may(self, cause: Cause, version: Version, failed: Replica) -> bool:
        """Whether to try again after such an end; what the budget allows is spent."""
        exchange = self._exchange
        if not exchange.body_kept or not allowed(cause, exchange.head, self._rules, self._made):
            return False
        now = monotonic()
        if cause is Cause.CONNECT:
            return now < exchange.queued_until
        if cause is Cause.UNFIT and not any(
            replica is not failed and replica.usable for replica in version.replicas.values()
        ):
            return False
        if not version.pool.budget.take(now, version.pool.started):
            version.counters.add(words.RETRIES_DENIED)
            return False
        exchange.queued_until = now + version.pool.entry.queue_timeout
        return True

    def go(self, cause: Cause, version: Version, *, at_once: bool = False) -> None:
        """Try again, as `may` has allowed."""
        version.counters.add(words.RETRIES)
        self.cause = cause
        if self._exchange.replica is not None:
            self.failed.append(self._exchange.replica)
        wait = 0.0
        if cause is not Cause.CONNECT:
            wait = 0.0 if at_once else backoff(self._rules, self._made, self._plane.random)
            self._made += 1
        if wait > 0.0:
            self._exchange.phase = Phase.BACKOFF
            self._set_alarm(wait, self._exchange.try_again)
        else:
            self._exchange.try_again()

    # the hedge

    def watch(self, version: Version) -> None:
        """The request has been sent: prepare a second try for when its reply is late."""
        settings = self._rules.hedge
        head = self._exchange.head
        if settings is None or self.hedged or head.websocket or not repeatable(head, self._rules):
            return
        delay = version.delays.quantile(settings.quantile)
        if delay is not None:
            self._set_alarm(max(delay, settings.least), self._late)

    def promote(self) -> bool:
        """The first try has failed: go on with the hedge alone, if there is one."""
        hedge = self.hedge
        if hedge is None:
            return False
        self.hedged = "won"
        if self._exchange.replica is not None:
            self.failed.append(self._exchange.replica)
        if hedge.phase is not Phase.CONNECTING:
            self.hedge = None
        hedge.become_first()
        return True

    def answered(self) -> None:
        """A reply's head has come: nothing more is tried."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self.hedge is not None:
            self.hedge.cancel()
            self.hedge = None

    def _late(self) -> None:
        exchange = self._exchange
        version, first = exchange.serving, exchange.replica
        if (
            exchange.phase is not Phase.FORWARD
            or not (exchange.request_ended and exchange.body_kept)
            or version is None
            or first is None
            or len(version.free) <= (first.place >= 0)
            or (version.circuit is not None and not version.circuit.may_add())
        ):
            return
        now = monotonic()
        budget = version.pool.budget
        if budget.room(now, version.pool.started) < 1.0:
            version.counters.add(words.RETRIES_DENIED)
            return
        replica = self._plane.admission.lease_other(version, (first,))
        if replica is None:
            return
        if version.circuit is not None:
            version.circuit.may_dial(replica)  # makes room if it has to
        budget.take(now, version.pool.started)
        version.counters.add(words.HEDGES)
        self.hedged = "lost"
        self.hedge = Hedge(self._plane, exchange, self, replica)
        self._plane.connect(replica, self.hedge)

    def _set_alarm(self, seconds: float, call: Callable[[], None]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = Alarm(self._plane.wheel, monotonic() + seconds, call)
