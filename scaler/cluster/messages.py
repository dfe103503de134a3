"""What the members of a cluster tell each other through the store, as plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from fleet.telemetry.slab import VersionTotals
from scaler.members import Counts

Sizes = Mapping[str, Mapping[str, int]]
"""Replicas by pool and version."""

Stamp = tuple[int, int]
"""Token of a plan and its number under it: later plans have larger ones."""


class Offer(Struct, frozen=True):
    """A ready replica of which other members may use slots."""

    name: str
    host: str
    port: int
    slots: int


class VersionReport(Struct, frozen=True):
    """A version as one member has it."""

    totals: VersionTotals
    counts: Counts
    slots: int | None = None
    """Of a ready replica on the average; None: none is ready."""
    offers: tuple[Offer, ...] = ()

    @property
    def present(self) -> int:
        """Replicas that count against a size."""
        return self.counts.ready + self.counts.starting + self.counts.unhealthy

    @property
    def demand(self) -> int:
        """Requests in flight or queued."""
        return self.totals.in_flight + self.totals.queued_now


class Report(Struct, frozen=True):
    """What a member says of itself with each beat."""

    start: str
    """Unique to this start of the member."""
    beat: int
    pools: Mapping[str, Mapping[str, VersionReport]]
    """Versions whose replicas are processes, by pool."""
    followed: Stamp = (0, 0)
    """The latest plan whose shares and loans the counts show."""
    lends: bool = False
    """It shares its replicas, and uses those of others."""
    held: Mapping[str, int] = {}
    """Slots that it may be using of replicas whose slots are shared, by key."""


class Loan(Struct, frozen=True, kw_only=True):
    """A replica that several members may use."""

    pool: str
    version: str
    owner: str
    host: str
    port: int
    slots: int
    """All of them."""
    serving: bool
    """False: it is no longer ready; what is under way goes on."""
    shares: Mapping[str, int]
    """Slots by member, its owner included."""


class Plan(Struct, frozen=True, kw_only=True):
    """What the leader wants of every member."""

    token: int
    """The lease it was made under; under another it is history."""
    number: int
    """Grows under one token."""
    members: tuple[str, ...]
    shares: Mapping[str, Sizes]
    """By member."""
    room: Mapping[str, int]
    """Replicas that each member may add to a pool by itself while the store is away."""
    loans: Mapping[str, Loan] = {}
    """Replicas that somebody besides their owner may be using, by key."""
    heard: Mapping[str, tuple[str, int]] = {}
    """Start and beat of the report of each member that it was made from."""

    @property
    def stamp(self) -> Stamp:
        """Which plan it is."""
        return self.token, self.number


_encode: Final = msgspec.json.Encoder().encode
_report: Final = msgspec.json.Decoder(Report)
_plan: Final = msgspec.json.Decoder(Plan)


def encode(message: Report | Plan) -> bytes:
    """For the store."""
    return _encode(message)


def decode_report(data: bytes) -> Report | None:
    """From the store; None for what no member of this release wrote."""
    try:
        return _report.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def decode_plan(data: bytes | None) -> Plan | None:
    """From the store; None for what no member of this release wrote."""
    try:
        return _plan.decode(data or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
