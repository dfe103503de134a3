"""Makes this daemon one of a cluster, where the configuration says so (`scaler.cluster`)."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Callable

from fleet.clock import Clock
from fleet.config.schema import Cluster
from fleet.ports import Recorder, Traffic
from fleet.store.client import Store
from fleet.store.cluster import ClusterStore
from headrace.operator import Operator
from scaler.cluster.member import Member, Settings
from scaler.cluster.seat import Seat
from scaler.loop import ScalerLoop
from scaler.replicas import ReplicaManager


def member_name(cluster: Cluster) -> str:
    """As configured; else the host's name, without what a name cannot have."""
    if cluster.member is not None:
        return cluster.member
    host = re.sub(r"[^a-z0-9_-]+", "-", socket.gethostname().lower())[:63].strip("-_")
    return host or "host"


def seat(cluster: Cluster, gateway: Traffic, replicas: ReplicaManager) -> Seat:
    """Where the scaler sits: between this host's replicas and those of the whole cluster."""
    return Seat(
        member_name(cluster),
        gateway,
        counts=replicas.counts,
        desired=replicas.desired,
        apply=replicas.set_desired,
    )


def member(
    cluster: Cluster,
    seat: Seat,
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
        secrets.token_hex(4),
        store=ClusterStore(store),
        seat=seat,
        scaler=scaler,
        configure=configure,
        bounds=operator.bounds,
        on_overrides=operator.follow,
        recorder=recorder,
        clock=clock,
    )
