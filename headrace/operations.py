"""What an operator can ask of the daemon, and what it answers.

The admin API, the CLI and `/metrics` are written against `Operations`; `headrace.operator`
implements it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import asdict

from fleet.cluster import ClusterStatus
from fleet.model import Decision, Event, Replica
from fleet.telemetry.slab import BandTotals, VersionTotals

ONE_CLASS: Final = "default"
"""Name of the only priority class of a pool that has none configured."""


class ClassStatus(Struct, frozen=True):
    """One priority class of a version."""

    name: str
    totals: BandTotals


class Ejection(Struct, frozen=True, kw_only=True):
    """A replica that one worker gives nothing to for a while."""

    replica: str
    version: str
    worker: int
    rule: str
    """`failures`, `gateway_errors`, `success_rate` or `latency`."""
    reason: str
    until: float
    """Unix time, unless too few others are left before."""


class VersionStatus(Struct, frozen=True, kw_only=True):
    """One version as it stands."""

    version: str
    weight: int
    """As configured or overridden."""
    effective_weight: int
    """As the workers split by; lags `weight` until the version has a ready replica."""
    desired: int
    """Replicas asked for."""
    ready: int
    starting: int
    unhealthy: int
    draining: int
    in_flight: int
    queued: int
    slots: int
    """Slots of all ready replicas."""
    totals: VersionTotals
    ejections: dict[str, int] = {}
    """Ejections of its replicas since the daemon's start, by rule, over all workers."""
    forecast_error: float | None = None
    """Mean absolute error of the load forecast over the mean load; None without a forecast."""
    decided: int = 0
    """What the latest decision says; differs from `desired` in a dry run."""
    decision: Decision | None = None
    """The latest, without its observation; None before the first tick."""
    classes: tuple[ClassStatus, ...] = ()
    """The highest first."""
    sessions: int = 0
    """Of all its replicas; one that two replicas have served lately counts twice."""


class PoolStatus(Struct, frozen=True, kw_only=True):
    """One pool as it stands."""

    pool: str
    driver: str
    """`process` or `static`; `mixed` when versions differ."""
    min: int
    max: int
    versions: tuple[VersionStatus, ...]
    replicas: tuple[Replica, ...]
    ejected: tuple[Ejection, ...] = ()
    """Replicas that are ejected now."""
    sessions: dict[str, int] = {}
    """Sessions that came to a replica in the last minutes, by its name; an estimate
    (`fleet.telemetry.sessions`). Those without any are left out."""
    weights_overridden: bool = False
    scale_override: int | None = None
    """Total set by hand; None when the scaler decides."""
    override_ends: float | None = None
    """Unix time at which `scale_override` ends; None: never."""
    lost_signals: tuple[str, ...] = ()
    """Signals without a value now, each with its error."""
    weights_waiting: str = ""
    """Versions that lack replicas for the weight they are to have; empty: none."""
    dry_run: bool = False
    """Decisions are not carried out."""


class WorkerStatus(Struct, frozen=True, kw_only=True):
    """One data-plane process."""

    index: int
    pid: int | None
    """None while it is being restarted."""
    generation: int
    restarts: int
    connections: int
    """Client connections open now."""
    http2_connections: int
    """Those of them by HTTP/2."""
    http2_requests: int
    """By HTTP/2, since the first start of this worker."""


class RefusedConnections(Struct, frozen=True, kw_only=True):
    """Connections of clients that were closed before any request, since the start."""

    at_limit: int = 0
    """There were `limits.connections` already."""
    handshake: int = 0
    """TLS did not come about."""
    proxy_header: int = 0
    """No sound PROXY header came."""


class Status(Struct, frozen=True, kw_only=True):
    """The daemon as it stands."""

    version: str
    config: str
    """Path of the configuration file."""
    listen: tuple[str, ...]
    generation: int
    rejected: str | None
    """Why the newest edit of the file was refused; None when the file is what runs."""
    started: float
    ready: bool
    """Every worker has the current generation."""
    draining: bool
    store: str
    """Where the store is, without credentials."""
    store_connected: bool
    """It answers, and its keys are this daemon's."""
    workers: tuple[WorkerStatus, ...]
    pools: tuple[PoolStatus, ...]
    unrouted: VersionTotals
    """Requests that matched no pool or were refused before routing."""
    reloads: int = 0
    reloads_rejected: int = 0
    log_lines_dropped: int = 0
    refused: RefusedConnections = RefusedConnections()
    store_owner: str | None = None
    """The other daemon that the keys in the store belong to, so that this one must do without."""
    cluster: ClusterStatus | None = None
    """None: this daemon is not one of several."""


class ReloadResult(Struct, frozen=True, kw_only=True):
    """How a reload ended."""

    applied: bool
    generation: int
    errors: tuple[str, ...] = ()
    """`file:line:column: path: found, expected`, one an error."""
    notes: tuple[str, ...] = ()
    """Changed settings that take effect only at the next start."""


class Explanation(Decision, frozen=True, kw_only=True):
    """A decision, and what became of it."""

    taken_out: tuple[Event, ...] = ()
    """The last replicas of the version that were taken out until then, newest first: each with why
    it was that one."""

    @classmethod
    def of(cls, decision: Decision, taken_out: Sequence[Event]) -> Explanation:
        """Of a decision, with the events `replica.draining` that go with it."""
        return cls(**asdict(decision), taken_out=tuple(taken_out))


class Operations(Protocol):
    """The verbs. All raise `UnknownNameError` or `InvalidRequestError` for what cannot be."""

    def status(self) -> Status:
        """Everything at a glance, from memory; never touches the store."""
        ...

    async def reload(self) -> ReloadResult:
        """Read the configuration file again and apply it, or keep the old one and say why."""
        ...

    async def set_weights(self, pool: str, weights: Mapping[str, int] | None) -> PoolStatus:
        """Override the weights of versions named in `weights`; None: back to the file's."""
        ...

    async def scale(
        self, pool: str, replicas: int | None, seconds: float | None = None
    ) -> PoolStatus:
        """Hold the pool's total at `replicas`, for `seconds` if given; None: scaler decides."""
        ...

    async def drain(self, replica: str) -> Replica:
        """Take a replica out: no new requests, then stopped; its pool replaces it if needed."""
        ...

    async def decisions(self, pool: str | None, limit: int) -> Sequence[Decision]:
        """The newest decisions, newest first."""
        ...

    async def explain(
        self, pool: str, version: str | None, at: float | None
    ) -> Sequence[Explanation]:
        """Why each version of a pool (or the one named) has its size: its latest decision.

        With a Unix time `at`, the newest journalled decision until then; a version of which none
        is kept is left out.
        """
        ...

    async def events(self, limit: int) -> Sequence[Event]:
        """The newest events, newest first."""
        ...
