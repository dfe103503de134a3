"""Forms of cases: one that is not known fails, so that nothing goes unchecked in silence."""

from __future__ import annotations

from typing import Any


class UnknownFormError(Exception):
    """A case, or a part of one, that nothing here knows how to check."""


def checked(given: dict[str, Any], *known: str, **elsewhere: str) -> dict[str, Any]:
    """A case or what it expects, of which only `known` keys count; `elsewhere`: why others do not.

    Raises UnknownFormError for any other.
    """
    if unknown := given.keys() - set(known) - elsewhere.keys() - {"note", "why"}:
        raise UnknownFormError(f"has {sorted(unknown)}, which nothing here heeds or compares")
    return given
