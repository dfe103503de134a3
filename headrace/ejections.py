"""Which replicas workers have ejected, told as events, counted, and shown in the status.

Each worker ejects by what it has seen itself, so a replica may be out for one and in for another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from fleet.clock import Clock
from fleet.model import Event, Replica
from fleet.wire import Ejected, Returned
from headrace.operations import Ejection


class Ejections:
    """See the module. `find(name)` gives a replica the workers know of, `tell(event)` records."""

    def __init__(
        self,
        clock: Clock,
        find: Callable[[str], Replica | None],
        tell: Callable[[Event], None],
    ) -> None:
        self._clock = clock
        self._find = find
        self._tell = tell
        self._out: dict[tuple[str, int], Ejection] = {}
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def ejected(self, worker: int, message: Ejected) -> None:
        """`worker` has ejected a replica."""
        replica = self._find(message.replica)
        if replica is None:
            return
        until = self._clock.wall() + message.seconds
        self._out[replica.name, worker] = Ejection(
            replica=replica.name,
            version=replica.version,
            worker=worker,
            rule=message.rule,
            reason=message.reason,
            until=until,
        )
        self._counts[replica.pool, replica.version, message.rule] += 1
        text = f"{message.reason}; for {message.seconds:g}s by worker {worker}"
        self._event("ejected", replica, text)

    def returned(self, worker: int, message: Returned) -> None:
        """A replica serves again in `worker`."""
        if self._out.pop((message.replica, worker), None) is None:
            return
        replica = self._find(message.replica)
        if replica is not None:
            self._event("returned", replica, f"{message.reason}, in worker {worker}")

    def worker_died(self, worker: int) -> None:
        """The next one begins with a clean slate."""
        self._forget(key for key in self._out if key[1] == worker)

    def replica_gone(self, replica: str) -> None:
        """Nobody will tell of it any more."""
        self._forget(key for key in self._out if key[0] == replica)

    def now(self, replicas: Iterable[Replica]) -> tuple[Ejection, ...]:
        """Those of `replicas` that are out."""
        names = {replica.name for replica in replicas}
        return tuple(out for (name, _), out in sorted(self._out.items()) if name in names)

    def counts(self, pool: str, version: str) -> dict[str, int]:
        """Ejections of a version's replicas since the start, by rule; those that happened only."""
        return {
            rule: count
            for (of_pool, of_version, rule), count in sorted(self._counts.items())
            if (of_pool, of_version) == (pool, version)
        }

    def _forget(self, keys: Iterable[tuple[str, int]]) -> None:
        for key in list(keys):
            del self._out[key]

    def _event(self, kind: str, replica: Replica, message: str) -> None:
        self._tell(
            Event(
                at=self._clock.wall(),
                kind=f"replica.{kind}",
                message=message,
                pool=replica.pool,
                version=replica.version,
                replica=replica.name,
            )
        )
