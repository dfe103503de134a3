"""Formulae: what they are worth, and where they go wrong."""

from __future__ import annotations

import pytest

from fleet.config.formula import FormulaError, UnknownError, parse

NUMBERS = {"a": 2.0, "b": 7.0, "x": None}

VALUES = {
    "a + b": 9,
    "b - a - 1": 4,
    "a + b * 2": 16,
    "(a + b) * 2": 18,
    "b % 4 / a": 1.5,
    "-a ** 2": -4,
    "2 ^ 3 ^ 2": 512,
    "max(a, b / 2)": 3.5,
    "min([a, b, 1.5e0])": 1.5,
    "sum(a, b) + mean(a, b)": 13.5,
    "round(b / 2) + ceil(0.1) + floor(1.9) + abs(-1)": 7,
    "round(2.5) + round(-2.5) + round(b / 2 - 1)": 3,
    "round(0.49999999999999994)": 0,
    "median(a, b, 3) + median([a, b])": 7.5,
    "a > 5 ? a : b": 7,
    "1 ? 2 : 0 ? 3 : 4": 2,
    "a < b && b <= 7": 1,
    "not a or a == b": 0,
    "!(a != b) || x": None,
    "x ?? a": 2,
    "x ?? a + 1": 3,
    "a > 0 ? a : x": 2,
    "count([a, b, 1], {# > 1}) > 1 ? 5 : 0": 5,
    "count([a, b, 1], # > 1)": 2,
    "all([a, b], {# > 1}) + any([a, b], # > 6) + none([a, b], # > 6) + one([a, b], # > 6)": 3,
}


@pytest.mark.parametrize(("text", "value"), VALUES.items(), ids=VALUES.keys())
def test_value(text: str, value: float | None) -> None:
    if value is None:
        with pytest.raises(UnknownError, match="x has no value"):
            parse(text).value(NUMBERS)
    else:
        assert parse(text).value(NUMBERS) == value


def test_names_are_told_once_in_order() -> None:
    assert parse("max(b, a) + b + count([c], {# > a})").names == ("b", "a", "c")


WRONG = {
    "": "column 1: a number, a name or `(` should come",
    "a +": "column 4: a number, a name or `(` should come",
    "max(a,": "column 7: a number, a name or `(` should come",
    "a b": "column 3: an operator or the end should come",
    "a   $ b": "column 5: no such character in formulae",
    "(a": "column 3: `)` should come",
    "a ? b": "column 6: `:` should come",
    "# + a": "column 1: `#` stands in the predicate of all, any, count, none, one only",
    "abs(a, b)": "column 1: abs takes one number",
    "eval(a)": "column 1: there is no such function; known: abs, all, any, ceil, count",
    "(" * 60: "column 51: more than 50 parts within parts",
    "-" * 60 + "a": "column 51: more than 50 parts within parts",
    "a" * 1001: "column 1001: longer than 1000 characters",
    "a / (b - 7)": "column 3: division by zero",
    "a % 0": "column 3: division by zero",
    "(-8) ** 0.5": "has no value here",
    "9 ** 999": "has no value here",
    "a * 1e308 * 1e308": "the value is inf",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_wrong(text: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text).value(NUMBERS)
    assert message in str(caught.value)
