"""What everyone agrees on: replicas, observations, decisions and events as plain frozen data.

Every type is a `msgspec.Struct`, so each has one JSON form, used by the store, the journal and
the admin API alike. Times named `at` are Unix seconds, durations are seconds.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class ReplicaState(StrEnum):
    """Where a replica stands in its life."""

    STARTING = "starting"
    """Process exists or endpoint is configured; not yet proven healthy. Gets no traffic."""
    READY = "ready"
    """Healthy; gets traffic."""
    UNHEALTHY = "unhealthy"
    """Was ready, now fails its health checks. Gets no new traffic."""
    DRAINING = "draining"
    """Finishes what it has, gets nothing new, then stops."""
    BACKOFF = "backoff"
    """Its process ended by itself; it is started again when its delay is over."""
    STOPPED = "stopped"
    """Gone."""


class Replica(Struct, frozen=True, kw_only=True):
    """One running instance of a version, as the membership shows it."""

    name: str
    """Unique and never reused, e.g. `support-v1-3`."""
    pool: str
    version: str
    host: str
    """A host name or an IP address; or `unix://` and a path, with port 0. Empty for a worker of a
    pool without a route that has no endpoint."""
    port: int
    slots: int
    """Requests it takes at once."""
    state: ReplicaState
    cell: int
    """Index of its counters in the telemetry slab; -1 when it has none."""
    pid: int | None = None
    since: float = 0.0
    """Unix time of the last change of state."""
    restarts: int = 0
    tls: bool = False
    """Speaks TLS, as its version's settings say."""
    weight: float = 1.0
    """Share of its version's requests, relative to the other replicas."""
    note: str = ""
    """Why it is in this state, in a few words."""


class Reading(Struct, frozen=True, kw_only=True):
    """One measured input of one tick, already scaled to one version.

    `value` is a total over the version (not per replica), or with `ratio` a number that replicas
    share, such as a latency.
    """

    signal: str
    """Name shown to people, e.g. `router.in_flight`, `redis:jobs:support`, `prometheus[0]`."""
    value: float | None
    """None: no value this tick. With `error` the signal is lost; without, there was nothing to
    measure, which says nothing either way. A value with an error is that of a fallback."""
    target: float
    """What one replica should carry, or for a ratio metric the wanted value."""
    ratio: bool = False
    """True: compare `value / target` to the present size (HPA style), not `ceil(value/target)`."""
    outside: bool = False
    """Of a ratio: measured of one thing beyond the replicas, such as a queue, not of them."""
    error: str | None = None
    detail: str = ""
    """How people read the value, where the bare number is not enough, e.g. `11 + queue 9 = 20`."""
    inactive: float | None = None
    """What was measured, where it is not above its activation and `value` therefore 0."""


class Observation(Struct, frozen=True, kw_only=True):
    """All that is known of one version of a pool at one tick."""

    pool: str
    version: str
    at: float
    monotonic: float
    weight: int
    desired: int
    """Replicas asked for at present."""
    ready: int
    starting: int
    in_flight: int
    queued: int
    slots: int
    """Slots of one replica."""
    readings: tuple[Reading, ...]
    arrived: int = 0
    """Requests for it since it was first seen."""
    served: int = 0
    """Leases that have ended since then."""
    busy: float = 0.0
    """Slot-seconds of those leases."""
    waits: tuple[int, ...] = ()
    """Histogram of the time its requests waited for a slot since then, in the buckets of
    `fleet.telemetry.histogram`."""
    starting_for: tuple[float, ...] = ()
    """Seconds since each replica that is starting was started, the longest first."""
    start_seconds: tuple[float, ...] = ()
    """How long its latest starts took until the replica was ready, newest last; at most 32."""


class Proposal(Struct, frozen=True, kw_only=True):
    """What one reading alone would ask for."""

    signal: str
    replicas: int | None
    """None: the signal has no value and proposes nothing."""
    reason: str


class Direction(StrEnum):
    """Which way a decision moves a version."""

    UP = "up"
    DOWN = "down"
    HOLD = "hold"


class Decision(Struct, frozen=True, kw_only=True):
    """What one tick decided for one version, and why."""

    pool: str
    version: str
    at: float
    current: int
    wanted: int
    """What the policy asked for before the guardrails."""
    desired: int
    """What is applied, unless it is a dry run."""
    direction: Direction
    reason: str
    """One sentence for people."""
    proposals: tuple[Proposal, ...] = ()
    limits: tuple[str, ...] = ()
    """Guardrails that changed `wanted` to `desired`, in the order they applied."""
    dry_run: bool = False
    """Decided, but not carried out: the pool's `scale.dry_run`."""
    seen: Observation | None = None
    """What it was decided on; None in records of releases that did not keep it."""


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened once: a reload, a crash, an ejection, a lost signal."""

    at: float
    kind: str
    """Dotted lower-case name, e.g. `replica.ready`, `config.rejected`, `store.lost`."""
    message: str
    pool: str = ""
    version: str = ""
    replica: str = ""
