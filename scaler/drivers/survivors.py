"""Which processes of a former daemon are kept and which are ended: decided here, purely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from scaler.drivers.procfs import Family, Process
from scaler.drivers.state_files import Record


class Condemned(Struct, frozen=True, kw_only=True):
    """A family of processes to end, and why."""

    family: Family
    reason: str


class Survivors(Struct, frozen=True, kw_only=True):
    """What is left of a former daemon."""

    adopt: tuple[Record, ...]
    reap: tuple[Condemned, ...]


def sort_survivors(
    records: Sequence[Record],
    processes: Sequence[Process],
    *,
    specs: Mapping[tuple[str, str], str],
    boot: str,
) -> Survivors:
    """Adopt a replica whose leader lives and whose spec is still that of its version.

    `specs` maps pool and version to the digest in force; `processes` carry marks only when they
    are of this state directory. Marked processes without an adoptable record are ended, so a
    crash between a start and its record leaks nothing.
    """
    alive = {(p.pid, p.started) for p in processes if not p.zombie}
    adopt: list[Record] = []
    reap: dict[str, Condemned] = {}
    for record in records:
        leads = record.boot == boot and (record.pid, record.started) in alive
        if not leads:
            continue
        spec = specs.get((record.pool, record.version))
        if spec == record.spec:
            adopt.append(record)
        else:
            reap[record.name] = Condemned(
                family=Family(name=record.name, pid=record.pid),
                reason="its version is gone" if spec is None else "its settings changed",
            )
    known = {record.name for record in adopt} | reap.keys()
    for name in sorted({p.replica for p in processes if p.replica and not p.zombie} - known):
        reap[name] = Condemned(
            family=Family(name=name, pid=None), reason="left behind without a leader on record"
        )
    return Survivors(adopt=tuple(adopt), reap=tuple(reap.values()))
