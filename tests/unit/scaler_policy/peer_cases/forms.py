"""Forms of cases: one that is not known fails, so that nothing goes unchecked in silence."""

from __future__ import annotations

from typing import Any


class UnknownFormError(Exception):
    """A case, or a part of one, that nothing here knows how to check."""


def checked(expect: dict[str, Any], *known: str, **elsewhere: str) -> dict[str, Any]:
    """`expect`, of which only `known` keys are checked; those of `elsewhere` have a reason not to.

    Raises UnknownFormError for any other.
    """
    if unknown := expect.keys() - set(known) - elsewhere.keys() - {"note", "why"}:
        raise UnknownFormError(f"expects {sorted(unknown)}, which nothing here compares")
    return expect
