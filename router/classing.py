"""Which priority class and which tenant a request is of. Pure; one `Classing` a pool."""

from __future__ import annotations

from collections.abc import Callable

from fleet.wire import QueueEntry
from router.queueing.settings import QueueSettings

HeaderLookup = Callable[[bytes], bytes | None]
"""Value of a header by lower-case name."""

UNNAMED = "default"
"""The one class of a pool without classes."""


class Classing:
    """Classes are numbered as configured, 0 the highest."""

    __slots__ = ("_bands", "_default", "_header", "names", "settings", "tenant_header", "used")

    def __init__(self, entry: QueueEntry) -> None:
        self.names = entry.classes or (UNNAMED,)
        self.used = len(self.names) > 1
        """False: every request is of class 0."""
        self._bands = {name: band for band, name in enumerate(self.names)}
        self._bands |= {v: self._bands[n] for v, n in entry.class_values.items() if n in self.names}
        self._default = self._bands.get(entry.class_default, len(self.names) - 1)
        self._header = entry.class_header.lower().encode() if entry.class_header else None
        tenant = entry.tenant_header
        self.tenant_header = tenant.lower().encode() if tenant else None
        self.settings = QueueSettings(
            classes=len(self.names),
            order=entry.order,
            tenants=tenant is not None,
            weights={name.encode(): weight for name, weight in entry.tenant_weights.items()},
            aging=entry.aging if self.used else 0.0,
            pressed_after=entry.interval,
        )

    def band(self, route: str | None, header: HeaderLookup) -> int:
        """The class of a request: what its header says, else its route, else the default."""
        if self._header is not None:
            value = header(self._header)
            if value is not None:
                band = self._bands.get(value.decode("latin-1"))
                if band is not None:
                    return band
        return self._default if route is None else self._bands.get(route, self._default)
