"""Whose the keys in the store are, and what to do when two daemons want the same."""

from __future__ import annotations

import socket
from pathlib import Path

from fleet.config.schema import Cluster
from fleet.errors import HeadraceError
from fleet.store.claim import Claim, this_daemon
from fleet.store.client import KEYS
from fleet.store.cluster import cluster_keys
from headrace.cluster import member_name


def keys(cluster: Cluster | None) -> str:
    """What every key of this daemon begins with."""
    return KEYS if cluster is None else cluster_keys(cluster.name)


def claim(cluster: Cluster | None, state_dir: Path) -> Claim:
    """This daemon's claim on them: on all, or as one member's. `state_dir` must be held.

    HeadraceError when the state directory cannot be used.
    """
    try:
        owner = this_daemon(state_dir, socket.gethostname())
    except OSError as error:
        raise HeadraceError(f"state directory {state_dir}: {error}") from error
    if cluster is None:
        remedy = (
            "give each daemon a database of its own (the number at the end of `store`), or make "
            "them members of one `cluster`"
        )
        return Claim(f"{KEYS}owner", owner, remedy)
    member = member_name(cluster)
    remedy = (
        f"both are called {member} in cluster {cluster.name}: give each a `cluster.member` of its "
        "own, or another `cluster.name` if they are not to scale together"
    )
    return Claim(f"{keys(cluster)}owner:{member}", owner, remedy)
