"""Types of configuration values that several parts share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from fleet.config import patterns
from fleet.config.addresses import (
    check_address,
    check_endpoint,
    check_host,
    check_store_url,
    check_url,
)

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
Host = Annotated[str, AfterValidator(check_host)]
Endpoint = Annotated[str, AfterValidator(check_endpoint)]
Url = Annotated[str, AfterValidator(check_url)]
StoreUrl = Annotated[str, AfterValidator(check_store_url)]
HeaderName = Annotated[str, Field(pattern=patterns.HEADER_NAME)]
Method = Annotated[str, Field(pattern=patterns.METHOD)]
