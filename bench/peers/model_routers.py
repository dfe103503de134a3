"""vllm-router and sglang-router: Rust behind a Python launcher, one runtime thread a core."""

from __future__ import annotations

from collections.abc import Mapping

from bench.peers.model import Peer, Setup
from bench.peers.programs import in_venv, installed
from bench.processes import free_port


def _command(program: str, setup: Setup, *verb: str) -> list[str]:
    return [
        program,
        *verb,
        *("--host", "127.0.0.1", "--port", str(setup.port), "--log-level", "error"),
        *("--policy", "power_of_two", "--max-concurrent-requests", "16384"),
        *("--prometheus-port", str(free_port()), "--worker-startup-check-interval", "1"),
        "--worker-urls",
        *(f"http://{host}:{port}" for host, port in setup.endpoints),
    ]


def _env(setup: Setup) -> Mapping[str, str]:
    return {"TOKIO_WORKER_THREADS": str(setup.workers)}


SGLANG_ROUTER = Peer(
    find=in_venv("sglang-router"),
    version=installed("sglang-router"),
    command=lambda program, setup: _command(program, setup, "launch"),
    absent="PyPI package sglang-router",
    env=_env,
)

VLLM_ROUTER = Peer(
    find=in_venv("vllm-router"),
    version=installed("vllm-router"),
    command=_command,
    absent="PyPI package vllm-router",
    env=_env,
)
