"""Waiting for what has no event of its own, with a deadline."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable

DEADLINE = 10.0
_STEP = 0.005


async def wait_until(condition: Callable[[], object], what: str, timeout: float = DEADLINE) -> None:
    """Return once `condition` (plain or async) is true; AssertionError after `timeout` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return
        if loop.time() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what} (last: {value!r})")
        await asyncio.sleep(_STEP)
