from __future__ import annotations

import msgspec
import pytest

from fleet import wire
from fleet.tls import ClientTls, KeyPair, ServerTls

PAIR = KeyPair(cert="A\n", key="B")
REPLICA = wire.ReplicaEntry(name="a-1", host="::1", port=1, slots=2, cell=3, serving=True)
VERSION = wire.VersionEntry(name="v1", weight=5, block=1, replicas=(REPLICA,))
POOL = wire.PoolEntry(
    name="p", versions=(VERSION,), balance="round_robin", affinity_header=None,
    affinity_cookie="sid", queue_limit=1, queue_timeout=0.5, served_by=False, version_header=None,
)  # fmt: skip
TABLE = wire.Table(
    generation=4,
    listeners=(
        wire.ListenerEntry(
            address="a",
            tls=ServerTls(
                certificates=(PAIR,), client_ca="C", client_auth="optional", min_version="1.3",
                handshake_timeout=1.5,
            ),
        ),
        wire.ListenerEntry(address="b", proxy_protocol=True),
    ),
    new_listeners=("b",),
    routes=(wire.RouteEntry(host=None, path="/", methods=("GET",), headers={"A": "é"}, pool="p"),),
    pools=(POOL,),
    timeouts=wire.TimeoutsEntry(
        header=1, body=2, keep_alive=3, connect=4, first_byte=5, stream_idle=6,
        upstream_keep_alive=7,
    ),
    limits=wire.LimitsEntry(header_size=1, headers=2, target=3, body=4, connections=5),
    log_enabled=True, log_sample=0.25, trusted_proxies=("10.0.0.0/8", "unix"),
    upstream_tls=(
        wire.UpstreamTlsEntry(
            pool="p",
            version="v1",
            tls=ClientTls(ca=None, server_name="a.example", verify=True, pair=PAIR),
        ),
    ),
)  # fmt: skip
TO_WORKER = [TABLE, wire.Members(pool="p", versions=(VERSION,), new_shared=("a-1",)),
             wire.Shutdown(timeout=1.5)]  # fmt: skip
TO_CONTROL: list[wire.ToControl] = [
    wire.Applied(generation=4),
    wire.Idle(replica="a-1"),
    wire.Demand(pool="p", version="v1"),
    wire.Suspect(replica="a-1", error="no"),
]


@pytest.mark.parametrize("message", TO_WORKER, ids=lambda m: type(m).__name__)
def test_a_message_to_a_worker_arrives_as_it_was(message: wire.ToWorker) -> None:
    assert wire.to_worker.decode(wire.encode(message)) == message


@pytest.mark.parametrize("message", TO_CONTROL, ids=lambda m: type(m).__name__)
def test_a_message_to_control_arrives_as_it_was(message: wire.ToControl) -> None:
    assert wire.to_control.decode(wire.encode(message)) == message


def test_a_message_for_the_other_side_is_not_taken() -> None:
    with pytest.raises(msgspec.ValidationError):
        wire.to_worker.decode(wire.encode(TO_CONTROL[0]))
