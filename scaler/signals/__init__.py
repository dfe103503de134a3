"""Signals: the measured inputs of a pool, made from its configuration."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.config.schema import RouterSignal, Signal
from scaler.signals.prometheus import PrometheusSource
from scaler.signals.redis import RedisSource
from scaler.signals.source import SignalLostError, Source

__all__ = ["SignalLostError", "Source", "router_settings", "sources"]


def router_settings(signals: Sequence[Signal]) -> tuple[RouterSignal, ...]:
    """The router signals; the default one when none is configured."""
    return tuple(s.router for s in signals if s.router is not None) or (RouterSignal(),)


def sources(
    signals: Sequence[Signal], *, store_url: str, prometheus_url: str | None
) -> list[Source]:
    """A source for each signal from outside. Prometheus ones are named by their order.

    Raises ValueError for a Prometheus signal without any URL, which the configuration refuses.
    """
    made: list[Source] = []
    queries = 0
    for signal in signals:
        if signal.redis is not None:
            own = signal.redis.url
            made.append(RedisSource(signal.redis, store_url if own in (None, "embedded") else own))
        if signal.prometheus is not None:
            url = signal.prometheus.url or prometheus_url
            if url is None:
                raise ValueError("a prometheus signal has no URL")
            made.append(PrometheusSource(signal.prometheus, url, f"prometheus[{queries}]"))
            queries += 1
    return made
