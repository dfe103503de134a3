"""Short forms written out, so that the schema has to know the long one only.

A lone listener stands for a list of one, and an address for a listener with nothing else.
"""

from __future__ import annotations

from fleet.config.document import Data, Document, Path


def written_out(data: Data) -> Data:
    """`data` without short forms."""
    if not isinstance(data, dict) or "listen" not in data:
        return data
    listen = data["listen"]
    if isinstance(listen, str | dict):
        listen = [listen]
    if isinstance(listen, list):
        listen = [{"address": item} if isinstance(item, str) else item for item in listen]
    return {**data, "listen": listen}


def as_written(path: Path, document: Document) -> Path:
    """Where the document has what is at `path` of the data written out.

    A path below a short form leads to that form.
    """
    if path[:1] != ("listen",):
        return path
    if path[1:2] == (0,) and ("listen", 0) not in document.entries:
        path = (*path[:1], *path[2:])
    above = document.entries.get(path[:-1])
    return path[:-1] if above is not None and above.kind == "text" else path
