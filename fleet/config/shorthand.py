"""Short forms written out, so that the schema has to know the long one only.

A lone listener stands for a list of one, an address for a listener with nothing else, and a policy
for a balance with nothing else.
"""

from __future__ import annotations

from fleet.config.document import Data, Document, Path


def written_out(data: Data) -> Data:
    """`data` without short forms."""
    if not isinstance(data, dict):
        return data
    long = dict(data)
    if "listen" in data:
        long["listen"] = _listen(data["listen"])
    pools = data.get("pools")
    if isinstance(pools, dict):
        long["pools"] = {name: _pool(pool) for name, pool in pools.items()}
    return long


def as_written(path: Path, document: Document) -> Path:
    """Where the document has what is at `path` of the data written out.

    A path below a short form leads to that form.
    """
    if path[:1] == ("pools",) and path[2:3] == ("balance",):
        return path[:3] if document.kind(path[:3]) == "text" else path
    if path[:1] != ("listen",):
        return path
    if path[1:2] == (0,) and ("listen", 0) not in document.entries:
        path = (*path[:1], *path[2:])
    return path[:-1] if document.kind(path[:-1]) == "text" else path


def _listen(listen: Data) -> Data:
    if isinstance(listen, str | dict):
        listen = [listen]
    if isinstance(listen, list):
        listen = [{"address": item} if isinstance(item, str) else item for item in listen]
    return listen


def _pool(pool: Data) -> Data:
    if not isinstance(pool, dict) or not isinstance(pool.get("balance"), str):
        return pool
    return {**pool, "balance": {"policy": pool["balance"]}}
