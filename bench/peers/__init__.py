"""The proxies that are compared."""

from __future__ import annotations

from bench.peers.envoy import ENVOY
from bench.peers.haproxy import HAPROXY
from bench.peers.headrace import HEADRACE
from bench.peers.model import Peer
from bench.peers.model_routers import SGLANG_ROUTER, VLLM_ROUTER
from bench.peers.nginx import NGINX
from bench.peers.plain_aiohttp import PLAIN_AIOHTTP

PEERS: dict[str, Peer] = {
    "aiohttp": PLAIN_AIOHTTP,
    "envoy": ENVOY,
    "haproxy": HAPROXY,
    "headrace": HEADRACE,
    "nginx": NGINX,
    "sglang-router": SGLANG_ROUTER,
    "vllm-router": VLLM_ROUTER,
}
