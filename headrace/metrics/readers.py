"""From what one thing counts to the samples of a metric, over all things of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from fleet.cluster import ClusterStatus
from fleet.telemetry.slab import BandTotals, VersionTotals
from headrace.metrics.metric import Distribution, Labels, Samples
from headrace.operations import ClassStatus, Status, VersionStatus, WorkerStatus

Reader: TypeAlias = Callable[[Status], Samples]

VERSION: Final = ("pool", "version")
"""Labels of a version."""

CLASS: Final = (*VERSION, "class")
"""Labels of a priority class of a version."""


def versions(status: Status) -> Iterator[tuple[Labels, VersionStatus]]:
    """Every version of every pool."""
    for pool in status.pools:
        for version in pool.versions:
            yield (pool.pool, version.version), version


def traffic(status: Status) -> Iterator[tuple[Labels, VersionTotals]]:
    """Counters of every version, and of what matched no pool."""
    yield ("", ""), status.unrouted
    for labels, version in versions(status):
        yield labels, version.totals


def classes(status: Status) -> Iterator[tuple[Labels, ClassStatus]]:
    """Every priority class; a version without any configured has one."""
    for labels, version in versions(status):
        for of in version.classes:
            yield (*labels, of.name), of


def of_classes(read: Callable[[BandTotals], float | Distribution]) -> Reader:
    """Of versions that have several classes; the others' numbers are those of their versions."""
    return lambda status: (
        ((*labels, of.name), read(of.totals))
        for labels, version in versions(status)
        if len(version.classes) > 1
        for of in version.classes
    )


def of_cluster(read: Callable[[ClusterStatus], float]) -> Reader:
    """Only where the daemon is one of several."""
    return lambda status: [((), read(status.cluster))] if status.cluster is not None else []


def of_daemon(read: Callable[[Status], float]) -> Reader:
    """One sample."""
    return lambda status: [((), read(status))]


def of_traffic(read: Callable[[VersionTotals], float | Distribution]) -> Reader:
    """A sample for each of `traffic`."""
    return lambda status: ((labels, read(totals)) for labels, totals in traffic(status))


def of_versions(read: Callable[[VersionStatus], float | Distribution]) -> Reader:
    """A sample for each of `versions`."""
    return lambda status: ((labels, read(version)) for labels, version in versions(status))


def of_workers(read: Callable[[WorkerStatus], float]) -> Reader:
    """A sample for each worker."""
    return lambda status: (((str(w.index),), read(w)) for w in status.workers)
