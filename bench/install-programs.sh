#!/bin/sh
# What the benchmark needs of Debian: the load generator, and two of the peers.
set -eu
missing=
PATH="$PATH:/usr/sbin"
command -v wrk >/dev/null || missing="$missing wrk"
command -v haproxy >/dev/null || missing="$missing haproxy"
command -v nginx >/dev/null || missing="$missing nginx-light"
# shellcheck disable=SC2086
if [ -n "$missing" ]; then
    "$(dirname "$0")/../deploy/install-packages.sh" $missing || echo "not installed:$missing" >&2
fi
