"""What the example agents know: a few passages about Headrace itself."""

from __future__ import annotations

from typing import Final

PASSAGES: Final = (
    "A headrace is the channel that carries water to a turbine. A gate decides how much water "
    "flows, and how many wheels turn. Headrace does the same for requests and replicas.",
    "A route matches requests by host, path, method and header, and sends them to a pool. Routes "
    "are tried in order and the first match wins.",
    "A pool is one agent service, and it is what clients call. A pool has one or more versions, "
    "and each version has replicas.",
    "A version is a named release of a pool with a weight. The weights split new requests over "
    "the versions, so a canary with weight five next to ninety-five gets one request in twenty.",
    "A replica is one running instance of a version. Each replica has slots, and a slot is one "
    "unit of its concurrency. A replica never gets more requests at once than it has slots.",
    "When every slot is taken a request waits in the queue of its pool. The queue is bounded: "
    "when it is full the request is refused with status 503 and a Retry-After header.",
    "The scaler reads signals every second and decides how many replicas a version needs. "
    "Signals come from the gateway itself, from Redis and from Prometheus, and the largest "
    "proposal wins.",
    "A pool with min 0 goes to zero when it is idle. The next request is held in the queue while "
    "a replica starts, and it is answered as soon as the replica is healthy.",
    "Before a replica stops it is drained: it gets nothing new, finishes the requests and the "
    "streams it has, and only then receives SIGTERM.",
    "An edit of the configuration file takes effect while the daemon runs. The whole file is "
    "checked first, and when it has an error nothing changes and the last good one keeps running.",
    "A streamed reply is relayed chunk by chunk as the agent produces it. The lease on the slot "
    "is released when the stream has finished, not when its headers arrive.",
    "A pool without a route is a set of workers that consume a Redis queue. The scaler runs it "
    "on the depth of the queue alone, and its health is that of the process.",
    "A reply names the pool and the version that served it in the X-Served-By header. A client "
    "can ask for a version by name with the X-Headrace-Version header.",
    "The daemon keeps its journal of decisions in Redis, or in a store of its own when there is "
    "no Redis. When the store is away traffic goes on and the journal is kept in memory.",
)
