"""What the schema finds wrong, in plain sentences."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fleet.config import patterns
from fleet.config.document import Document, Finding, Path
from fleet.config.expected import ExpectedError
from fleet.config.json_schema import known_keys
from fleet.config.shorthand import as_written

_KEY_MARK: Final = "[key]"
"""Pydantic ends the location of a wrong key with this."""

_TYPES: Final = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_type": "an integer",
    "model_type": "a mapping",
    "string_type": "a text",
    "tuple_type": "a list",
}
_LIMITS: Final = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "at most {le}",
    "string_too_short": "a text that is not empty",
}


def findings(error: ValidationError, document: Document) -> list[Finding]:
    """One finding an error of the schema, in words and without any expanded value."""
    errors = error.errors(include_url=False)
    return [_finding(details, document) for details in errors if not _follows(details, errors)]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` for the nearest of `known`, else what there is; for after a message."""
    choices = list(known)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; known: {', '.join(choices)}" if choices else ""


def plain(value: object) -> object:
    """A limit without the fraction that it does not have."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _follows(details: ErrorDetails, errors: Iterable[ErrorDetails]) -> bool:
    """Whether a list or mapping only counts as empty because its parts are wrong."""
    path = details["loc"]
    return details["type"] == "too_short" and any(
        other["loc"][: len(path)] == path and other is not details for other in errors
    )


def _finding(details: ErrorDetails, document: Document) -> Finding:
    whole: Path = details["loc"]
    path = as_written(whole, document)
    kind = details["type"]
    if path and path[-1] == _KEY_MARK:
        path = path[:-1]
        needed = patterns.IN_WORDS[details["ctx"]["pattern"]]
        return Finding(path, f"the key must be {needed}", document.key_position(path))
    if kind == "extra_forbidden":
        message = f"unknown key{did_you_mean(str(path[-1]), known_keys(whole[:-1]))}"
        return Finding(path, message, document.key_position(path))
    if kind == "missing":
        return Finding(path, "required, but missing")
    if kind == "too_short":
        return Finding(path, "must not be empty")
    path = document.nearest(path)
    expected = _expected(details)
    if expected is None:
        return Finding(path, str(details["ctx"]["error"]))
    return Finding(path, f"expected {expected}, found {_found(details['type'], path, document)}")


def _expected(details: ErrorDetails) -> str | None:
    """What was expected; None when the error is a sentence of its own."""
    kind, context = details["type"], details.get("ctx", {})
    match kind:
        case "value_error":
            error = context["error"]
            return error.expected if isinstance(error, ExpectedError) else None
        case "literal_error":
            return str(context["expected"])
        case "string_pattern_mismatch":
            return patterns.IN_WORDS[context["pattern"]]
        case _ if kind in _TYPES:
            return _TYPES[kind]
        case _ if kind in _LIMITS:
            return _LIMITS[kind].format(**{k: plain(v) for k, v in context.items()})
        case _:
            return f"another value ({details['msg']})"


def _found(kind: str, path: Path, document: Document) -> str:
    """The value, with help where YAML read it otherwise than it was meant."""
    entry, shown = document.entries[path], document.shown(path)
    if entry.kind == "null" and kind == "model_type":
        return f"{shown}; write {{}} for the defaults"
    if entry.kind in ("boolean", "integer", "number") and kind == "string_type":
        what = shown if document.private(path) else f"the {entry.kind} {shown}"
        return f"{what}; write it in quotes"
    if entry.kind == "text" and entry.quoted and kind in ("bool_type", "float_type", "int_type"):
        return f"the text {shown}; write it without quotes"
    return shown
