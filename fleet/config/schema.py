"""The configuration as frozen models: every key, its type, default and meaning.

Descriptions here are the source of the JSON Schema and of `docs/configuration.md`.
Units are written as people write them; see `fleet.config.units`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from fleet.config import patterns
from fleet.config.addresses import check_address, check_endpoint, check_store_url, check_url
from fleet.config.base import Model
from fleet.config.transport import (
    Certificate,
    Listener,
    Listeners,
    ListenerTls,
    Network,
    UpstreamTls,
)
from fleet.config.units import Duration, PositiveDuration, Size

__all__ = ["Certificate", "Listener", "ListenerTls", "Model", "UpstreamTls"]

MAX_WEIGHT = 1_000_000
MAX_REPLICAS = 10_000
"""Bounds of a weight and of a pool's size, in the file and by hand alike."""

Name = Annotated[
    str,
    Field(
        pattern=patterns.NAME,
        description="Lower-case letters, digits, `-` and `_`; at most 63.",
    ),
]
Address = Annotated[str, AfterValidator(check_address)]
Endpoint = Annotated[str, AfterValidator(check_endpoint)]
Url = Annotated[str, AfterValidator(check_url)]
StoreUrl = Annotated[str, AfterValidator(check_store_url)]
HeaderName = Annotated[str, Field(pattern=patterns.HEADER_NAME)]
Method = Annotated[str, Field(pattern=patterns.METHOD)]


class Admin(Model):
    """The admin API, `/metrics`, `/healthz` and `/readyz`."""

    listen: Address = Field("127.0.0.1:9900", description="Address of the admin API.")
    token: SecretStr | None = Field(
        None,
        description="Bearer token asked of every admin request except `/healthz` and `/readyz`. "
        "Required when `listen` is not a loopback address.",
    )


class AccessLog(Model):
    """One JSON line a request, on standard output."""

    enabled: bool = Field(True, description="Write access log lines.")
    sample: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of requests logged. Replies of 500 and above are always logged.",
    )


class Log(Model):
    """What the daemon writes about itself and about requests."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is written."
    )
    format: Literal["console", "json"] = Field(
        "console", description="Form of the daemon's own log lines, on standard error."
    )
    access: AccessLog = Field(default=AccessLog(), description="The access log.")


class Timeouts(Model):
    """Time limits of the data plane."""

    header: PositiveDuration = Field(
        10.0, description="From the first byte of a request to its last header; 408."
    )
    body: PositiveDuration = Field(
        30.0, description="Longest silence while a request body comes in; 408."
    )
    keep_alive: Duration = Field(
        75.0, description="Longest idle time of a client connection; closed."
    )
    connect: PositiveDuration = Field(
        2.0, description="Connecting to a replica; then another is tried, at last 502."
    )
    first_byte: PositiveDuration = Field(
        300.0, description="From a request being sent to the first byte of its reply; 504."
    )
    stream_idle: PositiveDuration = Field(
        300.0, description="Longest silence inside a reply's body; the stream is cut."
    )
    tunnel_idle: PositiveDuration = Field(
        300.0, description="Longest time a websocket is silent both ways; both sides are closed."
    )
    upstream_keep_alive: Duration = Field(
        4.0,
        description="Longest idle time of a kept connection to a replica. Keep it below the "
        "agents' own keep-alive time (uvicorn: 5s), or they close it just as it is used.",
    )


class Limits(Model):
    """Size limits of the data plane."""

    header_size: Size = Field(65536, description="Request line and headers together; 431.")
    headers: int = Field(128, ge=1, le=10000, description="Number of header fields; 431.")
    target: Size = Field(16384, description="Length of the request target; 414.")
    body: Size = Field(
        1 << 30, description="Length of a request body; 413. Bodies are streamed, never held."
    )
    body_rate: Size = Field(
        240,
        description="Least speed of a request body, in bytes a second, once it has taken "
        "`timeouts.body`; 408. Time in which it may not be sent does not count. 0: any speed.",
    )
    connections: int = Field(
        16384, ge=1, description="Client connections per worker; more get 503 and are closed."
    )


class Match(Model):
    """All given conditions must hold; with none, every request matches."""

    host: str | None = Field(
        None,
        min_length=1,
        pattern=patterns.HOST,
        description="Host without port, lower case; `*.example.com` matches any one or more "
        "labels before.",
    )
    path: str | None = Field(
        None,
        pattern=patterns.PATH,
        description="Path prefix, by whole segments: `/v1` matches `/v1` and `/v1/x`, not `/v10`.",
    )
    methods: tuple[Method, ...] = Field((), description="Any of these methods.")
    headers: dict[HeaderName, str] = Field(
        {}, description="Header fields and the exact value each must have."
    )


class Route(Model):
    """Sends requests that match to a pool. Routes are tried in order; the first match wins."""

    match: Match = Field(default=Match(), description="Which requests.")
    pool: Name = Field(description="The pool that serves them.")


class ProcessDriver(Model):
    """Replicas are child processes of the daemon, on free ports of this host."""

    command: tuple[str, ...] = Field(
        (),
        description="Program and arguments. `{port}`, `{name}`, `{pool}` and `{version}` are "
        "replaced; the environment has PORT, HEADRACE_REPLICA, HEADRACE_POOL, HEADRACE_VERSION "
        "and HEADRACE_REDIS_URL too.",
    )
    env: dict[str, str] = Field({}, description="Environment added to the daemon's own.")
    cwd: Path | None = Field(
        None, description="Working directory; relative to the configuration file's. Default: that."
    )
    start_timeout: PositiveDuration = Field(
        60.0, description="A replica not healthy this long after its start is stopped and retried."
    )
    stop_timeout: Duration = Field(
        10.0, description="From SIGTERM to SIGKILL, once the replica is drained."
    )


class ProcessOverride(Model):
    """Parts of the pool's process driver that this version changes."""

    command: tuple[str, ...] | None = Field(None, description="Replaces the pool's.")
    env: dict[str, str] = Field({}, description="Merged over the pool's.")
    cwd: Path | None = Field(None, description="Replaces the pool's.")
    start_timeout: PositiveDuration | None = Field(None, description="Replaces the pool's.")
    stop_timeout: Duration | None = Field(None, description="Replaces the pool's.")


class StaticDriver(Model):
    """Replicas that exist already; they are checked and balanced, never started or stopped."""

    endpoints: tuple[Endpoint, ...] = Field(
        (),
        description="`http://host:port`, `https://host:port` or `unix:///path` of each replica.",
    )
    tls: UpstreamTls = Field(default=UpstreamTls(), description="TLS to `https` endpoints.")


class Driver(Model):
    """How replicas come to be: exactly one of the keys."""

    process: ProcessDriver | None = Field(None, description="Child processes on this host.")
    static: StaticDriver | None = Field(None, description="Endpoints that exist already.")


class DriverOverride(Model):
    """What a version changes of its pool's driver, or the whole driver if the pool has none."""

    process: ProcessOverride | None = Field(None, description="Child processes on this host.")
    static: StaticDriver | None = Field(None, description="Endpoints that exist already.")


class Version(Model):
    """A named release of a pool."""

    weight: int = Field(
        100,
        ge=0,
        le=MAX_WEIGHT,
        description="Share of new requests, relative to the other versions. 0 drains the version: "
        "it serves only requests that name it in the version header.",
    )
    driver: DriverOverride | None = Field(None, description="Changes to the pool's driver.")
    concurrency: int | None = Field(
        None, ge=1, le=100_000, description="Slots per replica. Default: the pool's."
    )


class Health(Model):
    """Active checks of every replica."""

    path: str | None = Field(
        "/healthz",
        pattern=patterns.PATH,
        description="GET answered by 2xx or 3xx when healthy. null: a replica that accepts a "
        "connection (or, without an endpoint, whose process runs) is healthy.",
    )
    interval: PositiveDuration = Field(1.0, description="Between two checks of a replica.")
    timeout: PositiveDuration = Field(1.0, description="A check not answered in time has failed.")
    rise: int = Field(1, ge=1, description="Successes in a row that make a replica healthy.")
    fall: int = Field(3, ge=1, description="Failures in a row that make a replica unhealthy.")


class Affinity(Model):
    """What identifies a session, so that it stays on one version: exactly one of the keys."""

    header: HeaderName | None = Field(None, description="Name of a request header.")
    cookie: str | None = Field(None, pattern=patterns.COOKIE_NAME, description="Name of a cookie.")


class Queue(Model):
    """The bounded wait for a slot."""

    limit: int = Field(
        200, ge=0, description="Requests that may wait, per worker; more are refused with 503."
    )
    timeout: Duration = Field(10.0, description="Longest wait; then 503.")


class RouterSignal(Model):
    """What the gateway itself sees of a version. Present even when `signals` is empty."""

    utilization: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Wanted share of busy slots; queued requests count as busy.",
    )
    slo: PositiveDuration | None = Field(
        None, description="Wanted p95 of the time a request waits for a slot, over `window`."
    )
    latency: PositiveDuration | None = Field(
        None,
        description="Wanted p95 from sending a request to its reply's first byte, over `window`.",
    )
    window: PositiveDuration = Field(
        10.0, description="Over which the two percentiles are measured."
    )


class RedisSignal(Model):
    """Depth of a queue in Redis: exactly one of list, stream or sorted_set."""

    url: StoreUrl | None = Field(None, description="Redis to ask. Default: the store.")
    list: str | None = Field(None, min_length=1, description="Key of a list: its length.")
    stream: str | None = Field(
        None,
        min_length=1,
        description="Key of a stream: its length, or with `group` that group's lag plus pending.",
    )
    group: str | None = Field(None, min_length=1, description="Consumer group of the stream.")
    sorted_set: str | None = Field(None, min_length=1, description="Key of a sorted set: its size.")
    per_replica: float = Field(5.0, gt=0, description="Items one replica should have to do.")


class PrometheusSignal(Model):
    """The value of one PromQL query."""

    url: Url | None = Field(None, description="Server to ask. Default: `prometheus` at the top.")
    query: str = Field(
        min_length=1,
        description="PromQL; must answer one number. Empty, NaN or Inf is a lost signal.",
    )
    per_replica: float = Field(gt=0, description="Amount one replica should carry.")


class Signal(Model):
    """A measured input: exactly one of the keys."""

    router: RouterSignal | None = Field(None, description="The gateway's own view.")
    redis: RedisSignal | None = Field(None, description="A queue in Redis.")
    prometheus: PrometheusSignal | None = Field(None, description="A PromQL query.")


class Rate(Model):
    """The most that may change within a period: the larger of the two."""

    percent: float = Field(
        100.0, ge=0, description="Percent of the replicas at the period's start."
    )
    replicas: int = Field(4, ge=0, description="Number of replicas.")
    period: PositiveDuration = Field(15.0, description="The period.")


class Scale(Model):
    """How many replicas a pool has."""

    min: int = Field(
        1, ge=0, description="Least replicas of the pool; 0 lets an idle pool go to zero."
    )
    max: int = Field(
        1, ge=0, le=MAX_REPLICAS, description="Most replicas of the pool; 0 switches it off."
    )
    policy: Literal["target"] = Field("target", description="How readings become replicas.")
    signals: tuple[Signal, ...] = Field((), description="The inputs; the largest proposal wins.")
    tolerance: float = Field(
        0.1, ge=0, lt=1, description="No change while a reading is this near its target."
    )
    tick: PositiveDuration = Field(
        1.0, description="Between two decisions; a forming queue decides at once."
    )
    up: Rate = Field(default=Rate(), description="Fastest growth.")
    down: Rate = Field(default=Rate(percent=100.0, replicas=1), description="Fastest shrinking.")
    stabilization: Duration = Field(
        60.0, description="Shrinks only to the largest size wanted within this time."
    )


class Pool(Model):
    """One agent service."""

    versions: dict[Name, Version] = Field(
        {"v1": Version()}, min_length=1, description="The releases that share the traffic."
    )
    driver: Driver | None = Field(None, description="How replicas come to be, for all versions.")
    health: Health = Field(default=Health(), description="Active checks.")
    balance: Literal["least_request", "round_robin"] = Field(
        "least_request", description="How a replica of a version is picked."
    )
    affinity: Affinity | None = Field(
        None, description="Keeps a session on one version. Default: none."
    )
    concurrency: int = Field(16, ge=1, le=100_000, description="Slots per replica.")
    queue: Queue = Field(default=Queue(), description="The wait for a slot.")
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
    paths: Literal["canonical", "refuse"] = Field(
        "canonical",
        description="A path with `.` or `..` segments, doubled slashes or needless "
        "percent-encoding (`%2F` included) is brought into its canonical form before routes are "
        "matched and is sent on in that form, or refused with 400.",
    )
    routes: tuple[Route, ...] = Field((), description="Requests to pools, in order.")
    pools: dict[Name, Pool] = Field({}, description="The agent services.")
