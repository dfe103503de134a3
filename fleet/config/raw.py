"""Walking raw data that may not be of the right shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from fleet.config.document import Data, Path
from fleet.config.schema import Version

Mapping: TypeAlias = dict[str, Data]


def as_mapping(data: Data) -> Mapping:
    """`data`, or an empty mapping when it is none."""
    return data if isinstance(data, dict) else {}


def as_list(data: Data) -> list[Data]:
    """`data`, or an empty list when it is none."""
    return data if isinstance(data, list) else []


def items(path: Path, data: Data) -> Iterator[tuple[Path, Data]]:
    """The items of the list at `path`, each with its own path."""
    for index, item in enumerate(as_list(data)):
        yield (*path, index), item


def pools(data: Mapping) -> Iterator[tuple[Path, Mapping]]:
    """The pools that are mappings."""
    for name, pool in as_mapping(data.get("pools")).items():
        if isinstance(pool, dict):
            yield ("pools", name), pool


def versions(path: Path, pool: Mapping) -> Iterator[tuple[Path, Mapping]]:
    """The versions of the pool at `path` that are mappings; `v1` when it names none."""
    for name, version in as_mapping(pool.get("versions", {"v1": {}})).items():
        if isinstance(version, dict):
            yield (*path, "versions", name), version


def weight(version: Mapping) -> int:
    """The weight of a version; 0 for one that is no integer."""
    value = version.get("weight", Version.model_fields["weight"].default)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
