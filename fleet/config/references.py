"""What no single setting shows: that names lead somewhere and that parts fit each other.

All checks take the raw data, in whatever state it is, so that their findings come together with
the schema's. A part that is not of the right shape is the schema's to report and is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fleet.config.addresses import (
    check_listen_address,
    is_loopback,
    overlap,
    split_address,
    unix_path,
)
from fleet.config.budget_rules import budget_findings
from fleet.config.document import Data, Document, Finding, Path, show_path
from fleet.config.drivers import driver_findings
from fleet.config.json_schema import models_at
from fleet.config.messages import did_you_mean
from fleet.config.raw import Mapping, as_list, as_mapping, items, pools, versions, weight
from fleet.config.rules import RULES
from fleet.config.schema import Admin, Config, Scale
from fleet.config.shorthand import as_written
from fleet.config.signal_references import signal_findings

_DEFAULT_ADDRESSES: Final[dict[Path, str]] = {
    ("listen", 0): Config.model_fields["listen"].default[0].address,
    ("admin", "listen"): Admin.model_fields["listen"].default,
}
_DEFAULT_MAX: Final = Scale.model_fields["max"].default


def findings(data: Data, document: Document) -> Iterator[Finding]:
    """All that does not fit; `data` has its strings expanded, `document` shows them as written."""
    if isinstance(data, dict):
        yield from _routes(data, document)
        yield from _listeners(data, document)
        yield from _admin_token(data, document)
        yield from _cluster(data)
        yield from _replica_names(data)
        yield from signal_findings(data)
        yield from _sizes(data)
        yield from _classes(data)
        yield from budget_findings(data)
        yield from driver_findings(data, document)
        yield from _rules(data)


def _routes(data: Mapping, document: Document) -> Iterator[Finding]:
    known = data.get("pools", {})
    if not isinstance(known, dict):
        return
    for path, route in items(("routes",), data.get("routes")):
        pool = as_mapping(route).get("pool")
        if isinstance(pool, str) and pool not in known:
            hint = did_you_mean(pool, known) or "; `pools` is empty"
            shown = document.shown((*path, "pool"))
            yield Finding((*path, "pool"), f"there is no pool {shown}{hint}")
        priority = as_mapping(route).get("priority")
        if isinstance(priority, str) and isinstance(pool, str):
            queue = as_mapping(as_mapping(known.get(pool)).get("queue"))
            yield from _class((*path, "priority"), priority, queue)


def _classes(data: Mapping) -> Iterator[Finding]:
    """Classes are named once, and what names one names one that is there."""
    for path, pool in pools(data):
        queue = as_mapping(pool.get("queue"))
        names = [name for name in as_list(queue.get("classes")) if isinstance(name, str)]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield Finding((*path, "queue", "classes", index), f"{name!r} is there already")
        priority = as_mapping(queue.get("priority"))
        below = (*path, "queue", "priority")
        if isinstance(default := priority.get("default"), str):
            yield from _class((*below, "default"), default, queue)
        for value, named in as_mapping(priority.get("values")).items():
            if isinstance(named, str):
                yield from _class((*below, "values", value), named, queue)


def _class(path: Path, name: str, queue: Mapping) -> Iterator[Finding]:
    names = [known for known in as_list(queue.get("classes")) if isinstance(known, str)]
    if name not in names:
        hint = did_you_mean(name, names) or ("" if names else "; `queue.classes` is empty")
        yield Finding(path, f"the pool has no class {name!r}{hint}")


def _addresses(data: Mapping) -> Iterator[tuple[Path, str]]:
    """Every address listened on that can be read, those by default included."""
    found: dict[Path, Data] = {("admin", "listen"): _admin_listen(data)}
    if "listen" not in data:
        found = {("listen", 0): _DEFAULT_ADDRESSES["listen", 0], **found}
    listeners = {
        path: as_mapping(item).get("address")
        for path, item in items(("listen",), data.get("listen"))
    }
    for path, address in {**listeners, **found}.items():
        if isinstance(address, str) and _readable(address):
            yield path, address


def _admin_listen(data: Mapping) -> Data:
    default = _DEFAULT_ADDRESSES["admin", "listen"]
    return as_mapping(data.get("admin")).get("listen", default)


def _readable(address: str) -> bool:
    try:
        check_listen_address(address)
    except ValueError:
        return False
    return True


def _listeners(data: Mapping, document: Document) -> Iterator[Finding]:
    before: list[tuple[Path, str]] = []
    for path, address in _addresses(data):
        first = next((p for p, other in before if overlap(address, other)), None)
        if first is not None:
            shown = _shown_address(path, document)
            taken = f"{show_path(first)} ({_shown_address(first, document)})"
            yield Finding(path, f"cannot listen on {shown} besides {taken}")
        before.append((path, address))


def _shown_address(path: Path, document: Document) -> str:
    for at in (as_written((*path, "address"), document), path):
        entry = document.entries.get(at)
        if entry is not None and entry.kind == "text":
            return document.shown(at)
    return f"{_DEFAULT_ADDRESSES[path]!r} (the default)"


def _admin_token(data: Mapping, document: Document) -> Iterator[Finding]:
    admin = as_mapping(data.get("admin"))
    token = admin.get("token")
    if token == "":
        yield Finding(("admin", "token"), "must not be empty")
    listen = _admin_listen(data)
    if (
        token is not None
        or not isinstance(listen, str)
        or not _readable(listen)
        or unix_path(listen)
    ):
        return
    if not is_loopback(split_address(listen)[0]):
        shown = _shown_address(("admin", "listen"), document)
        message = f"{shown} is open to other machines; give `admin.token` too, or use 127.0.0.1"
        yield Finding(("admin", "listen"), message)


def _cluster(data: Mapping) -> Iterator[Finding]:
    if data.get("cluster") is not None and data.get("store", "embedded") == "embedded":
        message = "needs a store that all its members reach; give `store`, e.g. redis://10.0.0.5"
        yield Finding(("cluster",), message)


def _replica_names(data: Mapping) -> Iterator[Finding]:
    """Replicas are named `pool-version-number`, and a name must lead back to one version."""
    seen: dict[str, Path] = {}
    for path, pool in pools(data):
        for below, _ in versions(path, pool):
            name = f"{path[-1]}-{below[-1]}"
            first = seen.setdefault(name, below)
            if first != below:
                message = f"replicas would be named {name}-1 and so on, as those of "
                yield Finding(below, f"{message}{show_path(first)}; rename one")


def _sizes(data: Mapping) -> Iterator[Finding]:
    """A version with weight needs a replica, or its share of the requests waits in vain.

    `max: 0` is let pass: it switches the pool off.
    """
    for path, pool in pools(data):
        most = as_mapping(pool.get("scale")).get("max", _DEFAULT_MAX)
        weighted = sum(
            weight(version) > 0 and _has_processes(pool, version)
            for _, version in versions(path, pool)
        )
        if isinstance(most, int) and 0 < most < weighted:
            message = f"{most} is too low: {weighted} versions have a weight above 0, and each "
            yield Finding((*path, "scale", "max"), f"{message}needs a replica")


def _rules(data: Data, path: Path = ()) -> Iterator[Finding]:
    if isinstance(data, dict):
        for model in models_at(path):
            if model in RULES and (wrong := RULES[model](data)) is not None:
                yield Finding(path, wrong)
        for key, value in data.items():
            yield from _rules(value, (*path, key))
    for below, item in items(path, data):
        yield from _rules(item, below)


def _has_processes(pool: Mapping, version: Mapping) -> bool:
    driver = version.get("driver")
    return "process" in as_mapping(pool.get("driver") if driver is None else driver)
