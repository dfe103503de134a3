"""Requests in the configuration: routes, time limits and size limits."""

from __future__ import annotations

from pydantic import Field

from fleet.config import patterns
from fleet.config.base import Model
from fleet.config.kinds import HeaderName, Method, Name
from fleet.config.resilience import Hedge, RetryOverride
from fleet.config.units import Duration, PositiveDuration, Size


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
    request: Duration = Field(
        0.0,
        description="From the end of a request's headers to the end of its reply, queueing and "
        "retries included; 504, or the reply is cut where it has begun. A websocket that is open "
        "has no such limit. 0: none.",
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
    streams: int = Field(
        128,
        ge=1,
        le=10000,
        description="Requests under way at once on one connection of HTTP/2; more are refused with "
        "REFUSED_STREAM.",
    )


class RouteTimeouts(Model):
    """Time limits of one route; what is not given is as in the top level's `timeouts`."""

    body: PositiveDuration | None = Field(None, description="See `timeouts.body`.")
    connect: PositiveDuration | None = Field(None, description="See `timeouts.connect`.")
    first_byte: PositiveDuration | None = Field(None, description="See `timeouts.first_byte`.")
    request: Duration | None = Field(None, description="See `timeouts.request`. 0: none.")
    stream_idle: PositiveDuration | None = Field(None, description="See `timeouts.stream_idle`.")
    tunnel_idle: PositiveDuration | None = Field(None, description="See `timeouts.tunnel_idle`.")


class RouteLimits(Model):
    """Size limits of one route; what is not given is as in the top level's `limits`."""

    body: Size | None = Field(None, description="See `limits.body`.")
    body_rate: Size | None = Field(None, description="See `limits.body_rate`. 0: any speed.")


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
    retry: RetryOverride | None = Field(None, description="Changes to the pool's `retry`.")
    hedge: Hedge | None = Field(
        None, description="Second tries of late requests that may be repeated. Default: none."
    )
    priority: Name | None = Field(
        None, description="Their class, one of the pool's `queue.classes`. Default: the pool's."
    )
    timeouts: RouteTimeouts = Field(
        default=RouteTimeouts(), description="Time limits other than those for all."
    )
    limits: RouteLimits = Field(
        default=RouteLimits(), description="Size limits other than those for all."
    )
