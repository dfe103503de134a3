"""What the balancer of a version is told of its requests: times, failures and reported load.

A replica may report its load in a field of its replies: one number, what it works on and has
queued, its own requests included. Of that, what this worker has in flight there itself is known
better, so only the rest counts, as `Replica.elsewhere`, until the report is stale: local counts
know nothing of others, reports are late, and only together do they neither drift nor herd.
"""

from __future__ import annotations

import re
from typing import Final

from fleet.wire import BalanceEntry
from router.balance import Clock, Learner
from router.http.reply import ReplyHead
from router.pool import Replica

OVERLOADED: Final = 429
"""With `Retry-After` a failure to the balancer, though never to the outlier rules."""

_RETRY_AFTER: Final = re.compile(rb"(?im)^retry-after:[ \t]*([0-9]{1,6})[ \t]*\r$")
_REPORT: Final = rb"(?im)^%b:[ \t]*([0-9]{1,12}(?:\.[0-9]{1,9})?)?[^\r\n]*\r\n"


class Reports:
    """The reported load of the replicas of one worker, and when it goes stale."""

    def __init__(self) -> None:
        self._until: dict[Replica, float] = {}

    def report(self, replica: Replica, load: float, until: float) -> None:
        """`replica` works on `load` requests in all; that holds until the monotonic `until`."""
        replica.elsewhere = max(0.0, load - replica.in_flight)
        replica.version.uneven = True
        self._until[replica] = until

    def expire(self, now: float) -> list[Replica]:
        """Forget what is stale by the monotonic `now`; gives the replicas it was of."""
        stale = [replica for replica, until in self._until.items() if until <= now]
        for replica in stale:
            del self._until[replica]
            replica.elsewhere = 0.0
        return stale


class Observer:
    """See the module. One per version; there is none when neither a learner nor reports need it."""

    __slots__ = ("_clock", "_learner", "_pattern", "_reports", "_settings")

    def __init__(
        self,
        learner: Learner | None,
        settings: BalanceEntry,
        reports: Reports,
        clock: Clock,
    ) -> None:
        self._learner = learner
        self._settings = settings
        self._reports = reports
        self._clock = clock
        header = settings.load_header
        self._pattern = re.compile(_REPORT % re.escape(header.encode())) if header else None

    def replied(self, replica: Replica, head: ReplyHead, seconds: float) -> None:
        """A final reply has begun `seconds` after its request was sent."""
        if self._pattern is not None:
            self._take_report(replica, head)
        if self._learner is None:
            return
        if head.status >= 500 or head.status == OVERLOADED:
            asked = _RETRY_AFTER.search(head.lines)
            if asked is not None or head.status >= 500:
                self._learner.failed(replica, float(asked[1]) if asked is not None else 0.0)
                return
        self._learner.replied(replica, seconds)

    def failed(self, replica: Replica) -> None:
        """A request came to nothing: no connection, or one that broke off."""
        if self._learner is not None:
            self._learner.failed(replica, 0.0)

    def silent(self, replica: Replica, seconds: float) -> None:
        """A request was given up after `seconds` without a reply, though not by the replica."""
        if self._learner is not None:
            self._learner.silent(replica, seconds)

    def _take_report(self, replica: Replica, head: ReplyHead) -> None:
        assert self._pattern is not None
        found = self._pattern.search(head.lines)
        if found is None:
            return
        if found[1] is not None:
            load = float(found[1]) / self._settings.load_per_request
            self._reports.report(replica, load, self._clock() + self._settings.load_stale)
        if not self._settings.load_shown:
            head.lines = self._pattern.sub(b"", head.lines)
