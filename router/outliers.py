"""Passive outlier ejection: a replica that fails beside peers that do not gets nothing for a while.

The rules are Envoy's (`outlier_detection.proto`), and like each of Envoy's threads each worker
judges by what it has seen itself. A *failure* is a status of 500 or above, or a gateway error; a
*gateway error* is 502, 503, 504, or a connection that cannot be made, breaks off, or stays silent
too long. What the client is to blame for, 4xx above all, never counts against a replica.

    failures        so many failures in a row, at once
    gateway_errors  so many gateway errors in a row, at once
    success_rate    every `interval`: below mean - deviations * sigma of the version's replicas
    latency         every `interval`: mean time to first byte above factor * the median of them

The last two need `replicas` peers with `requests` requests each in the interval. Peers are the
replicas of the same version: another version may rightly be slower or fail more, which is for the
canary's analysis and not for this.

An ejection lasts `time` times their number, at most `max_time`; each good interval takes one off
the number. At most `max_ejected` of a version is ejected, though always one, and none that would
leave a part below `panic` of it usable. When others fall away and less than that is left, the
ejected return at once: a sick replica is better than none. So a version of one replica ejects
nothing, and one of two at most one.

Example of the success rate, 5 replicas at 1, 1, 1, 1 and 0.6: mean 0.92, sigma 0.16, so 0.6 is
below 0.92 - 1.9 * 0.16 = 0.616. Of 5 values none can be further than 2 sigma from the mean, which
is why the factor is 1.9 (Envoy). MIN_GAP is ours: among replicas at 1 and one at 0.999 the latter
would be 2 sigma away too.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median, pstdev
from typing import Final, Protocol

from fleet.wire import OutliersEntry
from router.pool import Replica, Version

GATEWAY_ERRORS: Final = frozenset({502, 503, 504})

MIN_GAP: Final = 0.05
"""A success rate that is less than so much below the mean is none to eject for."""


def ejection_seconds(base: float, times: int, longest: float) -> float:
    """How long the `times`-th ejection (from 1) lasts."""
    return min(base * times, longest)


def lowest_rate(rates: Sequence[float], deviations: float) -> float:
    """The success rate below which a replica is an outlier among `rates`, which is not empty."""
    mean = fmean(rates)
    return min(mean - deviations * pstdev(rates, mean), mean - MIN_GAP)


def longest_mean(means: Sequence[float], factor: float) -> float:
    """The mean time to first byte above which a replica is an outlier among `means`."""
    return factor * median(means) if means else 0.0


def may_eject(
    *, replicas: int, usable: int, ejected: int, max_ejected: float, panic: float
) -> bool:
    """Whether one more of a version's `replicas` may be ejected, when `usable` of them are left."""
    if ejected and (ejected + 1) > max_ejected * replicas:
        return False
    return usable - 1 >= max(1.0, panic * replicas)


def _whole(count: int, limit: int) -> bool:
    """Whether `count` has come to a multiple of `limit`; never when that is 0."""
    return limit > 0 and count > 0 and count % limit == 0


class OnEjection(Protocol):
    """Who puts into effect, and tells, what a detector decides."""

    def eject(self, replica: Replica, rule: str, reason: str, seconds: float) -> None:
        """`replica` gets nothing new for `seconds`."""
        ...

    def restore(self, replica: Replica, reason: str) -> None:
        """`replica` serves again."""
        ...


class Detector:
    """See the module. The rules over the replicas of one version, as one worker sees them."""

    def __init__(self, version: Version, settings: OutliersEntry, on_ejection: OnEjection) -> None:
        self._version = version
        self._settings = settings
        self._on_ejection = on_ejection
        self._next_sweep = 0.0

    # on the request path

    def ended(self, replica: Replica, status: int, seconds: float) -> None:
        """A reply is whole; its first byte came after `seconds`."""
        record = replica.record
        if status < 500:
            record.answered += 1
            record.seconds += seconds
            record.failures = record.gateway_errors = 0
        else:
            self._count(replica, gateway=status in GATEWAY_ERRORS)

    def failed(self, replica: Replica) -> None:
        """A request came to nothing: a gateway error."""
        self._count(replica, gateway=True)

    def _count(self, replica: Replica, *, gateway: bool) -> None:
        record, settings = replica.record, self._settings
        record.failed += 1
        record.failures += 1
        record.gateway_errors = record.gateway_errors + 1 if gateway else 0
        # at each multiple: one that may not be ejected is not looked at with every failure
        if _whole(record.gateway_errors, settings.gateway_errors):
            reason = f"{record.gateway_errors} gateway errors in a row"
            self._eject(replica, "gateway_errors", reason)
        elif _whole(record.failures, settings.failures):
            self._eject(replica, "failures", f"{record.failures} failures in a row")

    # off it

    def tick(self, now: float) -> None:
        """End what is over, and sweep when it is time; to be called often."""
        ejected = self._ejected()
        for replica in ejected:
            if replica.ejected_until <= now:
                self._restore(replica, "its time is over")
        if any(replica.ejected_until for replica in ejected) and self._panic():
            for replica in self._ejected():
                self._restore(replica, "too few others are left")
        if now >= self._next_sweep:
            if self._next_sweep:
                self._sweep()
            self._next_sweep = now + self._settings.interval

    def _sweep(self) -> None:
        suspects = self._suspects()
        for replica in self._version.replicas.values():
            record = replica.record
            record.sweep()
            if not (replica.ejected_until or replica in suspects or record.failures):
                record.times = max(0, record.times - 1)
        for replica, (rule, reason) in suspects.items():
            self._eject(replica, rule, reason)

    def _suspects(self) -> dict[Replica, tuple[str, str]]:
        """Whom the comparisons are against, each with the rule and the reason."""
        settings = self._settings
        judged = [
            replica
            for replica in self._version.replicas.values()
            if replica.usable
            and replica.record.answered + replica.record.failed >= settings.requests
        ]
        if len(judged) < settings.replicas:
            return {}
        suspects: dict[Replica, tuple[str, str]] = {}
        if settings.latency_factor > 0:
            means = {r: r.record.seconds / r.record.answered for r in judged if r.record.answered}
            bound = longest_mean(list(means.values()), settings.latency_factor)
            for replica, mean in means.items():
                if mean > bound:
                    usual = median(means.values())
                    reason = f"{mean:.3g}s to its first byte, its peers {usual:.3g}s"
                    suspects[replica] = "latency", reason
        if settings.success_deviations > 0:
            rates = [r.record.answered / (r.record.answered + r.record.failed) for r in judged]
            bound = lowest_rate(rates, settings.success_deviations)
            for replica, rate in zip(judged, rates, strict=True):
                if rate < bound:
                    reason = f"{rate:.1%} succeed, of its peers {fmean(rates):.1%}"
                    suspects[replica] = "success_rate", reason
        return suspects

    def _restore(self, replica: Replica, reason: str) -> None:
        # what was still on its way when it was ejected counts no more
        replica.record.failures = replica.record.gateway_errors = 0
        self._on_ejection.restore(replica, reason)

    def _eject(self, replica: Replica, rule: str, reason: str) -> None:
        settings, version = self._settings, self._version
        present = [r for r in version.replicas.values() if not r.draining]
        if replica.ejected_until or not replica.serving or replica not in present:
            return
        if not may_eject(
            replicas=len(present),
            usable=sum(r.usable or r is replica for r in present),
            ejected=len(self._ejected()),
            max_ejected=settings.max_ejected,
            panic=settings.panic,
        ):
            return
        record = replica.record
        record.failures = record.gateway_errors = 0
        record.times += 1
        seconds = ejection_seconds(settings.time, record.times, settings.max_time)
        self._on_ejection.eject(replica, rule, reason, seconds)

    def _ejected(self) -> list[Replica]:
        return [r for r in self._version.replicas.values() if r.ejected_until]

    def _panic(self) -> bool:
        present = [r for r in self._version.replicas.values() if not r.draining]
        return sum(r.usable for r in present) < max(1.0, self._settings.panic * len(present))
