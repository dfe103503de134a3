"""What no single signal shows: that it has someone to ask, and that formulae name signals."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.config.document import Data, Finding, Path
from fleet.config.formula import FormulaError, parse
from fleet.config.messages import did_you_mean
from fleet.config.raw import Mapping, as_list, as_mapping, items, pools


def signal_findings(data: Mapping) -> Iterator[Finding]:
    """What is wrong between signals and the rest of the file."""
    routed = {as_mapping(route).get("pool") for route in as_list(data.get("routes"))}
    for path, pool in pools(data):
        signals = as_mapping(pool.get("scale")).get("signals")
        names: dict[str, Data] = {}
        for below, item in items((*path, "scale", "signals"), signals):
            signal = as_mapping(item)
            name = signal.get("name")
            if isinstance(name, str):
                if name in names:
                    yield Finding((*below, "name"), f"{name!r} is there already")
                names[name] = signal
            yield from _server(data, below, signal)
            yield from _reported(pool, below, signal)
            yield from _gateway(routed, below, signal)
        for below, item in items((*path, "scale", "signals"), signals):
            yield from _formula(below, as_mapping(item), names)


def _server(data: Mapping, path: Path, signal: Mapping) -> Iterator[Finding]:
    query = signal.get("prometheus")
    if isinstance(query, dict) and query.get("url") is None and data.get("prometheus") is None:
        message = "no server to ask: give `url` here, or `prometheus` at the top"
        yield Finding((*path, "prometheus"), message)


def _reported(pool: Mapping, path: Path, signal: Mapping) -> Iterator[Finding]:
    balance = as_mapping(pool.get("balance"))
    if "load" in signal and as_mapping(balance.get("load")).get("path") is None:
        yield Finding((*path, "load"), "nobody is asked: give the pool `balance.load.path`")


def _gateway(routed: set[Data], path: Path, signal: Mapping) -> Iterator[Finding]:
    """A gateway that no request of a pool passes would stand in with zero."""
    fallback = signal.get("fallback")
    if "router" in (fallback, as_mapping(fallback).get("use")) and path[1] not in routed:
        message = f"no route leads to {path[1]}, so the gateway sees nothing of its load"
        yield Finding((*path, "fallback"), message)


def _formula(path: Path, signal: Mapping, names: Mapping) -> Iterator[Finding]:
    text = as_mapping(signal.get("formula")).get("value")
    if not isinstance(text, str):
        return
    try:
        used = parse(text).names
    except FormulaError:
        return
    for name in used:
        if name not in names:
            hint = did_you_mean(name, names) or "; no signal of the pool has a `name`"
            yield Finding((*path, "formula", "value"), f"there is no signal {name}{hint}")
        elif "formula" in as_mapping(names[name]):
            message = f"{name} is a formula itself; put its value here"
            yield Finding((*path, "formula", "value"), message)
