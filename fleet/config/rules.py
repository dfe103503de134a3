"""How the keys of one mapping must fit each other.

Each rule answers what is wrong, or None. The models apply it to their values; the loader applies
it to the raw data too, since a model is not built while one of its values is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

Rule: TypeAlias = Callable[[Mapping[str, object]], str | None]


def _exactly_one(*keys: str) -> Rule:
    choice = f"{', '.join(keys[:-1])} or {keys[-1]}"

    def rule(given: Mapping[str, object]) -> str | None:
        count = sum(given.get(key) is not None for key in keys)
        return None if count == 1 else f"give exactly one of {choice}"

    return rule


SIGNALS: Final = ("router", "redis", "prometheus", "load", "formula")
"""Kinds of signals, one of which must be given."""
_LOAD_HEADER: Final = "X-Load"
_MODE: Final = "0660"
_WITHOUT: Final = {
    "router": ("stale", "failures", "activation", "fallback"),
    "load": ("failures",),
    "formula": ("stale", "failures"),
}
"""What a kind of signal does not have: what the gateway sees is never lost."""
_one_signal: Final = _exactly_one(*SIGNALS)
_stand_in: Final = _exactly_one("use", "replicas")
_one_queue: Final = _exactly_one("list", "stream", "sorted_set")


def _redis_signal(given: Mapping[str, object]) -> str | None:
    if (wrong := _one_queue(given)) is not None:
        return wrong
    if given.get("group") is not None and given.get("stream") is None:
        return "group goes with stream"
    if given.get("age") is not None and given.get("list") is not None:
        return "age goes with stream or sorted_set: the items of a list have no time"
    return None


def _fallback(given: Mapping[str, object]) -> str | None:
    if (wrong := _stand_in(given)) is None:
        lone = given.get("behavior", "static") != "static" and given.get("replicas") is None
        return "behavior goes with replicas" if lone else None
    return wrong


def _signal(given: Mapping[str, object]) -> str | None:
    if (wrong := _one_signal(given)) is not None:
        return wrong
    kind = next(key for key in SIGNALS if given.get(key) is not None)
    stray = next((key for key in _WITHOUT.get(kind, ()) if given.get(key)), None)
    return None if stray is None else f"{stray} has no use with {kind}"


def _scale(given: Mapping[str, object]) -> str | None:
    least, most = given.get("min", 1), given.get("max", 1)
    if isinstance(least, int) and isinstance(most, int) and least > most:
        return f"min ({least}) is above max ({most})"
    return None


def _hpa_direction(given: Mapping[str, object]) -> str | None:
    if given.get("policies", True) or given.get("select_policy") == "disabled":
        return None
    return "give policies, or select_policy disabled"


def _schedule(given: Mapping[str, object]) -> str | None:
    start = given.get("start")
    return "start and end are the same" if start is not None and start == given.get("end") else None


def _listener(given: Mapping[str, object]) -> str | None:
    address = given.get("address")
    if given.get("mode", _MODE) == _MODE or not isinstance(address, str):
        return None
    return None if address.startswith("unix://") else "mode goes with the address of a Unix socket"


def _listener_tls(given: Mapping[str, object]) -> str | None:
    if (given.get("client_auth", "none") == "none") == (given.get("client_ca") is None):
        return None
    return "client_ca goes with client_auth optional or required, and they with it"


def _upstream_tls(given: Mapping[str, object]) -> str | None:
    if (given.get("cert") is None) != (given.get("key") is None):
        return "cert goes with key, and key with cert"
    if given.get("verify") is False and given.get("ca") is not None:
        return "ca has no use without verify"
    return None


def _balance(given: Mapping[str, object]) -> str | None:
    hashed = [key for key in ("header", "cookie", "address") if given.get(key)]
    if hashed and given.get("policy") != "consistent_hash":
        return f"{hashed[0]} goes with policy consistent_hash"
    return None if len(hashed) < 2 else "give at most one of header, cookie or address"


def _reported_load(given: Mapping[str, object]) -> str | None:
    silent = given.get("header", _LOAD_HEADER) is None and given.get("path") is None
    return "give header or path, else no load is reported" if silent else None


def _static(given: Mapping[str, object]) -> str | None:
    endpoints, weights = given.get("endpoints"), given.get("weights")
    if not isinstance(endpoints, list | tuple) or not isinstance(weights, dict):
        return None
    known = {str(endpoint).rstrip("/") for endpoint in endpoints}
    strays = [key for key in weights if str(key).rstrip("/") not in known]
    return f"weights: {strays[0]} is not among endpoints" if strays else None


RULES: Final[Mapping[str, Rule]] = {
    "Affinity": _exactly_one("header", "cookie"),
    "Balance": _balance,
    "Driver": _exactly_one("process", "static"),
    "DriverOverride": _exactly_one("process", "static"),
    "Fallback": _fallback,
    "HpaDown": _hpa_direction,
    "HpaUp": _hpa_direction,
    "Listener": _listener,
    "ListenerTls": _listener_tls,
    "PrometheusSignal": _exactly_one("per_replica", "target"),
    "RedisSignal": _redis_signal,
    "ReportedLoad": _reported_load,
    "Scale": _scale,
    "Schedule": _schedule,
    "SharedBudget": _exactly_one("replicas", "cost"),
    "Signal": _signal,
    "StaticDriver": _static,
    "StepRule": _exactly_one("above", "below"),
    "UpstreamTls": _upstream_tls,
}
"""By the name of the model."""
EXACTLY_ONE_KEY: Final = ("Driver", "DriverOverride")
"""Models that have no other keys than those of which one must be given."""
