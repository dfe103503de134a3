"""What budgets must fit: the pools that take from them."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.config.document import Finding
from fleet.config.messages import did_you_mean
from fleet.config.raw import Mapping, as_mapping, pools, versions


def budget_findings(data: Mapping) -> Iterator[Finding]:
    """Budgets that do not exist, and budgets that cannot pay for the `min` of their pools."""
    known = as_mapping(data.get("budgets"))
    least: dict[str, float] = {}
    for path, pool in pools(data):
        scale = as_mapping(pool.get("scale"))
        name = scale.get("budget")
        if not isinstance(name, str):
            continue
        if name not in known:
            hint = did_you_mean(name, known) or "; `budgets` is empty"
            yield Finding((*path, "scale", "budget"), f"there is no budget {name!r}{hint}")
            continue
        costs = [as_mapping(version).get("cost", 1.0) for _, version in versions(path, pool)]
        numbers = [cost for cost in costs if isinstance(cost, int | float)]
        each = min(numbers, default=1.0) if "cost" in as_mapping(known[name]) else 1.0
        minimum = scale.get("min", 1)
        if isinstance(minimum, int):
            least[name] = least.get(name, 0.0) + minimum * each
    for name, needed in least.items():
        settings = as_mapping(known[name])
        total = settings.get("replicas", settings.get("cost"))
        if isinstance(total, int | float) and total < needed:
            message = f"{total:g} is too low: the `min` of its pools takes {needed:g}"
            yield Finding(("budgets", name), message)
