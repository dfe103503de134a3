"""A number made of other signals of a pool. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from fleet.config.formula import Formula, FormulaError, UnknownError, parse
from fleet.config.schema import FormulaSignal, Signal
from scaler.signals.source import LARGEST
from scaler.signals.standing import Measured


class FormulaInput(Struct, frozen=True, kw_only=True):
    """A formula signal, made ready."""

    name: str
    formula: Formula
    per_replica: float
    signal: Signal


def formula_input(
    settings: FormulaSignal, signal: Signal, name: str, targets: Mapping[str, float]
) -> FormulaInput:
    """`targets` has what one replica should carry of each signal with a name."""
    formula = parse(settings.value)
    per_replica = settings.per_replica
    if per_replica is None:
        per_replica = target_average([targets[one] for one in formula.names if one in targets])
    return FormulaInput(name=name, formula=formula, per_replica=per_replica or 1.0, signal=signal)


def target_average(targets: Sequence[float]) -> float:
    """The mean; 0 without any. Source: keda `pkg/scaling/scaledjob/metrics.go`."""
    return sum(targets) / len(targets) if targets else 0.0


def computed(
    one: FormulaInput, numbers: Mapping[str, float | None], errors: Mapping[str, str]
) -> Measured:
    """Its value over the inputs' `numbers`; lost when it needs one that is not known.

    `errors` says of lost inputs why. An input with nothing to measure has neither, and a formula
    that needs it has nothing to measure either.
    """
    try:
        value = one.formula.value(numbers)
    except UnknownError as error:
        why = f"{error.name}: {errors[error.name]}" if error.name in errors else None
        return Measured(name=one.name, value=None, target=one.per_replica, error=why)
    except FormulaError as error:
        return Measured(name=one.name, value=None, target=one.per_replica, error=str(error))
    if abs(value) > LARGEST:
        why = f"no load is as large as {value:.6g}"
        return Measured(name=one.name, value=None, target=one.per_replica, error=why)
    return Measured(name=one.name, value=value, target=one.per_replica)
