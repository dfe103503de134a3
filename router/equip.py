"""What a version is equipped with, by its pool's settings: balancer, observer, outlier rules."""

from __future__ import annotations

from router.balance import BALANCERS, Clock, Learner
from router.balance.consistent_hash import ConsistentHash
from router.balance.packed import Packed
from router.observer import Observer, Reports
from router.outliers import Detector, OnEjection
from router.pool import Version


class Equipment:
    """What versions of one worker share: the reports of load, and who is told of ejections."""

    def __init__(self, on_ejection: OnEjection, clock: Clock) -> None:
        self.reports = Reports()
        self._on_ejection = on_ejection
        self._clock = clock

    def pack(self, version: Version, packed: bool) -> None:
        """Pack the requests of `version` onto its oldest replicas, or spread them again."""
        if packed == version.packed:
            return
        version.packed = packed
        if packed:
            version.balancer = Packed(version.balancer)
        elif isinstance(version.balancer, Packed):
            version.balancer = version.balancer.spread

    def fit(self, version: Version) -> None:
        """Give `version` what its pool's settings ask for; what it has learned is gone."""
        entry = version.pool.entry
        balancer = BALANCERS[entry.balance](entry.balancing, self._clock)
        learner = balancer if isinstance(balancer, Learner) else None
        if entry.affinity_replica and entry.balance != "consistent_hash":
            balancer = ConsistentHash(balancer, entry.balancing.factor)
        version.balancer = Packed(balancer) if version.packed else balancer
        version.observer = None
        if learner is not None or entry.balancing.load_header is not None:
            version.observer = Observer(learner, entry.balancing, self.reports, self._clock)
        if entry.outliers is not None:
            version.outliers = Detector(version, entry.outliers, self._on_ejection)
            return
        version.outliers = None
        for replica in version.replicas.values():
            if replica.ejected_until:
                self._on_ejection.restore(replica, "the rules are off")
