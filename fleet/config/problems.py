"""What is wrong with a configuration, each with its place in the file."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from fleet.errors import HeadraceError


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong. Its `str` is `file:line:column: path: message`."""

    file: str
    line: int = 0
    """From 1; 0: the file as a whole."""
    column: int = 0
    """From 1."""
    path: str = ""
    """Such as `pools.support.versions.v2.weight` or `routes[0].pool`; empty for the top."""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ConfigError(HeadraceError):
    """A configuration that cannot be used, with all its problems in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=_place))
        super().__init__("\n".join(map(str, self.problems)))


def _place(problem: Problem) -> tuple[int, int, str, str]:
    return problem.line, problem.column, problem.path, problem.message
