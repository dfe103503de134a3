"""What a process replica is started with, as plain data: arguments, environment, fingerprint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from fleet.config.schema import ProcessDriver
from scaler.drivers.free_ports import LOOPBACK
from scaler.drivers.procfs import REPLICA_MARK, STATE_DIR_MARK

_PLACEHOLDER = re.compile(r"\{(host|name|pool|port|version)\}")


class LaunchSpec(Struct, frozen=True, kw_only=True):
    """All that makes two starts of a version alike."""

    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    """Sorted by key."""
    cwd: str
    endpoint: bool
    """False for a queue worker, which listens nowhere and gets no port."""
    redis_url: str | None
    host: str = LOOPBACK
    """Address to listen on."""

    def digest(self) -> str:
        """A fingerprint; replicas whose fingerprint differs are replaced."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]


class Identity(Struct, frozen=True, kw_only=True):
    """Which replica is started."""

    name: str
    pool: str
    version: str


def launch_spec(
    process: ProcessDriver,
    *,
    config_dir: Path,
    routed: bool,
    redis_url: str | None,
    host: str = LOOPBACK,
) -> LaunchSpec:
    """The spec of a version whose effective driver is `process`.

    A replica has an endpoint when a route leads to its pool, or its command takes `{port}`.
    """
    return LaunchSpec(
        command=process.command,
        env=tuple(sorted(process.env.items())),
        cwd=str(config_dir / process.cwd) if process.cwd else str(config_dir),
        endpoint=routed or any("{port}" in argument for argument in process.command),
        redis_url=redis_url,
        host=host,
    )


def arguments(spec: LaunchSpec, who: Identity, port: int) -> list[str]:
    """The command with its placeholders replaced; other braces stay as they are."""
    values = {
        "host": spec.host,
        "name": who.name,
        "pool": who.pool,
        "port": str(port),
        "version": who.version,
    }
    return [_PLACEHOLDER.sub(lambda match: values[match[1]], argument) for argument in spec.command]


def environment(
    spec: LaunchSpec, who: Identity, port: int, *, base: Mapping[str, str], state_dir: str
) -> dict[str, str]:
    """`base`, then the configured variables, then what Headrace itself sets (which wins)."""
    own = {
        "HEADRACE_POOL": who.pool,
        "HEADRACE_VERSION": who.version,
        REPLICA_MARK: who.name,
        STATE_DIR_MARK: state_dir,
    }
    if spec.endpoint:
        own["PORT"] = str(port)
        if spec.host != LOOPBACK:
            own["HOST"] = spec.host
    if spec.redis_url is not None:
        own["HEADRACE_REDIS_URL"] = spec.redis_url
    return {**base, **dict(spec.env), **own}
