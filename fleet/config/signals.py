"""Signals in the configuration: what is measured, and what holds while it cannot be."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from fleet.config import patterns
from fleet.config.base import Model
from fleet.config.formula import FormulaText
from fleet.config.kinds import MAX_REPLICAS, StoreUrl, Url
from fleet.config.units import Duration, PositiveDuration

StandIn = Literal["hold", "last", "router"]


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
    age: PositiveDuration | None = Field(
        None,
        description="Wanted age of the oldest entry that waits: by the id of a stream's first "
        "entry that its group has not got, or by a sorted set's least score in Unix seconds or "
        "milliseconds. Default: not asked.",
    )


class PrometheusSignal(Model):
    """The value of one PromQL query: exactly one of per_replica or target."""

    url: Url | None = Field(None, description="Server to ask. Default: `prometheus` at the top.")
    query: str = Field(
        min_length=1,
        description="PromQL; must answer one number. Empty, NaN or Inf is a lost signal.",
    )
    per_replica: float | None = Field(
        None, gt=0, description="Amount one replica should carry. Instead of `target`."
    )
    target: float | None = Field(
        None,
        gt=0,
        description="Wanted value of a number that falls as replicas are added, such as a latency; "
        "the type `Value` of HPA and KEDA. Instead of `per_replica`.",
    )
    ignore_null_values: bool = Field(
        False,
        description="An answer that is empty, NaN or Inf is 0, as in KEDA, where it is the "
        "default. An error, or no answer, is a lost signal all the same.",
    )


class LoadSignal(Model):
    """What the replicas report of themselves at `balance.load.path`, summed over a version."""

    per_replica: float = Field(gt=0, description="Load one replica should carry, as it reports it.")


class FormulaSignal(Model):
    """A number made of other signals, which then propose nothing by themselves."""

    value: FormulaText = Field(
        description="Over the `name`s of signals of this pool, each by its value for the whole "
        "pool: `max(jobs, tokens / 2)`. See docs/autoscaling.md."
    )
    per_replica: float | None = Field(
        None,
        gt=0,
        description="Amount one replica should carry. Default: the mean over the signals it names.",
    )


class Fallback(Model):
    """What stands in for a lost signal: exactly one of use or replicas. A text is `use`."""

    use: StandIn | None = Field(
        None,
        description="`hold`: nothing, and the size does not fall. `last`: its last value. "
        "`router`: requests in flight and queued, at the router signal's target.",
    )
    replicas: int | None = Field(
        None,
        ge=0,
        le=MAX_REPLICAS,
        description="As much as makes so many replicas of the whole pool.",
    )
    behavior: Literal["current", "current_if_higher", "current_if_lower", "static"] = Field(
        "static",
        description="With `replicas`, as in KEDA: that number, the present one, or the larger or "
        "smaller of both.",
    )


class _OrUse:
    """JSON Schema of a fallback that may be a text."""

    @staticmethod
    def __get_pydantic_json_schema__(core: CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return {"anyOf": [{"enum": list(StandIn.__args__), "type": "string"}, handler(core)]}  # type: ignore[attr-defined]


def _written_out(fallback: Any) -> Any:
    return {"use": fallback} if isinstance(fallback, str) else fallback


FallbackOrUse = Annotated[Fallback, BeforeValidator(_written_out), _OrUse]


class Signal(Model):
    """A measured input: exactly one of router, redis, prometheus, load or formula."""

    router: RouterSignal | None = Field(None, description="The gateway's own view.")
    redis: RedisSignal | None = Field(None, description="A queue in Redis.")
    prometheus: PrometheusSignal | None = Field(None, description="A PromQL query.")
    load: LoadSignal | None = Field(None, description="What the replicas report.")
    formula: FormulaSignal | None = Field(None, description="A number made of other signals.")
    name: str | None = Field(
        None,
        pattern=patterns.SIGNAL,
        description="What it is called in decisions, and in formulae. Default: after what it asks.",
    )
    stale: Duration = Field(
        0.0,
        description="While it cannot be read, its value counts until it is this old; then the "
        "signal is lost.",
    )
    failures: int = Field(
        0, ge=0, le=1000, description="Reads in a row that may fail before the signal is lost."
    )
    fallback: FallbackOrUse | None = Field(
        None, description="What stands in for it while it is lost. Default: `hold`."
    )
    activation: float = Field(
        0.0, ge=0, description="A value that is not above this counts as 0, as in KEDA."
    )
