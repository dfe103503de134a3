"""What a policy remembers between ticks."""

from __future__ import annotations

from typing import Final, Self

from msgspec import Struct

NEVER: Final = -1e12
"""A monotonic time before all others, which JSON can hold unlike minus infinity."""


class Memory(Struct, frozen=True, kw_only=True, tag_field="policy"):
    """Base of all memories: plain data that goes through JSON and survives a restart.

    A memory with times in it holds monotonic seconds, and overrides `moved`.
    """

    def unmade(self, before: Memory | None) -> Self:
        """The same memory when its decision was not carried out (a dry run).

        A memory that notes what its decisions have done overrides this; `before` is what the tick
        began with.
        """
        return self

    def moved(self, by: float) -> Self:
        """The same memory on a clock that is `by` seconds ahead."""
        return self
