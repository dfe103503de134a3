"""The one error of a value that is not what was expected."""

from __future__ import annotations


class ExpectedError(ValueError):
    """What was found is not what was expected.

    `expected` stands apart, so that the loader can put what the file says beside it instead of
    the value, which may hold a secret.
    """

    def __init__(self, expected: str, found: object) -> None:
        super().__init__(f"expected {expected}, found {found!r}")
        self.expected = expected
