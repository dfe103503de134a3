"""Messages between control and the workers, and nothing else.

Control compiles the configuration into a `Table` and pushes it; membership follows as `Members`.
Workers answer with what control must know. Nothing is polled.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.json import Decoder, Encoder

from fleet.tls import ClientTls, ServerTls


class ReplicaEntry(Struct, frozen=True, kw_only=True):
    """A replica as the data plane needs it."""

    name: str
    host: str
    """`unix://` and a path for a Unix socket."""
    port: int
    slots: int
    cell: int
    serving: bool
    """False: gets nothing new; what it has goes on."""
    draining: bool = False
    """True: the worker answers `Idle` once it holds no lease on it."""
    adaptive: bool = False
    """True: `slots` is the most; how many are used is found out, see `router.concurrency`."""
    shared: bool = False
    """True: its slots are counted in a shared semaphore; see `Members`."""
    tls: bool = False
    """True: speaks TLS; see `Table.upstream_tls`."""
    weight: float = 1.0


class VersionEntry(Struct, frozen=True, kw_only=True):
    """A version as the data plane needs it."""

    name: str
    weight: int
    block: int
    packed: bool = False
    """Requests are packed onto the oldest replicas."""
    replicas: tuple[ReplicaEntry, ...] = ()
    ready_at: float = 0.0
    """Monotonic time at which the next of those that start is expected to serve; 0: none is, or
    nobody knows."""


class QueueEntry(Struct, frozen=True, kw_only=True):
    """How a pool's queue is ordered; see `fleet.config.queueing.Queue`. Times in seconds."""

    classes: tuple[str, ...] = ()
    """Highest first; none: all requests are alike."""
    class_header: str | None = None
    class_values: dict[str, str] = {}
    """Class by value of that header, beside the classes' own names."""
    class_default: str = ""
    order: str = "fifo"
    aging: float = 5.0
    tenant_header: str | None = None
    tenant_weights: dict[str, int] = {}
    target: float | None = None
    interval: float = 1.0


class BalanceEntry(Struct, frozen=True, kw_only=True):
    """How a policy is set; see `fleet.config.balance`. Times in seconds."""

    decay: float = 10.0
    factor: float = 1.25
    slow_start: float = 0.0
    header: str | None = None
    cookie: str | None = None
    address: bool = False
    load_header: str | None = None
    load_per_request: float = 1.0
    load_stale: float = 5.0
    load_shown: bool = False


class OutliersEntry(Struct, frozen=True, kw_only=True):
    """When a replica is ejected; see `fleet.config.outliers`. Times in seconds."""

    failures: int
    gateway_errors: int
    interval: float
    requests: int
    replicas: int
    success_deviations: float
    latency_factor: float
    time: float
    max_time: float
    max_ejected: float
    panic: float


class BudgetEntry(Struct, frozen=True, kw_only=True):
    """What extra tries may add to a pool's requests; see `fleet.config.resilience.Budget`."""

    share: float = 0.2
    floor: float = 10.0


class CircuitEntry(Struct, frozen=True, kw_only=True):
    """Limits at once, in one worker; see `fleet.config.resilience.Circuit`. None: no limit."""

    connections: int | None = None
    pending: int | None = None
    requests: int | None = None


class HedgeEntry(Struct, frozen=True, kw_only=True):
    """When a second try is made; see `fleet.config.resilience.Hedge`."""

    quantile: float = 0.95
    least: float = 0.05


class TriesEntry(Struct, frozen=True, kw_only=True):
    """How the requests of a route are tried; see `fleet.config.resilience`. Times in seconds."""

    attempts: int = 3
    body: int = 65_536
    backoff: float = 0.025
    idempotency_key: bool = False
    hedge: HedgeEntry | None = None


class PoolEntry(Struct, frozen=True, kw_only=True):
    """A pool's settings for the data plane."""

    name: str
    versions: tuple[VersionEntry, ...]
    balance: str
    affinity_header: str | None
    affinity_cookie: str | None
    queue_limit: int
    queue_timeout: float
    served_by: bool
    version_header: str | None
    balancing: BalanceEntry = BalanceEntry()
    affinity_replica: bool = False
    """True: a session key picks the replica too."""
    outliers: OutliersEntry | None = None
    budget: BudgetEntry = BudgetEntry()
    circuit: CircuitEntry | None = None
    version_circuits: dict[str, CircuitEntry] = {}
    """Of the versions that have limits of their own."""
    queue: QueueEntry = QueueEntry()
    critical: bool = False


class TimeoutsEntry(Struct, frozen=True, kw_only=True):
    """Time limits in seconds; see `fleet.config.schema.Timeouts`."""

    header: float
    body: float
    keep_alive: float
    connect: float
    first_byte: float
    stream_idle: float
    upstream_keep_alive: float
    tunnel_idle: float = 300.0
    request: float = 0.0
    """0: no limit."""


class LimitsEntry(Struct, frozen=True, kw_only=True):
    """Size limits; see `fleet.config.schema.Limits`."""

    header_size: int
    headers: int
    target: int
    body: int
    connections: int
    body_rate: int = 0
    streams: int = 128


class OverloadEntry(Struct, frozen=True, kw_only=True):
    """When a worker itself has too much to do; see `fleet.config.queueing.Overload`."""

    lag: float | None = None
    """Seconds."""
    memory: int | None = None
    """Bytes, of one worker."""


class RouteEntry(Struct, frozen=True, kw_only=True):
    """A match and the pool it leads to; see `fleet.config.schema.Match`."""

    host: str | None
    path: str | None
    methods: tuple[str, ...]
    headers: dict[str, str]
    pool: str
    tries: TriesEntry = TriesEntry()
    priority: str | None = None
    """Class of its requests; None: as the pool's queue says."""
    timeouts: TimeoutsEntry | None = None
    """The table's with the route's own over them; None: the table's."""
    limits: LimitsEntry | None = None
    """As `timeouts`."""


class ListenerEntry(Struct, frozen=True, kw_only=True):
    """How clients of one address are served."""

    address: str
    tls: ServerTls | None = None
    proxy_protocol: bool = False
    """True: every connection begins with a PROXY header."""


class UpstreamTlsEntry(Struct, frozen=True, kw_only=True):
    """TLS to the replicas of one version."""

    pool: str
    version: str
    tls: ClientTls


class Table(Struct, frozen=True, kw_only=True, tag="table"):
    """A whole generation. Replaces the one before; pools that stay keep their queue."""

    generation: int
    listeners: tuple[ListenerEntry, ...]
    """Addresses served. The frame carries a socket for each named in `new_listeners`."""
    new_listeners: tuple[str, ...]
    routes: tuple[RouteEntry, ...]
    pools: tuple[PoolEntry, ...]
    timeouts: TimeoutsEntry
    limits: LimitsEntry
    log_enabled: bool
    log_sample: float
    trusted_proxies: tuple[str, ...] = ()
    """Networks, or `unix`; see `router.peer`."""
    upstream_tls: tuple[UpstreamTlsEntry, ...] = ()
    """Of the versions that have TLS endpoints."""
    paths: str = "canonical"
    """See `fleet.config.schema.Config.paths`."""
    overload: OverloadEntry = OverloadEntry()


class Members(Struct, frozen=True, kw_only=True, tag="members"):
    """Versions (weights in force) and replicas of one pool. Replaces the ones before.

    With several workers the frame carries the semaphore of each replica named in `new_shared`.
    """

    pool: str
    versions: tuple[VersionEntry, ...]
    new_shared: tuple[str, ...] = ()
    strained: bool = False
    """The scaler can add nothing more: extra load is cut down; see `router.budget`."""


class Loads(Struct, frozen=True, kw_only=True, tag="loads"):
    """What replicas of one pool say of their load, in requests; see `router.observer`."""

    pool: str
    loads: dict[str, float]


class Shutdown(Struct, frozen=True, kw_only=True, tag="shutdown"):
    """Stop accepting, finish what there is within `timeout` seconds, then exit."""

    timeout: float


class Applied(Struct, frozen=True, kw_only=True, tag="applied"):
    """The worker serves this generation."""

    generation: int


class Idle(Struct, frozen=True, kw_only=True, tag="idle"):
    """The worker holds no lease on this draining replica and will take none."""

    replica: str


class Demand(Struct, frozen=True, kw_only=True, tag="demand"):
    """A queue has formed for this version."""

    pool: str
    version: str


class Suspect(Struct, frozen=True, kw_only=True, tag="suspect"):
    """A connection to this replica failed."""

    replica: str
    error: str


class Ejected(Struct, frozen=True, kw_only=True, tag="ejected"):
    """The worker gives nothing new to this replica for `seconds`."""

    replica: str
    rule: str
    """`failures`, `gateway_errors`, `success_rate` or `latency`."""
    reason: str
    seconds: float


class Returned(Struct, frozen=True, kw_only=True, tag="returned"):
    """An ejected replica serves again."""

    replica: str
    reason: str


ToWorker = Table | Members | Shutdown | Loads
ToControl = Applied | Idle | Demand | Suspect | Ejected | Returned

_encoder = Encoder()
to_worker: Decoder[ToWorker] = Decoder(ToWorker)
to_control: Decoder[ToControl] = Decoder(ToControl)


def encode(message: ToWorker | ToControl) -> bytes:
    """JSON bytes of a message."""
    return _encoder.encode(message)
