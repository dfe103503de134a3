"""What stands between the scaler's loops and this host, so that the loops need not know their role.

| role | traffic and replicas seen | what becomes of a decision |
|---|---|---|
| leader | the whole cluster's | goes into the next plan |
| follower | (the loops rest) | nothing |
| alone | this host's | is applied here, within the share and the room of the last plan |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fleet.cluster import Role
from fleet.ports import Traffic
from fleet.telemetry.slab import VersionTotals
from scaler.cluster.messages import Plan, VersionReport
from scaler.cluster.shares import alone
from scaler.cluster.tenancy import Tenancy
from scaler.cluster.view import ClusterView
from scaler.members import Counts


class Seat:
    """See the module; a `fleet.ports.Traffic`."""

    def __init__(
        self,
        member: str,
        traffic: Traffic,
        *,
        counts: Callable[[str, str], Counts],
        desired: Callable[[str, str], int | None],
        apply: Callable[[str, Mapping[str, int]], None],
        tenancy: Tenancy | None = None,
    ) -> None:
        """`traffic`, `counts`, `desired` and `apply` are this host's own. Without a `tenancy` it
        shares no replicas.
        """
        self.member = member
        self.role = Role.FOLLOWER
        self.view: ClusterView | None = None
        """The cluster, while this member leads."""
        self.decided: dict[str, Mapping[str, int]] = {}
        """By pool, since this member leads."""
        self.plan: Plan | None = None
        """The last one followed."""
        self.on_decided: Callable[[], None] = lambda: None
        """Told of each new decision of a leader."""
        self.tenancy = tenancy
        self._traffic = traffic
        self._counts = counts
        self._desired = desired
        self._apply = apply

    def totals(self, pool: str, version: str) -> VersionTotals:
        """See `fleet.ports.Traffic`."""
        whole = self.view.totals(pool, version) if self.view is not None else None
        return self._traffic.totals(pool, version) if whole is None else whole

    def slots_per_replica(self, pool: str, version: str) -> int | None:
        """See `fleet.ports.Traffic`."""
        if self.view is not None:
            return self.view.slots_per_replica(pool, version)
        return self._traffic.slots_per_replica(pool, version)

    def counts(self, pool: str, version: str) -> Counts:
        """Replicas of a version by state, now."""
        if self.view is not None:
            return self.view.counts(pool, version)
        return self._counts(pool, version)

    def apply(self, pool: str, desired: Mapping[str, int]) -> None:
        """What a loop has decided; see the module."""
        match self.role:
            case Role.LEADER:
                self.decided[pool] = dict(desired)
                self.on_decided()
            case Role.ALONE:
                self._apply(pool, alone(desired, self._share(pool), self._room(pool)))
            case Role.FOLLOWER:
                pass

    def follow(self, plan: Plan) -> None:
        """Bring this host to its share. A plan that does not know this member changes nothing."""
        if self.member not in plan.members:
            return
        self.plan = plan
        if self.tenancy is not None:
            self.tenancy.follow(plan)
        for pool, sizes in plan.shares.get(self.member, {}).items():
            if any(self._desired(pool, version) != size for version, size in sizes.items()):
                self._apply(pool, sizes)

    def report(
        self, versions: Mapping[str, tuple[str, ...]]
    ) -> dict[str, dict[str, VersionReport]]:
        """This host's own traffic and replicas, of the versions by pool."""
        return {
            pool: {
                version: VersionReport(
                    self._traffic.totals(pool, version),
                    self._counts(pool, version),
                    self._traffic.slots_per_replica(pool, version),
                    self.tenancy.offers(pool, version) if self.tenancy is not None else (),
                )
                for version in of
            }
            for pool, of in versions.items()
        }

    def _share(self, pool: str) -> Mapping[str, int] | None:
        return None if self.plan is None else self.plan.shares.get(self.member, {}).get(pool)

    def _room(self, pool: str) -> int:
        return 0 if self.plan is None else self.plan.room.get(pool, 0)
