"""A member's side of loans (`scaler.cluster.loans`): what it offers, uses and gives back.

Its own replicas are proven empty only when nobody else may be using them: once the leader has heard
a report that no longer offers them, and its plan has no loan of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fleet.model import Replica, ReplicaState
from fleet.ports import Shared
from scaler.cluster.loans import replica_key
from scaler.cluster.messages import Loan, Offer, Plan


class Tenancy:
    """See the module. All of it is called between two beats, or in one."""

    def __init__(
        self,
        member: str,
        start: str,
        shared: Shared,
        replicas: Callable[[str], Iterable[Replica]],
    ) -> None:
        """`replicas(pool)` gives this host's own; `start` is as in reports."""
        self._member = member
        self._start = start
        self._shared = shared
        self._replicas = replicas
        self._limited: set[str] = set()
        """Own replicas, by name, of which the last plan lends some."""
        self._borrowed: set[str] = set()
        """Replicas of others, by key, of which some may be in use here."""
        self._offered: dict[str, int | None] = {}
        """Own replicas that others may be using, and since which beat they are not offered."""
        self._lent: dict[str, int] = {}
        """Slots that others have of own replicas, by the last plan."""
        self._retired = False
        self._closed = False

    @property
    def open(self) -> bool:
        """Others may be using replicas of this member, or it may be using theirs."""
        return bool(self._offered or self._borrowed)

    def offers(self, pool: str, version: str) -> tuple[Offer, ...]:
        """What others may use."""
        if self._retired:
            return ()
        return tuple(
            Offer(r.name, r.host, r.port, r.slots)
            for r in self._replicas(pool)
            if r.version == version and r.host and r.state is ReplicaState.READY
        )

    def reported(self, beat: int, offers: Iterable[Offer]) -> dict[str, int]:
        """Report `beat` is about to offer these, of all pools: what it says is held, by key."""
        names = {offer.name for offer in offers}
        for name, since in self._offered.items():
            if name in names:
                self._offered[name] = None
            elif since is None:
                self._offered[name] = beat
        self._offered.update((name, None) for name in names)
        self._tell()
        self._borrowed = {key for key in self._borrowed if self._shared.held(key)}
        own = {replica_key(name, self._member): self._shared.held(name) for name in self._limited}
        return own | {key: self._shared.held(key) for key in self._borrowed}

    def follow(self, plan: Plan) -> None:
        """Use what the plan allows, and no more."""
        limits, borrowed, lent = {}, {}, {}
        for key, loan in plan.loans.items():
            share = loan.shares.get(self._member)
            if share is None:
                continue
            if loan.owner == self._member:
                name = key.removesuffix(f"@{self._member}")
                limits[name] = share
                # one that is taken back has no share, and may still be in use
                lent[name] = max(1, loan.slots - share)
            elif loan.serving and share and not self._closed:
                borrowed[key] = _replica(key, loan, share)
        self._limited, self._lent = set(limits), lent
        for name in lent:
            self._offered.setdefault(name, 0)
        self._borrowed |= borrowed.keys()
        self._shared.limit(limits)
        self._shared.borrow(borrowed)
        start, beat = plan.heard.get(self._member, ("", 0))
        if start == self._start:
            self._offered = {
                name: since
                for name, since in self._offered.items()
                if since is None or since > beat or replica_key(name, self._member) in plan.loans
            }
        self._tell()

    def withdraw(self) -> None:
        """Use nothing of others any longer; what is under way goes on."""
        self._shared.borrow({})

    def reclaim(self) -> None:
        """Nobody else uses anything of this member any longer."""
        self._limited.clear()
        self._shared.limit({})
        self._offered.clear()
        self._tell()

    def retire(self) -> None:
        """Offer nothing any longer; what waits here still uses what others lend."""
        self._retired = True

    def close(self) -> None:
        """Offer and borrow nothing any longer."""
        self._retired = self._closed = True
        self.withdraw()

    def _tell(self) -> None:
        self._shared.lend({name: self._lent.get(name, 0) for name in self._offered})


def _replica(key: str, loan: Loan, slots: int) -> Replica:
    return Replica(
        name=key,
        pool=loan.pool,
        version=loan.version,
        host=loan.host,
        port=loan.port,
        slots=slots,
        state=ReplicaState.READY,
        cell=-1,
        note=f"of {loan.owner}",
    )
