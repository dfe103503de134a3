"""What the daemons of a cluster share in the store, and the fence before it.

Keys, all below `headrace:cluster:NAME:`, besides those of `fleet.store.client`:

| key | type | holds |
|---|---|---|
| `lease` | string | `TOKEN HOLDER BEAT` of the leader; kept until it is given up or taken |
| `token` | string | the highest fencing token given so far |
| `plan` | string | what the leader wants of every member |
| `state` | hash | `json`: what the next leader needs to go on, `at`: the store's own time of it |
| `reports` | hash | member to JSON: what it last said of itself |

A member's name is claimed like any other key (`fleet.store.claim`): of two daemons with one name
only one gets as far as these.

Each call is one script, so it happens at once or not at all. No key expires and no clock of two
machines is compared: whether a leader is silent is judged by each member with its own monotonic
clock, and who takes a lease names the very value it has seen unchanged (the scheme of client-go
`tools/leaderelection`, with a token added: M. Kleppmann, "How to do distributed locking", 2016).
The leader's writes name its token and are refused once the lease holds another.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from msgspec import Struct

from fleet.store.client import KEYS, STATE, Store

OVERRIDES: Final = "overrides"
"""Name of the state (see `Store.get`) that holds what was set by hand."""

_EXCHANGE: Final = """
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
local reports = {}
if ARGV[3] == '1' then reports = redis.call('HGETALL', KEYS[3]) end
return {
  redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('GET', KEYS[4]), reports
}
"""

_TAKE: Final = """
local present = redis.call('GET', KEYS[1]) or ''
if present ~= ARGV[1] then return 0 end
local token = math.max(tonumber(redis.call('GET', KEYS[2]) or 0), tonumber(ARGV[3])) + 1
redis.call('SET', KEYS[2], token)
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[2] .. ' 0')
return token
"""

_LEAD: Final = """
local present = redis.call('GET', KEYS[1]) or ''
local mine = ARGV[1] .. ' '
if string.sub(present, 1, #mine) ~= mine then return 0 end
if tonumber(string.sub(present, #mine + 1)) >= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], mine .. ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
if ARGV[4] ~= '' then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[3], 'json', ARGV[4], 'at', now[1] .. '.' .. string.format('%06d', now[2]))
end
for i = 5, #ARGV do redis.call('HDEL', KEYS[4], ARGV[i]) end
return 1
"""

_LEAVE: Final = """
redis.call('HDEL', KEYS[2], ARGV[1])
local present = redis.call('GET', KEYS[1]) or ''
if ARGV[2] ~= '' and string.sub(present, 1, #ARGV[2] + 1) == ARGV[2] .. ' ' then
  redis.call('DEL', KEYS[1])
end
return 1
"""

_STATE: Final = """
local kept = redis.call('HMGET', KEYS[1], 'json', 'at')
if not kept[1] then return {false, '0'} end
local now = redis.call('TIME')
local age = tonumber(now[1]) + tonumber(now[2]) / 1000000 - tonumber(kept[2] or 0)
return {kept[1], string.format('%.3f', age)}
"""


class Lease(Struct, frozen=True):
    """A lease as it was seen in the store."""

    token: int
    holder: str

    def __str__(self) -> str:
        return f"{self.token} {self.holder}"

    @classmethod
    def of(cls, value: bytes | None) -> Lease | None:
        """Read the value of the key; None when there is none or it cannot be read."""
        parts = (value or b"").split(b" ")
        if len(parts) != 3 or not parts[0].isdigit():
            return None
        return cls(int(parts[0]), parts[1].decode(errors="replace"))


class Exchanged(Struct, frozen=True, kw_only=True):
    """What the store held at the moment a report was put there."""

    lease: bytes | None
    plan: bytes | None
    overrides: bytes | None
    reports: dict[str, bytes]
    """Of every member; empty when not asked for."""


def cluster_keys(cluster: str) -> str:
    """What the keys of a cluster begin with."""
    return f"{KEYS}cluster:{cluster}:"


class ClusterStore:
    """The shared part of one cluster. Every method raises StoreUnavailableError."""

    def __init__(self, store: Store) -> None:
        """The keys of `store` are those of the cluster, see `cluster_keys`."""
        self._store = store

    async def exchange(self, member: str, report: bytes, *, everyone: bool) -> Exchanged:
        """Leave a report; get what is there, with `everyone` all reports too."""
        lease, plan, overrides, reports = await self._run(
            _EXCHANGE,
            self._keys("lease", "plan", "reports", STATE + OVERRIDES),
            [member, report, "1" if everyone else "0"],
        )
        pairs = zip(reports[::2], reports[1::2], strict=True)
        return Exchanged(
            lease=lease,
            plan=plan,
            overrides=overrides,
            reports={name.decode(errors="replace"): value for name, value in pairs},
        )

    async def take(self, expected: bytes | None, holder: str, seen: int) -> int | None:
        """Take the lease if its value is still `expected`: the new token, above every one given
        and above `seen`; None when someone else was faster.
        """
        token = await self._run(
            _TAKE, self._keys("lease", "token"), [expected or b"", holder, str(seen)]
        )
        return int(token) or None

    async def lead(
        self, lease: Lease, beat: int, *, plan: bytes, state: bytes, gone: Collection[str]
    ) -> bool:
        """Renew the lease and publish `plan`, `state` (unless empty) and that members are `gone`.

        `beat` grows with every call, so that a write that was held up cannot undo a later one.
        False: the lease is another's, or nobody's, and nothing was written.
        """
        keys = self._keys("lease", "plan", "state", "reports")
        return bool(await self._run(_LEAD, keys, [str(lease), str(beat), plan, state, *gone]))

    async def leave(self, member: str, lease: Lease | None) -> None:
        """Take the report of `member` back and give up its lease, if it is still that one."""
        await self._run(
            _LEAVE, self._keys("lease", "reports"), [member, str(lease) if lease else ""]
        )

    async def state(self) -> tuple[bytes, float] | None:
        """What the leader before left, and its age in seconds by the store's clock."""
        state, age = await self._run(_STATE, self._keys("state"), [])
        return None if state is None else (state, max(0.0, float(age)))

    def _keys(self, *names: str) -> list[str]:
        return [self._store.keys + name for name in names]

    async def _run(self, script: str, keys: list[str], arguments: list[bytes | str]) -> Any:
        return await self._store.evaluate(script, keys, arguments)
