"""The daemon itself in the configuration: its admin API and its logs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from fleet.config.base import Model
from fleet.config.kinds import Address


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
