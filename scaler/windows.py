"""Sizes over time: what was wanted and what was changed, and what of it still counts. Pure."""

from __future__ import annotations

from msgspec import Struct


class Wish(Struct, frozen=True, array_like=True):
    """A size that was wanted once."""

    at: float
    """Monotonic seconds."""
    replicas: int


class Change(Struct, frozen=True, array_like=True):
    """A change of size that was made; always counted up from 0."""

    at: float
    """Monotonic seconds."""
    replicas: int


def remembered(wishes: tuple[Wish, ...], wish: Wish, window: float) -> tuple[Wish, ...]:
    """`wishes` with one more, without those that no longer count: old, or outdone by a later one.

    The first is the largest within `window` seconds: the sliding window maximum by a falling
    queue, a few entries whatever the window.
    """
    kept = (w for w in wishes if w.at > wish.at - window and w.replicas > wish.replicas)
    return (*kept, wish)


def recorded(changes: tuple[Change, ...], change: Change, period: float) -> tuple[Change, ...]:
    """`changes` with one more, without those older than `period` seconds."""
    return (*(c for c in changes if change.at - c.at < period), change)


def changed_within(changes: tuple[Change, ...], period: float, now: float) -> int:
    """Replicas changed in the last `period` seconds."""
    return sum(change.replicas for change in changes if now - change.at < period)


def begun_with(
    present: int, ups: tuple[Change, ...], downs: tuple[Change, ...], period: float, now: float
) -> int:
    """The size `period` seconds ago. Source: kubernetes/kubernetes#109058."""
    return present - changed_within(ups, period, now) + changed_within(downs, period, now)


def wishes_moved(wishes: tuple[Wish, ...], by: float) -> tuple[Wish, ...]:
    """The same wishes on a clock that is `by` seconds ahead."""
    return tuple(Wish(wish.at + by, wish.replicas) for wish in wishes)


def changes_moved(changes: tuple[Change, ...], by: float) -> tuple[Change, ...]:
    """The same changes on a clock that is `by` seconds ahead."""
    return tuple(Change(change.at + by, change.replicas) for change in changes)
