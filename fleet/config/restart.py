"""Which settings a running daemon cannot take up."""

from __future__ import annotations

from typing import Final

from fleet.config.schema import Config

RESTART_KEYS: Final = ("admin.listen", "cluster", "state_dir", "store", "workers")
"""Paths of the settings that take effect only at the next start."""


def changed_keys_needing_restart(old: Config, new: Config) -> tuple[str, ...]:
    """Those of RESTART_KEYS whose value differs."""
    return tuple(key for key in RESTART_KEYS if _value(old, key) != _value(new, key))


def _value(config: Config, path: str) -> object:
    value: object = config
    for key in path.split("."):
        value = getattr(value, key)
    return value
