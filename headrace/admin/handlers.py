"""What each admin request does: decode, ask `Operations`, encode."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from msgspec.json import encode
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from fleet.errors import UnknownNameError
from headrace.admin.decoding import (
    ScaleBody,
    Weights,
    parse_limit,
    parse_time,
    read_body,
    read_nothing,
    read_query,
)
from headrace.admin.errors import ApiError
from headrace.operations import Operations, Status

OPERATIONS: Final = web.AppKey("operations", Operations)
REGISTRY: Final = web.AppKey("registry", CollectorRegistry)


async def healthz(_request: web.Request) -> web.Response:
    """The process lives."""
    return _json({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Whether traffic may be sent here."""
    reasons = unready_reasons(request.app[OPERATIONS].status())
    return _json({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)


def unready_reasons(status: Status) -> list[str]:
    """Why the daemon should get no traffic, one sentence each; empty when it should."""
    if status.draining:
        return ["the daemon is stopping"]
    if status.ready:
        return []
    reasons = []
    for worker in status.workers:
        if worker.pid is None:
            reasons.append(f"worker {worker.index} is being restarted")
        elif worker.generation != status.generation:
            reasons.append(
                f"worker {worker.index} has generation {worker.generation}, not {status.generation}"
            )
    return reasons or ["the daemon is starting"]


async def metrics(request: web.Request) -> web.Response:
    """Prometheus or OpenMetrics text, as the client accepts."""
    encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
    body = encoder(request.app[REGISTRY])
    return web.Response(body=body, headers={"Content-Type": content_type})


async def status(request: web.Request) -> web.Response:
    """Everything at a glance."""
    read_query(request, set())
    return _json(request.app[OPERATIONS].status())


async def cluster(request: web.Request) -> web.Response:
    """The cluster of the status."""
    read_query(request, set())
    found = request.app[OPERATIONS].status().cluster
    if found is None:
        raise UnknownNameError("this daemon is in no cluster; see `cluster` in its configuration")
    return _json(found)


async def pool(request: web.Request) -> web.Response:
    """One pool of the status."""
    read_query(request, set())
    name = request.match_info["pool"]
    for candidate in request.app[OPERATIONS].status().pools:
        if candidate.pool == name:
            return _json(candidate)
    raise UnknownNameError(f"there is no pool {name}")


async def decisions(request: web.Request) -> web.Response:
    """The newest decisions."""
    query = read_query(request, {"pool", "limit"})
    limit = parse_limit(query.get("limit"))
    return _json(await request.app[OPERATIONS].decisions(query.get("pool"), limit))


async def explain(request: web.Request) -> web.Response:
    """Why the versions of a pool have their size, now or at a time."""
    query = read_query(request, {"at", "version"})
    name, at = request.match_info["pool"], parse_time(query.get("at"))
    return _json(await request.app[OPERATIONS].explain(name, query.get("version"), at))


async def events(request: web.Request) -> web.Response:
    """The newest events."""
    limit = parse_limit(read_query(request, {"limit"}).get("limit"))
    return _json(await request.app[OPERATIONS].events(limit))


async def reload(request: web.Request) -> web.Response:
    """Read the file again; 409 when it is refused and the old generation runs on."""
    await read_nothing(request)
    result = await request.app[OPERATIONS].reload()
    if not result.applied:
        raise ApiError(
            409,
            "config_rejected",
            f"the configuration was rejected; generation {result.generation} runs on",
            details=result.errors,
        )
    return _json(result)


async def put_weights(request: web.Request) -> web.Response:
    """Override weights."""
    weights: dict[str, int] = await read_body(request, Weights)
    name = request.match_info["pool"]
    return _json(await request.app[OPERATIONS].set_weights(name, weights))


async def delete_weights(request: web.Request) -> web.Response:
    """Back to the file's weights."""
    await read_nothing(request)
    return _json(await request.app[OPERATIONS].set_weights(request.match_info["pool"], None))


async def put_scale(request: web.Request) -> web.Response:
    """Hold the size."""
    body = await read_body(request, ScaleBody)
    name = request.match_info["pool"]
    return _json(await request.app[OPERATIONS].scale(name, body.replicas, body.seconds()))


async def delete_scale(request: web.Request) -> web.Response:
    """Let the scaler decide again."""
    await read_nothing(request)
    return _json(await request.app[OPERATIONS].scale(request.match_info["pool"], None))


async def drain(request: web.Request) -> web.Response:
    """Take a replica out."""
    await read_nothing(request)
    return _json(await request.app[OPERATIONS].drain(request.match_info["replica"]))


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=encode(value) + b"\n",
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
