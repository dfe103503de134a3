"""Balancing in the configuration: the policy, what replicas report, and passive ejection."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from fleet.config import patterns
from fleet.config.base import Model
from fleet.config.kinds import HeaderName
from fleet.config.units import Duration, PositiveDuration

Policy = Literal["consistent_hash", "least_request", "peak_ewma", "prequal", "round_robin"]


class ReportedLoad(Model):
    """What replicas say of their own load: a number that a request under way adds to."""

    header: HeaderName | None = Field(
        "X-Load", description="Field of replies that carries the number. null: none is looked for."
    )
    shown: bool = Field(False, description="Pass the field on to clients.")
    path: str | None = Field(
        None,
        pattern=patterns.PATH,
        description='GET that answers `{"load": NUMBER}`, asked by control. Default: not asked.',
    )
    interval: PositiveDuration = Field(1.0, description="Between two questions to a replica.")
    per_request: float = Field(
        1.0,
        gt=0,
        le=1e9,
        description="What one average request adds to the number: 1 for requests running and "
        "queued, 2000 for tokens in flight at 2000 a request.",
    )
    stale: PositiveDuration = Field(
        5.0, description="A number older than this says nothing; the gateway's own counts do."
    )


class Balance(Model):
    """How a replica of a version is picked."""

    policy: Policy = Field("least_request", description="See docs/balancing.md for when which.")
    decay: PositiveDuration = Field(
        10.0, description="`peak_ewma`, `prequal`: time in which what was learned fades to 37 %."
    )
    header: HeaderName | None = Field(
        None, description="`consistent_hash`: request header whose value is hashed."
    )
    cookie: str | None = Field(
        None,
        pattern=patterns.COOKIE_NAME,
        description="`consistent_hash`: cookie whose value is hashed.",
    )
    address: bool = Field(
        False,
        description="`consistent_hash`: hash the client's address. Without `header`, `cookie` and "
        "this, what `affinity` names is hashed, else the address.",
    )
    factor: float = Field(
        1.25,
        ge=1,
        le=100,
        description="`consistent_hash` and `affinity.replica`: a replica takes at most this times "
        "its part of the requests in flight; what is above goes to the next on the ring.",
    )
    slow_start: Duration = Field(
        0.0,
        description="A replica that begins to serve gets a tenth of its weight, growing to all of "
        "it in this time. 0: all at once.",
    )
    load: ReportedLoad | None = Field(
        None, description="Heed what replicas report of their load. Default: not heeded."
    )


class _OrPolicy:
    """JSON Schema of a balance as `fleet.config.shorthand` reads it."""

    @staticmethod
    def __get_pydantic_json_schema__(core: CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        policies = sorted(Policy.__args__)  # type: ignore[attr-defined]
        return {"anyOf": [{"enum": policies, "type": "string"}, handler(core)]}


BalanceOrPolicy = Annotated[Balance, _OrPolicy]


class Outliers(Model):
    """When a replica that fails beside its peers gets nothing for a while. Each worker judges by
    what it sees itself.
    """

    failures: int = Field(
        5, ge=0, description="Statuses of 500 or above and gateway errors in a row. 0: no rule."
    )
    gateway_errors: int = Field(
        5,
        ge=0,
        description="Statuses 502, 503, 504, failed, broken or silent connections in a row. "
        "0: no rule.",
    )
    interval: PositiveDuration = Field(
        10.0, description="Between two comparisons of a version's replicas."
    )
    requests: int = Field(
        100, ge=1, description="Requests in an interval from which on a replica is compared."
    )
    replicas: int = Field(5, ge=2, description="Fewer such replicas are not compared.")
    success_deviations: float = Field(
        1.9,
        ge=0,
        le=10,
        description="Success rate below the mean by so many standard deviations (and 5 points at "
        "least). 0: no rule.",
    )
    latency_factor: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Mean time to first byte above so many times the median replica's. 0: no rule.",
    )
    time: PositiveDuration = Field(
        30.0, description="Length of the first ejection; the n-th lasts n times that."
    )
    max_time: PositiveDuration = Field(300.0, description="Longest ejection.")
    max_ejected: float = Field(
        0.1, ge=0, le=1, description="Share of a version's replicas ejected at most; always one."
    )
    panic: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Least share of a version's replicas to be left; below it ejections are "
        "ignored.",
    )
