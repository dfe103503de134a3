"""Whose the keys are: one living daemon at a time, told from a dead one without expiring keys.

The owner's key holds `START BEAT INSTALLATION HOST PID` and changes with each renewal. A daemon
that finds another's there leaves every key alone, and looks again until it

    is gone     the owner gave it up as it stopped
    is silent   unchanged for SILENCE by the looker's own clock, over answers without a gap; it is
                then taken by naming the very value seen (compare-and-set), so one succeeds
    is its own  of the same installation (a number kept in the state directory, which is locked):
                a daemon that was killed, replaced at its next start at once

Writes of the owner name its start and are refused once the key holds another (GUARD in
`fleet.store.scripts`), so what a daemon that was stopped and wakes up had still to write does no
harm.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from msgspec import Struct

RENEWED_EVERY: Final = 2.0
"""Seconds between two renewals."""
LOOKED_EVERY: Final = 1.0
"""Seconds between two looks at what is another's."""
SILENCE: Final = 3 * RENEWED_EVERY
"""Seconds without a renewal after which an owner is taken for dead."""
_GAP: Final = 3 * LOOKED_EVERY
"""Seconds between two looks above which nothing is known of the time between them."""


class Owner(Struct, frozen=True, kw_only=True):
    """One start of one daemon."""

    installation: str
    """Kept over restarts; see `installation`."""
    start: str
    host: str
    pid: int

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @classmethod
    def of(cls, value: str) -> Owner:
        """Read the owner's key; whatever cannot be read is shown as it is."""
        parts = value.split(" ")
        if len(parts) != 5 or not parts[4].isdigit():
            return cls(installation="", start=value, host=value, pid=0)
        return cls(installation=parts[2], start=parts[0], host=parts[3], pid=int(parts[4]))


class Claim:
    """One daemon's claim on a key space. Times are monotonic seconds."""

    def __init__(self, key: str, owner: Owner, remedy: str) -> None:
        """`key` is the owner's; `remedy` tells an operator how two daemons keep apart."""
        self.key = key
        self.owner = owner
        self.remedy = remedy
        self.held = False
        """The latest look found it this daemon's; unknown since does not change that."""
        self.rival: Owner | None = None
        """Whose it was at the latest look, if another's."""
        self._beat = 0
        self._was_held = False
        self._seen = ""
        self._since = 0.0
        self._looked = 0.0

    def __repr__(self) -> str:
        return f"<Claim {self.key} {'held' if self.held else f'of {self.rival}'}>"

    @property
    def mine(self) -> str:
        """What the owner's key begins with while it is this daemon's."""
        return f"{self.owner.start} "

    def attempt(self) -> list[str]:
        """Arguments of `fleet.store.scripts.CLAIM` for the next renewal or attempt."""
        self._beat += 1
        owner = self.owner
        value = f"{self.mine}{self._beat} {owner.installation} {owner.host} {owner.pid}"
        return [self.mine, value, self._seen if self.may_take else ""]

    def answered(self, value: str, now: float) -> None:
        """Take up what that gave: '' or the value of another."""
        self.held = not value
        self._was_held = self._was_held or self.held
        self.rival = Owner.of(value) if value else None
        if value != self._seen or now - self._looked > _GAP:
            self._since = now
        self._seen, self._looked = value, now

    @property
    def may_take(self) -> bool:
        """Whether the next attempt takes the keys from who was last seen to have them."""
        if self.rival is None:
            return False
        ours = self.rival.installation == self.owner.installation and not self._was_held
        return ours or self._looked - self._since >= SILENCE


def installation(state_dir: Path) -> str:
    """The number of the installation in `state_dir`, which this daemon holds; made when there is
    none. OSError when it can be neither read nor kept.
    """
    path = state_dir / "installation"
    try:
        known = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        known = ""
    if known.isalnum():
        return known
    made = secrets.token_hex(8)
    scratch = path.with_suffix(".new")
    scratch.write_text(made)
    scratch.replace(path)
    return made


def this_daemon(state_dir: Path, host: str) -> Owner:
    """This start. OSError as of `installation`."""
    return Owner(
        installation=installation(state_dir),
        start=secrets.token_hex(4),
        host="".join(c if c.isprintable() and c != " " else "_" for c in host) or "unknown",
        pid=os.getpid(),
    )
