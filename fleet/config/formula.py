"""Arithmetic over named numbers, as people write it: `max(jobs, requests / 2)`.

The grammar is the arithmetic part of the expressions that KEDA's `scalingModifiers.formula` takes
(expr-lang.org), so that a formula from there reads the same here. By rising precedence:

| operator | |
|---|---|
| `a ? b : c` | one of two; the other is not evaluated |
| `||` `or`, `&&` `and` | 1 or 0; the right side is evaluated only if it decides |
| `==` `!=` `<` `<=` `>` `>=` | 1 or 0 |
| `!` `not` | 1 for 0, else 0 |
| `+` `-`, then `*` `/` `%` | |
| `-a`, then `a ** b` or `a ^ b` | |
| `a ?? b` | b, where a is not known |

There is one type, the number; 0 is false. Functions take numbers or one list `[a, b]`. It is
parsed by precedence climbing (Richards 1979, Pratt 1973) and evaluated over the tree.
"""

from __future__ import annotations

import math
import operator
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

from msgspec import Struct
from pydantic import AfterValidator

from fleet.config.expected import ExpectedError

LONGEST: Final = 1000
"""Characters of a formula."""
DEEPEST: Final = 50
"""Parts within parts."""


class FormulaError(ValueError):
    """A formula that cannot be read, or has no value; `column` counts from 1."""

    def __init__(self, what: str, column: int) -> None:
        super().__init__(f"column {column}: {what}")
        self.column = column


class UnknownError(FormulaError):
    """A name without a value is needed."""

    def __init__(self, name: str, column: int) -> None:
        super().__init__(f"{name} has no value", column)
        self.name = name


class Number(Struct, frozen=True):
    """A constant."""

    value: float


class Name(Struct, frozen=True):
    """A named number; `#` is the element that a predicate looks at."""

    name: str
    column: int


class Operation(Struct, frozen=True):
    """An operator or a function, and what it works on."""

    symbol: str
    parts: tuple[Node, ...]
    column: int


Node: TypeAlias = Number | Name | Operation


class Formula(Struct, frozen=True):
    """A formula that was read."""

    root: Node
    names: tuple[str, ...]
    """The names it uses, each once, in order."""

    def value(self, numbers: Mapping[str, float | None]) -> float:
        """The value; None among `numbers`: not known.

        Raises FormulaError when it is no finite number, and its UnknownError when a number that
        it needs is not known.
        """
        value = _value(self.root, numbers)
        if not math.isfinite(value):
            raise FormulaError(f"the value is {value}", 1)
        return value


@lru_cache
def parse(text: str) -> Formula:
    """The formula in `text`. Raises FormulaError with the column where it goes wrong."""
    if len(text) > LONGEST:
        raise FormulaError(f"longer than {LONGEST} characters", LONGEST + 1)
    reader = _Reader(text)
    root = reader.expression(0)
    if reader.symbol:
        raise FormulaError("an operator or the end should come", reader.column)
    return Formula(root, tuple(dict.fromkeys(reader.names)))


def _mean(*values: float) -> float:
    return sum(values) / len(values)


def _rounded(value: float) -> float:
    """Halves away from zero, as expr-lang has it, not to the even number."""
    whole = math.trunc(value)
    return whole + math.copysign(1.0, value) if abs(value - whole) >= 0.5 else whole


FUNCTIONS: Final[Mapping[str, Callable[..., float]]] = MappingProxyType(
    {
        "abs": abs,
        "ceil": math.ceil,
        "float": float,
        "floor": math.floor,
        "int": math.trunc,
        "max": lambda *values: max(values),
        "mean": _mean,
        "median": lambda *values: statistics.median(values),
        "min": lambda *values: min(values),
        "round": _rounded,
        "sum": lambda *values: math.fsum(values),
    }
)
"""By name."""
PREDICATES: Final[Mapping[str, Callable[[Sequence[bool]], float]]] = MappingProxyType(
    {
        "all": all,
        "any": any,
        "count": sum,
        "none": lambda fits: not any(fits),
        "one": lambda fits: sum(fits) == 1,
    }
)
"""By name, of a form of their own: `count([a, b], {# > 1})`, how many of a list fit."""
_ONE_ARGUMENT: Final = ("abs", "ceil", "float", "floor", "int", "round")
WORDS: Final = {"and": "&&", "or": "||", "not": "!"}
"""Operators that are words, which no signal can be called."""

_BINARY: Final[Mapping[str, Callable[[float, float], float]]] = {
    "!=": operator.ne,
    "%": math.fmod,
    "*": operator.mul,
    "**": math.pow,
    "+": operator.add,
    "-": operator.sub,
    "/": operator.truediv,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
}
_BINDING: Final = {
    "?": 1,
    "||": 10,
    "&&": 15,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), 20),
    **dict.fromkeys("+-", 30),
    **dict.fromkeys("*/%", 60),
    "**": 100,
    "??": 500,
}
_PREFIX: Final = {"!": 50, "-": 90, "+": 90}
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*|\#)"
    r"|(?P<symbol>\?\?|\*\*|\|\||&&|[!<>=]=|[-+*/%^<>!?:(),\[\]{}])|(?P<end>$))",
    re.ASCII,
)


class _Reader:
    """One pass over a text; `symbol` is the next token, empty at the end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._elements = 0
        self.names: list[str] = []
        self._next()

    def expression(self, least: int) -> Node:
        """As far as operators that bind at least as tightly as `least` go."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise FormulaError(f"more than {DEEPEST} parts within parts", self.column)
        left = self._operand()
        while (binding := _BINDING.get(self.symbol, -1)) >= least and self._kind == "symbol":
            column, symbol = self.column, self._take()
            if symbol == "?":
                chosen = self.expression(0)
                self._expect(":")
                left = Operation("?", (left, chosen, self.expression(binding)), column)
            else:
                right = self.expression(binding if symbol == "**" else binding + 1)
                left = Operation(symbol, (left, right), column)
        self._depth -= 1
        return left

    def _operand(self) -> Node:
        kind, column, token = self._kind, self.column, self.symbol
        if kind == "number":
            return Number(float(self._take()))
        if kind == "name":
            self._take()
            if self.symbol == "(":
                return self._call(token, column)
            if token == "#" and not self._elements:
                known = ", ".join(PREDICATES)
                raise FormulaError(f"`#` stands in the predicate of {known} only", column)
            if token != "#":
                self.names.append(token)
            return Name(token, column)
        if token in _PREFIX:
            self._take()
            return Operation(token, (self.expression(_PREFIX[token]),), column)
        self._expect("(", "a number, a name or `(`")
        inner = self.expression(0)
        self._expect(")")
        return inner

    def _call(self, name: str, column: int) -> Node:
        if name not in FUNCTIONS and name not in PREDICATES:
            known = ", ".join(sorted([*FUNCTIONS, *PREDICATES]))
            raise FormulaError(f"there is no such function; known: {known}", column)
        self._expect("(")
        if self.symbol == "[" or name in PREDICATES:
            self._expect("[")
            parts = self._list("]")
        else:
            parts = self._list("")
        if name in PREDICATES:
            self._expect(",")
            parts.insert(0, self._predicate())
        self._expect(")")
        if name in _ONE_ARGUMENT and len(parts) != 1:
            raise FormulaError(f"{name} takes one number", column)
        return Operation(name, tuple(parts), column)

    def _predicate(self) -> Node:
        braced = self.symbol == "{"
        if braced:
            self._take()
        self._elements += 1
        predicate = self.expression(0)
        self._elements -= 1
        if braced:
            self._expect("}")
        return predicate

    def _list(self, end: str) -> list[Node]:
        parts = [self.expression(0)]
        while self.symbol == ",":
            self._take()
            parts.append(self.expression(0))
        if end:
            self._expect(end)
        return parts

    def _expect(self, symbol: str, words: str = "") -> None:
        if self.symbol != symbol or self._kind != "symbol":
            raise FormulaError(f"{words or f'`{symbol}`'} should come", self.column)
        self._take()

    def _take(self) -> str:
        taken = self.symbol
        self._next()
        return taken

    def _next(self) -> None:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            blank = len(self._text) - len(self._text[self._at :].lstrip())
            raise FormulaError("no such character in formulae", blank + 1)
        self._at = match.end()
        self._kind = match.lastgroup or ""
        self.symbol = match[self._kind]
        self.column = match.start(self._kind) + 1
        if self.symbol in WORDS or self.symbol == "^":
            self._kind, self.symbol = "symbol", WORDS.get(self.symbol, "**")


def _value(node: Node, numbers: Mapping[str, float | None]) -> float:
    match node:
        case Number(value):
            return value
        case Name(name, column):
            known = numbers.get(name)
            if known is None:
                raise UnknownError(name, column)
            return known
        case Operation(symbol, parts, column):
            try:
                return float(_operated(symbol, parts, numbers))
            except ZeroDivisionError:
                raise FormulaError("division by zero", column) from None
            except FormulaError:
                raise
            except (OverflowError, ValueError):
                raise FormulaError(f"`{symbol}` has no value here", column) from None


def _operated(symbol: str, parts: tuple[Node, ...], numbers: Mapping[str, float | None]) -> float:
    first = parts[0]
    match symbol:
        case "?":
            return _value(parts[1] if _value(first, numbers) else parts[2], numbers)
        case "??":
            try:
                return _value(first, numbers)
            except UnknownError:
                return _value(parts[1], numbers)
        case "&&":
            return bool(_value(first, numbers)) and bool(_value(parts[1], numbers))
        case "||":
            return bool(_value(first, numbers)) or bool(_value(parts[1], numbers))
        case "!":
            return not _value(first, numbers)
        case _ if symbol in PREDICATES:
            elements = [_value(part, numbers) for part in parts[1:]]
            fits = [bool(_value(first, {**numbers, "#": one})) for one in elements]
            return PREDICATES[symbol](fits)
        case _:
            values = [_value(part, numbers) for part in parts]
            if symbol in FUNCTIONS:
                return FUNCTIONS[symbol](*values)
            if len(values) == 1:
                return -values[0] if symbol == "-" else values[0]
            if symbol == "%" and not values[1]:
                raise ZeroDivisionError
            return _BINARY[symbol](*values)


def _checked(text: str) -> str:
    try:
        formula = parse(text)
    except FormulaError as error:
        raise ExpectedError(f"a formula ({error})", text) from None
    if not formula.names:
        raise ExpectedError("a formula that names a signal", text)
    return text


FormulaText = Annotated[str, AfterValidator(_checked)]
