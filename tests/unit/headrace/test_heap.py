from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from headrace.heap import settle


class Ring:
    """Only the collector can free it."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_is_alive_is_not_looked_at_again() -> None:
    ring = Ring()
    settle()
    assert gc.is_tracked(ring)
    assert not any(known is ring for known in gc.get_objects())


def test_garbage_of_a_former_generation_is_found() -> None:
    ring = Ring()
    settle()
    gone = weakref.ref(ring)
    del ring
    gc.collect()
    assert gone() is not None, "settled"
    settle()
    assert gone() is None
