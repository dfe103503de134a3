"""The same scenario again and again, with its messages cut in different places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.protocol.support import Rig

Scenario = Callable[[Rig], Any]


def _bytewise(side: str) -> Callable[[str, bytes], Sequence[bytes]]:
    def cut(label: str, data: bytes) -> Sequence[bytes]:
        return [data[i : i + 1] for i in range(len(data))] if side in (label, "both") else [data]

    return cut


def _cut_at(place: int) -> Callable[[str, bytes], Sequence[bytes]]:
    def cut(label: str, data: bytes) -> Sequence[bytes]:
        return [data[:place], data[place:]] if 0 < place < len(data) else [data]

    return cut


def play(scenario: Scenario) -> None:
    """Run `scenario` whole, byte by byte on either side and both, and with every message cut in
    two at each place. What it returns must be the same each time.
    """
    longest = 0

    def whole(label: str, data: bytes) -> Sequence[bytes]:
        nonlocal longest
        longest = max(longest, len(data))
        return [data]

    def run(cut: Callable[[str, bytes], Sequence[bytes]]) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            rig = Rig(patch, cut)
            result = scenario(rig)
            rig.end()
        return result

    expected = run(whole)
    for side in ("client", "replica", "both"):
        assert run(_bytewise(side)) == expected, f"differs with the bytes of {side} one by one"
    for place in range(1, min(longest, 400)):
        assert run(_cut_at(place)) == expected, f"differs when cut after {place} bytes"
