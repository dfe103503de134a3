"""What of a pool's configuration a simulation leaves out or takes otherwise, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.config.merge import AUTO_SLOTS, effective_static, is_adaptive
from fleet.config.schema import Pool, Signal


def left_out(pool: Pool) -> tuple[str, ...]:
    """A phrase for each setting of `pool` that does not do here what it does in the daemon.

    What no simulation has for any pool (failures, affinity, classes of requests) is not named.
    """
    return tuple(_found(pool))


def _found(pool: Pool) -> Iterator[str]:
    kinds = sorted({kind for signal in pool.scale.signals for kind in _outside(signal)})
    if kinds:
        yield f"signals ({', '.join(kinds)}): the pool is scaled on its requests alone"
    for version in pool.versions:
        if (static := effective_static(pool, version)) is not None:
            count = len(static.endpoints)
            yield f"version {version}: static endpoints ({count}) stay as they are"
        elif is_adaptive(pool, version):
            yield f"version {version}: `concurrency: auto` is {AUTO_SLOTS} slots"
    scale = pool.scale
    if scale.budget is not None:
        yield f"budget {scale.budget}: the pool takes what it wants"
    if scale.dry_run:
        yield "dry_run: what is decided is carried out"
    if scale.pack != "never":
        yield "pack: requests are spread"


def _outside(signal: Signal) -> Iterator[str]:
    for kind in ("formula", "load", "prometheus", "redis"):
        if getattr(signal, kind) is not None:
            yield kind
    if signal.router is not None and signal.router.latency is not None:
        yield "router.latency"
