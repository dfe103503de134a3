"""The daemon itself in the configuration: its admin API and its logs."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema

from fleet.config.base import Model
from fleet.config.expected import ExpectedError
from fleet.config.kinds import Address, Host, Name
from fleet.config.units import DURATION_PATTERN, parse_duration

_SHORTEST_LEASE: Final = 1.0
_LONGEST_LEASE: Final = 60.0


def _lease(value: object) -> float:
    seconds = parse_duration(value)
    if not _SHORTEST_LEASE <= seconds <= _LONGEST_LEASE:
        raise ExpectedError("a duration from 1s to 60s", value)
    return seconds


LeaseDuration = Annotated[
    float,
    BeforeValidator(_lease),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]


class Admin(Model):
    """The admin API, `/metrics`, `/healthz` and `/readyz`."""

    listen: Address = Field("127.0.0.1:9900", description="Address of the admin API.")
    token: SecretStr | None = Field(
        None,
        description="Bearer token asked of every admin request except `/healthz` and `/readyz`. "
        "Required when `listen` is not a loopback address.",
    )


class Cluster(Model):
    """Several daemons that scale the same pools together; one of them decides at a time.

    All have the same `name`, `lease`, `store` and pools, and each its own `member`.
    """

    name: Name = Field(description="Which cluster, among those that share a store.")
    member: Name | None = Field(
        None, description="This daemon's name in it. Default: the host's name."
    )
    advertise: Host | None = Field(
        None,
        description="Address of this host that the other members reach. Replicas then listen "
        "there, are told it as `{host}` and HOST, and take requests from all members that have "
        "one too. Default: replicas listen on 127.0.0.1 and serve this daemon alone.",
    )
    lease: LeaseDuration = Field(
        3.0,
        description="A leader that has not been heard for so long is replaced; 1s to 60s. A new "
        "one decides after at most a sixth more.",
    )


class AccessLog(Model):
    """One JSON line a request, on standard output."""

    enabled: bool = Field(True, description="Write access log lines.")
    sample: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of requests logged. Replies of 500 and above are always logged, but for "
        "requests refused for lack of room, which count as all others.",
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
