"""The prose and the examples of the configuration reference."""

from __future__ import annotations

from typing import Final

EXAMPLE: Final = """\
# yaml-language-server: $schema=headrace.schema.json
listen: 127.0.0.1:8080
admin: {listen: 127.0.0.1:9900}
store: embedded
prometheus: http://127.0.0.1:9090

routes:
  - match: {path: /v1/support}
    pool: support
  - match: {host: "*.example.com", methods: [POST], headers: {X-Team: search}}
    pool: search

pools:
  support:
    driver:
      process:
        command: [python, examples/agent.py, --port, "{port}"]
        env: {MODEL: current}
    versions:
      v1: {weight: 95}
      v2: {weight: 5, driver: {process: {env: {MODEL: next}}}}
    health: {path: /healthz, interval: 1s}
    affinity: {header: X-Session}
    concurrency: 4
    queue: {limit: 200, timeout: 10s}
    scale:
      min: 2
      max: 10
      signals:
        - router: {slo: 500ms}
        - redis: {stream: "jobs:support", group: workers, per_replica: 5}
        - prometheus:
            query: sum(agent_backlog{pool="support"})
            per_replica: 10
  search:
    driver:
      static: {endpoints: ["http://10.0.0.5:8000", "http://10.0.0.6:8000"]}
"""

BROKEN: Final = """\
listen: 127.0.0.1
admin: {token: "${env:ADMIN_TOKEN}"}
routes:
  - pool: suport
pools:
  support:
    driver:
      process: {command: [python, agent.py]}
    health: {intervall: 1s, timeout: 1}
    concurrency: "4"
    scale: {min: 3, max: 2}
"""

INTRODUCTION: Final = """\
# Configuration

*Written by `python -m fleet.config.reference`; change the descriptions in
`fleet/config/schema.py` and the prose in `fleet/config/reference_text.py` instead.*

Headrace is configured by one YAML file. This one uses most of what there is:
"""

PROSE: Final = """\
Editors that speak JSON Schema (2020-12) complete and check it with
[`configs/headrace.schema.json`](../configs/headrace.schema.json); the comment on the first line
of the example is how the YAML language server finds it.

## Durations, sizes and addresses

- A **duration** is a number with its unit, `d`, `h`, `m`, `s` or `ms`: `500ms`, `10s`, `1.5h`.
  Parts are put together from the largest to the smallest: `1h30m`. `0` needs no unit, every
  other number does. The longest is `365d`.
- A **size** is a number of bytes, or a number with a unit: `B`, `kB`, `MB`, `GB`, `TB` (powers of
  1000) or `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024): `512`, `64KiB`, `1.5MB`.
- An **address** to listen on is `host:port`, `[ipv6]:port`, or `:port` for every IPv4 interface
  (`0.0.0.0:port`). Port 0 takes any free port. IPv6 listeners take IPv6 connections only.
  `listen` takes `unix:///path` too: a Unix socket, made with `mode` and removed at the end.
- An **endpoint** is `http://host:port` or `https://host:port` of a replica, without a path, or
  `unix:///path` of its socket (plain HTTP).

Values are strict: `"4"` in quotes is a text and not an integer, and where a text is expected,
`8080`, `on`, `no` and `2024-01-01` must stand in quotes, because YAML reads them as something
else. An unknown key, a key given twice and a second document are errors.

## Secrets

Any text may hold `${env:NAME}`, the value of an environment variable of the daemon, and
`${file:path}`, the content of a file without its last newline; a relative path starts at the
directory of the configuration file. Several may stand in one text. `$${` stands for `${` itself.
What is not there is an error. The result is a text, so it suits `admin.token`, URLs, `env` and
the like, but not numbers, and it is not expanded again. Errors show the text as written, never
the value.

## Changing it while it runs

The file and the secret files, certificates and keys it names are watched; so are the links on
the way to them, as Kubernetes swaps them. A change takes effect within a fraction of a second. A
file that has errors changes nothing, and neither does a certificate that does not fit its key:
they are logged, counted and shown in the admin API, and the last good configuration goes on.
Requests under way are not touched.

{restart} take effect at the next start only; the reload says so.

## Errors

All errors come at once, each with file, line, column and path. This file

```yaml
{broken}```

is refused with

```text
{errors}
```

What is checked beyond single values:

- A route leads to a pool that exists.
- Every version has a driver, its own or its pool's. A process driver has a command, once the
  version's keys are put over the pool's. A static driver has endpoints, none of them twice.
- A version's driver of another kind than its pool's replaces it whole.
- No two listeners, the admin API's included, are on one address.
- A certificate's files are there, and the key is its own. Relative paths start at the directory
  of the configuration file.
- An admin API that other machines can reach has a token.
- A Prometheus signal has a server, its own or the one at the top.
- A formula names signals of its pool, a `load` signal has replicas that are asked, and a fallback
  to the gateway has a route.
- `scale.max` has room for one process replica of each version with a weight above 0; `max: 0`
  switches the pool off.
- No two versions would name their replicas alike (`a-b` of pool `a`, or of version `b`).

That all weights of a pool are 0 is no error: then only requests that name a version are served.

# All settings

A mapping may be left out when all its keys have defaults. *required* marks what must be given.
"""
