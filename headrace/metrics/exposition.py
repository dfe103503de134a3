"""Rendering the metrics when they are scraped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.registry import Collector

from fleet.telemetry.histogram import BOUNDS
from headrace.metrics import METRICS
from headrace.metrics.metric import Distribution, Metric, Samples
from headrace.operations import Operations


class StatusCollector(Collector):
    """Every metric of `METRICS`, from one `status()` a scrape."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def collect(self) -> Iterator[Family]:
        """See `prometheus_client.registry.Collector`."""
        status = self._operations.status()
        for name, metric in METRICS.items():
            yield _family(name, metric, metric.read(status))


def create_registry(operations: Operations) -> CollectorRegistry:
    """What `/metrics` answers: `METRICS`, and CPU, memory and files of this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatusCollector(operations))
    ProcessCollector(registry=registry)
    return registry


def _family(name: str, metric: Metric, samples: Samples) -> Family:
    family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
    match metric.kind:
        case "counter":
            family = CounterMetricFamily(name, metric.help, labels=metric.labels)
        case "gauge":
            family = GaugeMetricFamily(name, metric.help, labels=metric.labels)
        case "histogram":
            family = HistogramMetricFamily(name, metric.help, labels=metric.labels)
    for labels, value in samples:
        if isinstance(family, HistogramMetricFamily):
            assert isinstance(value, Distribution)
            family.add_metric(labels, _buckets(value.counts), value.sum)
        else:
            assert not isinstance(value, Distribution)
            family.add_metric(labels, value)
    return family


def _buckets(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Cumulative, as the exposition format wants them."""
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    return list(zip(bounds, accumulate(counts), strict=True))
