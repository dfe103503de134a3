"""A wish for how long requests wait, as people write it: `p95 wait 500ms`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Final

from msgspec import Struct
from pydantic import AfterValidator, WithJsonSchema

from fleet.config import patterns
from fleet.config.expected import ExpectedError
from fleet.config.units import parse_positive_duration

_FORM: Final = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?) wait (\S+)", re.ASCII)


class Objective(Struct, frozen=True):
    """`share` of the requests wait at most `wait` seconds for a slot."""

    share: float
    """Above 0 and below 1."""
    wait: float
    """Seconds."""
    text: str
    """As it was written."""


@lru_cache
def parse_objective(text: str) -> Objective:
    """The objective in `text`: `pNN wait DURATION`, NN above 0 and below 100.

    Raises ExpectedError, a ValueError, for anything else.
    """
    match = _FORM.fullmatch(text)
    if match is None or not 0 < float(match[1]) < 100:
        raise ExpectedError(patterns.IN_WORDS[patterns.OBJECTIVE], text)
    return Objective(float(match[1]) / 100, parse_positive_duration(match[2]), text)


def _checked(text: str) -> str:
    parse_objective(text)
    return text


ObjectiveText = Annotated[
    str,
    AfterValidator(_checked),
    WithJsonSchema({"type": "string", "pattern": patterns.OBJECTIVE}),
]
