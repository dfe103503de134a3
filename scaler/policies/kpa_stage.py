"""How Knative brings a version into being, and takes it to zero. Pure.

                     enough ready               wanted: 0, for a stable window
    activating --------------------> active ------------------------------------> inactive
        ^  |                          ^  |                                        |  |
        |  | wanted: 0, for too long  |  | too few ready                wanted: 1 |  | for a grace
        |  v                          |  v                              or more   |  | period: to 0
        |  inactive                   activating <--------------------------------+  v

To zero goes only what was active for a stable window and then inactive for the grace period, with
the buffer (here the gateway, always) in the path of new requests; or what could not be activated.

Source: knative `pkg/reconciler/autoscaling/kpa/scaler.go` (`scale`, `handleScaleToZero`) and
`kpa.go` (`computeActiveCondition`).
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

ACTIVATION_TIMEOUT: Final = 610.0
"""Seconds after which what is not ready and gets no requests is given up: Knative's default
progress deadline and its 10 s more."""


class Stage(Struct, frozen=True, array_like=True):
    """Where a version is between zero and serving."""

    name: Literal["activating", "active", "inactive"]
    since: float
    """Monotonic seconds."""
    begun: bool = False
    """Whether its initial size was ready once."""


def sized(
    wanted: int,
    current: int,
    stage: Stage,
    now: float,
    *,
    stable_window: float,
    grace: float,
    initial: int = 1,
    least: int = 0,
) -> tuple[int | None, bool]:
    """The size that Knative answers, and whether it is put into effect.

    None: it is not known yet. What has not begun has at least its `initial` size if that is more
    than one; the first one is there from its creation.
    """
    if initial > 1 and not stage.begun and stage.name == "activating":
        least = max(least, initial)
    wanted = max(wanted, least)
    age = now - stage.since
    if wanted:
        return wanted, wanted != current
    match stage.name:
        case "activating" if age <= ACTIVATION_TIMEOUT:
            return None, False
        case "active" if age >= stable_window:
            return 0, False
        case "active":
            return 1, current != 1
        case "inactive" if age < grace:
            return 0, False
    return 0, current != 0


def entered(stage: Stage, answer: int | None, ready: int, initial: int, now: float) -> Stage:
    """The stage after `sized` gave `answer`, with so many ready replicas."""
    enough = max(1, initial) if not stage.begun else 1
    begun = stage.begun or ready >= enough
    asked = (answer is None or answer > 0) and (answer is not None or stage.name != "inactive")
    name: Literal["activating", "active", "inactive"] = stage.name
    if answer == 0:
        name = "inactive"
    elif asked:
        name = "active" if ready >= enough else "activating"
    return Stage(name, stage.since if name == stage.name else now, begun)
