"""What replicas answer when they are asked for their load."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.config.load import load_text
from scaler.loads import LoadSettings, load_in, settings_of

ANSWERS: dict[str, tuple[bytes | None, float | None]] = {
    "a number": (b'{"load": 7}', 7.0),
    "a fraction and other keys": (b'{"queue": [1], "load": 0.5}', 0.5),
    "no answer": (None, None),
    "nothing": (b"", None),
    "no JSON": (b"7 requests", None),
    "another key": (b'{"loads": 7}', None),
    "a text": (b'{"load": "7"}', None),
    "below zero": (b'{"load": -1}', None),
    "beyond all numbers": (b'{"load": 1e999}', None),
    "a number beyond all loads": (b'{"load": 1e308}', None),
    "too deep": (b'{"any":' * 9000, None),
    "no text": (b'{"load": "\xff"}', None),
    "cut off": (b'{"load": 7', None),
}


@pytest.mark.parametrize(("body", "load"), ANSWERS.values(), ids=ANSWERS)
def test_load_in(body: bytes | None, load: float | None) -> None:
    assert load_in(body) == load


def test_only_pools_with_a_path_are_asked() -> None:
    config = load_text(
        """
pools:
  asked:
    driver: {static: {endpoints: ["http://10.0.0.5:8000"]}}
    balance: {load: {path: /load, interval: 2s, per_request: 2000}}
  by_header:
    driver: {static: {endpoints: ["http://10.0.0.6:8000"]}}
    balance: {load: {}}
  silent:
    driver: {static: {endpoints: ["http://10.0.0.7:8000"]}}
""",
        Path("headrace.yaml"),
    )
    wanted = LoadSettings(path="/load", interval=2.0, per_request=2000.0)
    assert settings_of(config) == {"asked": wanted}
