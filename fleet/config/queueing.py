"""Waiting and overload in the configuration: queues, priority classes, and when to refuse."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fleet.config.base import Model
from fleet.config.kinds import HeaderName, Name
from fleet.config.units import Duration, PositiveDuration, Size

MAX_CLASSES = 8
"""As many as the counters have room for (`fleet.telemetry.slab.MAX_CLASSES`)."""

Turns = Annotated[int, Field(ge=1, le=1000)]


class Priority(Model):
    """How a request's priority class is told. A route's `priority` counts when the header says
    nothing.
    """

    header: HeaderName | None = Field(
        None, description="Name of a request header that names the class. Any client can send it."
    )
    values: dict[str, Name] = Field(
        {}, description="Class by value of the header, beside the names of the classes themselves."
    )
    default: Name | None = Field(
        None, description="Class of requests that neither header nor route tell. Default: the last."
    )


class Tenant(Model):
    """Whose request it is, so that tenants of a class get slots in turn."""

    header: HeaderName = Field(description="Name of a request header.")
    weights: dict[str, Turns] = Field(
        {}, description="Requests in a row in a tenant's turn, by the header's value; 1 for others."
    )


class Queue(Model):
    """The bounded wait for a slot."""

    limit: int = Field(
        200, ge=0, description="Requests that may wait, per worker; more are refused with 503."
    )
    timeout: Duration = Field(10.0, description="Longest wait; then 503.")
    order: Literal["edf", "fifo", "lifo"] = Field(
        "fifo",
        description="Who goes first inside a class and tenant: the first to come; `edf`, the one "
        "that gives up soonest; `lifo`, the last to come once the queue has not been empty for "
        "`interval`, and the first until then.",
    )
    classes: tuple[Name, ...] = Field(
        (),
        max_length=MAX_CLASSES,
        description="Priority classes, the highest first. A slot goes to the highest class that "
        "waits. None: all requests are alike.",
    )
    priority: Priority = Field(
        default=Priority(), description="How a request's class is told. Goes with `classes`."
    )
    aging: Duration = Field(
        5.0,
        description="A request of a lower class that has waited this long is overdue: every "
        "eighth slot goes to the one overdue longest. 0: never.",
    )
    tenant: Tenant | None = Field(
        None, description="Lets tenants take turns. Default: all requests are one tenant's."
    )
    target: PositiveDuration | None = Field(
        None,
        description="Longest good wait. Once somebody has waited longer for a whole `interval`, "
        "those who have waited twice as long are refused with 503, the lowest class first, until "
        "the wait is good again. Default: only `timeout` ends a wait.",
    )
    interval: PositiveDuration = Field(
        1.0, description="How long the queue may be bad before it counts as overloaded."
    )


class Overload(Model):
    """When a worker refuses requests for its own sake: lowest classes first, pools that are
    `critical` last.
    """

    lag: PositiveDuration | None = Field(
        None,
        description="Delay of the event loop at which requests begin to be refused with 503; at "
        "twice this delay all are, but those of critical pools. Default: never.",
    )
    memory: Annotated[Size, Field(gt=0)] | None = Field(
        None,
        description="Resident memory of a worker at which all requests but those of critical "
        "pools are refused with 503; it begins at nine tenths of it. Default: never.",
    )
