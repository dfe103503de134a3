"""Who leads, as one member sees it: pure, by its own monotonic clock.

A leader changes the lease's value with each renewal. A member that has seen the same value for
the whole lease time may take it, naming that value, so that of several candidates one succeeds
and a renewal in between fails them all. The leader itself counts from the moment it *sent* its
last renewal, which is before the value could be seen by anyone, and stops MARGIN early: by its
own clock nobody else can lead before it has stopped.

Worked, lease 3 s, a beat each 0.5 s: the leader renews at 10.0 and dies. A member sees the value
at 10.4 for the first time and takes it at 13.4. Had the leader only lost its way to the store, it
would have stopped at 10.0 + 2.7 = 12.7.

What a clock cannot tell, such as a process that was stopped and goes on in the midst of acting,
is the fence's part: the store refuses what names an old token.
"""

from __future__ import annotations

from typing import Final

from fleet.store.cluster import Lease

MARGIN: Final = 0.1
"""Share of the lease by which its holder stops early; clocks that run apart by less do no harm."""


class Election:
    """See the module. Times are monotonic seconds."""

    def __init__(self, holder: str, lease: float, now: float) -> None:
        """`holder` is unique to this start of the member."""
        self.holder = holder
        self.lease = lease
        self.value: bytes | None = None
        """The lease as last seen in the store."""
        self.mine: Lease | None = None
        """The one this member took, until it knows it lost or gave it up."""
        self.highest = 0
        """The highest token seen."""
        self._since = now
        self._until = now

    def __repr__(self) -> str:
        return f"<Election {self.holder} mine={self.mine} seen={self.value!r}>"

    @property
    def seen(self) -> Lease | None:
        """Whose lease was seen last."""
        return Lease.of(self.value)

    def observe(self, value: bytes | None, now: float) -> None:
        """The store held `value` at a moment not after `now`."""
        if value != self.value:
            self.value, self._since = value, now
            if (lease := Lease.of(value)) is not None:
                self.highest = max(self.highest, lease.token)

    def takes_at(self) -> float:
        """When the lease may be taken, unless its value changes before."""
        lease = self.seen
        if lease is None or lease.holder == self.holder:
            return self._since
        return self._since + self.lease

    def won(self, token: int, sent: float) -> Lease:
        """The lease was taken by a request sent at `sent`."""
        self.mine = Lease(token, self.holder)
        self.highest = max(self.highest, token)
        self.renewed(sent)
        return self.mine

    def renewed(self, sent: float) -> None:
        """A renewal sent at `sent` was accepted."""
        self._until = sent + self.lease * (1 - MARGIN)

    def lost(self) -> None:
        """This member leads no longer."""
        self.mine = None

    def leads(self, now: float) -> bool:
        """Whether this member may act as the leader."""
        return self.mine is not None and now < self._until
