"""Signals: the measured inputs of a pool, made from its configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from fleet.config.schema import RouterSignal, Signal
from scaler.signals.formula import FormulaInput, formula_input
from scaler.signals.prometheus import PrometheusSource, wanted
from scaler.signals.redis import RedisSource
from scaler.signals.redis_age import RedisAgeSource
from scaler.signals.source import SignalLostError, Source

__all__ = ["Asked", "Inputs", "LoadInput", "SignalLostError", "Source", "inputs", "router_settings"]


class Asked(Struct, frozen=True, kw_only=True):
    """A source from outside, and the signal that it is of."""

    source: Source
    signal: Signal
    within: str | None = None
    """The source whose depth this one is the age of."""


class LoadInput(Struct, frozen=True, kw_only=True):
    """What replicas report, summed."""

    name: str
    per_replica: float
    stale: float
    """Seconds after which what a replica said does not count any more."""
    signal: Signal


class Inputs(Struct, frozen=True, kw_only=True):
    """All signals of a pool."""

    router: tuple[RouterSignal, ...] = (RouterSignal(),)
    asked: tuple[Asked, ...] = ()
    loads: tuple[LoadInput, ...] = ()
    formulae: tuple[FormulaInput, ...] = ()
    named_router: str | None = None
    """The name that formulae call the requests in flight and queued by."""

    @property
    def parts(self) -> frozenset[str]:
        """Signals that formulae use; they propose nothing by themselves."""
        return frozenset(name for one in self.formulae for name in one.formula.names)


def router_settings(signals: Sequence[Signal]) -> tuple[RouterSignal, ...]:
    """The router signals; the default one when none is configured."""
    return tuple(s.router for s in signals if s.router is not None) or (RouterSignal(),)


def inputs(
    signals: Sequence[Signal],
    *,
    store_url: str,
    prometheus_url: str | None,
    load_stale: float = 0.0,
) -> Inputs:
    """The inputs that `signals` ask for; the default router signal when none is configured.

    Unnamed Prometheus signals and formulae are named by their order. `load_stale` is the age in
    seconds up to which balancing heeds a reported load. Raises ValueError for a Prometheus signal
    without any URL, which the configuration refuses.
    """
    names = list(_names(signals))
    targets = {
        signal.name: target
        for signal in signals
        if signal.name is not None and (target := _per_replica(signal)) is not None
    }
    routers = [signal for signal in signals if signal.router is not None]
    return Inputs(
        router=router_settings(signals),
        asked=tuple(
            asked
            for signal, name in zip(signals, names, strict=True)
            for asked in _asked(signal, name, store_url, prometheus_url)
        ),
        loads=tuple(
            LoadInput(
                name=name,
                per_replica=signal.load.per_replica,
                stale=max(signal.stale, load_stale),
                signal=signal,
            )
            for signal, name in zip(signals, names, strict=True)
            if signal.load is not None
        ),
        formulae=tuple(
            formula_input(signal.formula, signal, name, targets)
            for signal, name in zip(signals, names, strict=True)
            if signal.formula is not None
        ),
        named_router=next((s.name for s in routers if s.name is not None), None),
    )


def _names(signals: Sequence[Signal]) -> Iterator[str]:
    queries = formulae = 0
    for signal in signals:
        name = "load"
        if signal.redis is not None:
            key = signal.redis.list or signal.redis.sorted_set or signal.redis.stream
            name = f"redis:{key}" + (f"/{signal.redis.group}" if signal.redis.group else "")
        if signal.prometheus is not None:
            name, queries = f"prometheus[{queries}]", queries + 1
        if signal.formula is not None:
            name, formulae = f"formula[{formulae}]", formulae + 1
        yield signal.name or name


def _per_replica(signal: Signal) -> float | None:
    if signal.prometheus is not None:
        return wanted(signal.prometheus)
    settings = signal.redis or signal.load
    return None if settings is None else settings.per_replica


def _asked(
    signal: Signal, name: str, store_url: str, prometheus_url: str | None
) -> Iterator[Asked]:
    if signal.redis is not None:
        own = signal.redis.url
        url = store_url if own is None or own == "embedded" else own
        yield Asked(source=RedisSource(signal.redis, url, name), signal=signal)
        if signal.redis.age is not None:
            age = RedisAgeSource(signal.redis, url, f"{name}.age")
            whole = signal.model_copy(update={"activation": 0.0})
            yield Asked(source=age, signal=whole, within=name)
    if signal.prometheus is not None:
        url_ = signal.prometheus.url or prometheus_url
        if url_ is None:
            raise ValueError("a prometheus signal has no URL")
        yield Asked(source=PrometheusSource(signal.prometheus, url_, name), signal=signal)
