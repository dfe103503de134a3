"""`/metrics`: a `Status` as Prometheus metrics, rendered when scraped and never on a request.

`METRICS` is the whole list, by the name a query uses; `docs/metrics.md` is checked against it.
Naming: https://prometheus.io/docs/practices/naming/. Labels are pools, versions, states and
worker indices only, so the number of series is bounded by the configuration. Requests that
matched no pool have empty `pool` and `version` labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from headrace.metrics.daemon import DAEMON
from headrace.metrics.metric import Metric
from headrace.metrics.replicas import REPLICAS
from headrace.metrics.requests import REQUESTS

METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    dict(sorted({**DAEMON, **REPLICAS, **REQUESTS}.items()))
)
