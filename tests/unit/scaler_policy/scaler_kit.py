"""What the scaler tests share: observations in few words, a gateway and journal to look into."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from fleet.config.schema import Config, Scale
from fleet.model import Decision, Event, Observation, Reading, Replica
from fleet.telemetry.histogram import BOUNDS, BUCKETS
from fleet.telemetry.slab import VersionTotals
from scaler.members import Counts


def total(value: float | None, target: float = 10.0, **more: Any) -> Reading:
    return Reading(signal=more.pop("signal", "queue"), value=value, target=target, **more)


def ratio(value: float | None, target: float = 1.0, **more: Any) -> Reading:
    return Reading(signal="wait", value=value, target=target, ratio=True, **more)


def seen(*readings: Reading, desired: int, **more: Any) -> Observation:
    """Of version v1; all its replicas are ready unless said otherwise."""
    now = more.pop("now", 0.0)
    settings: dict[str, Any] = {
        "pool": "support",
        "version": "v1",
        "at": now,
        "monotonic": now,
        "weight": 100,
        "desired": desired,
        "ready": desired,
        "starting": 0,
        "in_flight": 0,
        "queued": 0,
        "slots": 4,
        "readings": readings,
    }
    return Observation(**{**settings, **more})


def scale(**settings: Any) -> Scale:
    return Scale.model_validate({"max": 100, "policy": "target", **settings})


def histogram(samples: Mapping[float, int]) -> tuple[int, ...]:
    """Counts of samples by the upper bound of their bucket, in seconds."""
    counts = [0] * BUCKETS
    for bound, number in samples.items():
        counts[BOUNDS.index(bound)] = number
    return tuple(counts)


def totals(
    in_flight: int = 0,
    queued: int = 0,
    wait: Sequence[int] = (0,) * BUCKETS,
    first_byte: Sequence[int] = (0,) * BUCKETS,
) -> VersionTotals:
    return VersionTotals(
        in_flight=in_flight,
        queued_now=queued,
        wait=tuple(wait),
        first_byte=tuple(first_byte),
    )


class FakeGateway:
    """A data plane whose load is set by hand."""

    def __init__(self) -> None:
        self.packed: dict[str, frozenset[str]] = {}
        self.load: defaultdict[tuple[str, str], VersionTotals] = defaultdict(totals)

    def slots_per_replica(self, pool: str, version: str) -> int | None:
        return None

    def totals(self, pool: str, version: str) -> VersionTotals:
        return self.load[pool, version]

    def publish(self, pool: str, replicas: Sequence[Replica]) -> None:
        raise NotImplementedError

    async def drained(self, replica: str) -> None:
        raise NotImplementedError

    def in_flight(self, replica: Replica) -> int:
        raise NotImplementedError

    def allocate_cell(self) -> int:
        raise NotImplementedError

    def pack(self, pool: str, versions: frozenset[str]) -> None:
        self.packed[pool] = versions

    def free_cell(self, cell: int) -> None:
        raise NotImplementedError


class Journal:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.events: list[Event] = []

    def decision(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def reasons(self) -> list[str]:
        return [decision.reason for decision in self.decisions]


class Fleet:
    """Replicas that are ready as soon as they are wanted."""

    def __init__(self) -> None:
        self.sizes: dict[tuple[str, str], int] = {}
        self.applied: list[tuple[str, dict[str, int]]] = []

    def apply(self, pool: str, desired: Mapping[str, int]) -> None:
        self.applied.append((pool, dict(desired)))
        for version, number in desired.items():
            self.sizes[pool, version] = number

    def counts(self, pool: str, version: str) -> Counts:
        return Counts(ready=self.sizes.get((pool, version), 0))


def config(pools: Mapping[str, Any], **more: Any) -> Config:
    """Pools of process replicas under `target`; `versions` maps names to weights."""
    made = {}
    for name, settings in pools.items():
        settings = dict(settings)
        versions = settings.pop("versions", {"v1": 100})
        settings["scale"] = {"policy": "target", **settings.get("scale", {})}
        made[name] = {
            "driver": {"process": {"command": ["agent"]}},
            "concurrency": 10,
            "versions": {
                version: {"weight": weight} if isinstance(weight, int) else weight
                for version, weight in versions.items()
            },
            **settings,
        }
    return Config.model_validate({"pools": made, **more})
