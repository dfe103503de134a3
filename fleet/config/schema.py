"""The configuration as frozen models: every key, its type, default and meaning.

Descriptions here and in the modules of its parts are the source of the JSON Schema and of
`docs/configuration.md`. Units are written as people write them; see `fleet.config.units`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from fleet.config import patterns
from fleet.config.balance import Balance, BalanceOrPolicy, Outliers, ReportedLoad
from fleet.config.base import Model
from fleet.config.budgets import SharedBudget
from fleet.config.daemon import AccessLog, Admin, Cluster, Log
from fleet.config.floors import Predict, Schedule
from fleet.config.kinds import MAX_REPLICAS, MAX_WEIGHT, HeaderName, Name, StoreUrl, Url
from fleet.config.policies import (
    Apa,
    Hpa,
    HpaDown,
    HpaRate,
    HpaUp,
    Keda,
    Kpa,
    Nomad,
    Ray,
    Step,
    StepRule,
)
from fleet.config.queueing import Overload, Priority, Queue, Tenant
from fleet.config.replicas import (
    Concurrency,
    Driver,
    DriverOverride,
    Health,
    ProcessDriver,
    ProcessOverride,
    StaticDriver,
    Version,
)
from fleet.config.requests import Limits, Match, Route, RouteLimits, RouteTimeouts, Timeouts
from fleet.config.resilience import Budget, Circuit, Hedge, Retry, RetryOverride
from fleet.config.scaling import Rate, Scale
from fleet.config.signals import (
    Fallback,
    FormulaSignal,
    LoadSignal,
    PrometheusSignal,
    RedisSignal,
    RouterSignal,
    Signal,
)
from fleet.config.transport import (
    Certificate,
    Listener,
    Listeners,
    ListenerTls,
    Network,
    UpstreamTls,
)
from fleet.config.units import Duration

__all__ = [
    "MAX_REPLICAS",
    "MAX_WEIGHT",
    "AccessLog",
    "Admin",
    "Affinity",
    "Apa",
    "Balance",
    "Budget",
    "Certificate",
    "Circuit",
    "Cluster",
    "Config",
    "Driver",
    "DriverOverride",
    "Fallback",
    "FormulaSignal",
    "Health",
    "Hedge",
    "Hpa",
    "HpaDown",
    "HpaRate",
    "HpaUp",
    "Keda",
    "Kpa",
    "Limits",
    "Listener",
    "ListenerTls",
    "LoadSignal",
    "Log",
    "Match",
    "Model",
    "Nomad",
    "Outliers",
    "Overload",
    "Pool",
    "Predict",
    "Priority",
    "ProcessDriver",
    "ProcessOverride",
    "PrometheusSignal",
    "Queue",
    "Rate",
    "Ray",
    "RedisSignal",
    "ReportedLoad",
    "Retry",
    "RetryOverride",
    "Route",
    "RouteLimits",
    "RouteTimeouts",
    "RouterSignal",
    "Scale",
    "Schedule",
    "SharedBudget",
    "Signal",
    "StaticDriver",
    "Step",
    "StepRule",
    "Tenant",
    "Timeouts",
    "UpstreamTls",
    "Version",
]


class Affinity(Model):
    """What identifies a session, so that it stays on one version: a header or a cookie."""

    header: HeaderName | None = Field(None, description="Name of a request header.")
    cookie: str | None = Field(None, pattern=patterns.COOKIE_NAME, description="Name of a cookie.")
    replica: bool = Field(
        False,
        description="A session stays on one replica of its version too, by consistent hashing, "
        "while that is there and not overloaded.",
    )


class Pool(Model):
    """One agent service."""

    versions: dict[Name, Version] = Field(
        {"v1": Version()}, min_length=1, description="The releases that share the traffic."
    )
    driver: Driver | None = Field(None, description="How replicas come to be, for all versions.")
    health: Health = Field(default=Health(), description="Active checks.")
    balance: BalanceOrPolicy = Field(
        default=Balance(), description="How a replica of a version is picked: a policy, or more."
    )
    outliers: Outliers | None = Field(
        default=Outliers(), description="Passive ejection of replicas that fail. null: none."
    )
    affinity: Affinity | None = Field(
        None, description="Keeps a session on one version. Default: none."
    )
    concurrency: Concurrency = Field(
        16,
        description="Slots per replica. `auto`: found out from how long requests take, at most "
        "100.",
    )
    critical: bool = Field(
        False,
        description="Serve this pool last of all to be cut: under overload, and in the sixteenth "
        "of `limits.connections` that is kept for critical pools.",
    )
    queue: Queue = Field(default=Queue(), description="The wait for a slot.")
    retry: Retry = Field(default=Retry(), description="When requests are sent again.")
    circuit: Circuit | None = Field(None, description="Limits of the pool. Default: none.")
    scale: Scale = Field(default=Scale(), description="How many replicas.")
    served_by: bool = Field(True, description="Reply with `X-Served-By: pool/version`.")
    version_header: HeaderName | None = Field(
        "X-Headrace-Version",
        description="Request header that names a version outright, weight 0 included. null: none.",
    )
    drain_timeout: Duration = Field(
        30.0, description="Longest wait for a leaving replica's requests and streams."
    )


class Config(Model):
    """A whole configuration file."""

    listen: Listeners = Field(
        (Listener(address="127.0.0.1:8080"),),
        description="Addresses for clients, or mappings that say more: one, or a list.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (),
        description="Networks, such as `10.0.0.0/8`, or `unix` for every Unix socket. What a "
        "client from there says in `X-Forwarded-*` and `X-Request-Id` is kept and extended, what "
        "others say is replaced.",
    )
    workers: int = Field(
        1, ge=1, le=64, description="Data-plane processes. Takes effect at the next start."
    )
    admin: Admin = Field(default=Admin(), description="The admin API.")
    store: StoreUrl = Field(
        "embedded",
        description="`embedded` (a private server, kept under `state_dir`) or a Redis URL: "
        "redis://, rediss:// or unix://.",
    )
    cluster: Cluster | None = Field(
        None, description="Makes this daemon one of several that scale together. Default: none."
    )
    prometheus: Url | None = Field(None, description="Prometheus server asked by signals.")
    state_dir: Path | None = Field(
        None,
        description="Where the daemon keeps what must survive it. Default: $STATE_DIRECTORY, "
        "else `.state` beside the configuration file.",
    )
    drain_timeout: Duration = Field(
        30.0, description="At shutdown, longest wait for requests and streams."
    )
    log: Log = Field(default=Log(), description="Logs.")
    timeouts: Timeouts = Field(default=Timeouts(), description="Time limits.")
    limits: Limits = Field(default=Limits(), description="Size limits.")
    overload: Overload = Field(default=Overload(), description="Refusing for the worker's sake.")
    paths: Literal["canonical", "refuse"] = Field(
        "canonical",
        description="A path with `.` or `..` segments, doubled slashes or needless "
        "percent-encoding (`%2F` included) is brought into its canonical form before routes are "
        "matched and is sent on in that form, or refused with 400.",
    )
    routes: tuple[Route, ...] = Field((), description="Requests to pools, in order.")
    budgets: dict[Name, SharedBudget] = Field(
        {}, description="What pools share, by name; a pool takes from one by `scale.budget`."
    )
    pools: dict[Name, Pool] = Field({}, description="The agent services.")
