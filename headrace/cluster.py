"""Makes this daemon one of a cluster, where the configuration says so (`scaler.cluster`)."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

from fleet.clock import Clock
from fleet.config.schema import Cluster
from fleet.ports import Recorder
from fleet.store.client import Store
from fleet.store.cluster import ClusterStore
from headrace.gateway import WorkerGateway
from headrace.operator import Operator
from scaler.cluster.member import Member, Settings
from scaler.cluster.seat import Seat
from scaler.cluster.tenancy import Tenancy
from scaler.loop import ScalerLoop
from scaler.replicas import ReplicaManager


def member_name(cluster: Cluster) -> str:
    """As configured; else the host's name, without what a name cannot have."""
    if cluster.member is not None:
        return cluster.member
    host = re.sub(r"[^a-z0-9_-]+", "-", socket.gethostname().lower())[:63].strip("-_")
    return host or "host"


def seat(cluster: Cluster, gateway: WorkerGateway, replicas: ReplicaManager, start: str) -> Seat:
    """Where the scaler sits: between this host's replicas and those of the whole cluster."""
    name = member_name(cluster)
    shares = cluster.advertise is not None
    return Seat(
        name,
        gateway,
        counts=replicas.counts,
        desired=replicas.desired,
        apply=replicas.set_desired,
        tenancy=Tenancy(name, start, gateway, replicas.replicas) if shares else None,
    )


def member(
    cluster: Cluster,
    seat: Seat,
    start: str,
    *,
    store: Store,
    scaler: ScalerLoop,
    operator: Operator,
    configure: Callable[[], None],
    recorder: Recorder,
    clock: Clock,
) -> Member:
    """The daemon's part in the cluster; `configure` gives `scaler` its present configuration."""
    return Member(
        Settings(cluster=cluster.name, member=seat.member, lease=cluster.lease),
        start,
        store=ClusterStore(store),
        seat=seat,
        scaler=scaler,
        configure=configure,
        bounds=operator.bounds,
        on_overrides=operator.follow,
        recorder=recorder,
        clock=clock,
        drain_timeout=lambda: operator.config.drain_timeout,
    )
