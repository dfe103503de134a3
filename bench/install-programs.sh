#!/bin/sh
# What the benchmark needs of Debian: load generators, two of the peers, and what makes certificates.
set -eu
missing=
PATH="$PATH:/usr/sbin"
command -v wrk >/dev/null || missing="$missing wrk"
command -v h2load >/dev/null || missing="$missing nghttp2-client"
command -v openssl >/dev/null || missing="$missing openssl"
command -v haproxy >/dev/null || missing="$missing haproxy"
command -v nginx >/dev/null || missing="$missing nginx-light"
# shellcheck disable=SC2086
if [ -n "$missing" ]; then
    "$(dirname "$0")/../deploy/install-packages.sh" $missing || echo "not installed:$missing" >&2
fi
