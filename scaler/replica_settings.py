"""What the configuration says of replicas, resolved once per reload: one entry a version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from fleet.config.merge import effective_concurrency, effective_process, effective_static
from fleet.config.schema import Config, Health, Pool
from fleet.tls import ClientTls
from scaler.drivers.free_ports import LOOPBACK
from scaler.drivers.spec import LaunchSpec, launch_spec
from scaler.drivers.static import Endpoint, named_endpoints


class ProcessSettings(Struct, frozen=True, kw_only=True):
    """How replicas of a version are started and stopped. Times in seconds."""

    launch: LaunchSpec
    digest: str
    start_timeout: float
    stop_timeout: float


class VersionSettings(Struct, frozen=True, kw_only=True):
    """All that concerns the replicas of one version."""

    process: ProcessSettings | None
    """None: its replicas are `endpoints`."""
    endpoints: Mapping[str, Endpoint]
    """Static replicas by name."""
    slots: int
    health: Health
    drain_timeout: float
    """Seconds."""
    surge: int = 1
    """Replicas beyond the wanted size while others are replaced."""
    tls: ClientTls | None = None
    """To those endpoints that speak it."""

    def weight(self, replica: str) -> float:
        """Of the replica of that name."""
        endpoint = self.endpoints.get(replica)
        return 1.0 if endpoint is None else endpoint.weight


def resolve(
    config: Config, *, config_dir: Path, redis_url: str | None, host: str = LOOPBACK
) -> dict[str, dict[str, VersionSettings]]:
    """Settings by pool and version. A version without any driver has no replicas."""
    routed = {route.pool for route in config.routes}
    return {
        name: {
            version: _version(
                name,
                pool,
                version,
                config_dir=config_dir,
                routed=name in routed,
                redis_url=redis_url,
                host=host,
            )
            for version in pool.versions
        }
        for name, pool in config.pools.items()
    }


def _version(
    name: str,
    pool: Pool,
    version: str,
    *,
    config_dir: Path,
    routed: bool,
    redis_url: str | None,
    host: str,
) -> VersionSettings:
    settings = None
    if (process := effective_process(pool, version)) is not None:
        launch = launch_spec(
            process, config_dir=config_dir, routed=routed, redis_url=redis_url, host=host
        )
        settings = ProcessSettings(
            launch=launch,
            digest=launch.digest(),
            start_timeout=process.start_timeout,
            stop_timeout=process.stop_timeout,
        )
    static = effective_static(pool, version)
    return VersionSettings(
        process=settings,
        endpoints=named_endpoints(name, version, static) if static is not None else {},
        tls=static.tls.settings if static is not None else None,
        slots=effective_concurrency(pool, version),
        health=pool.health,
        drain_timeout=pool.drain_timeout,
        surge=pool.scale.surge,
    )
