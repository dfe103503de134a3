#!/bin/sh
# The real servers and clients that the integration tests talk to, and what makes their certificates.
set -eu
missing=
command -v curl >/dev/null || missing="$missing curl"
command -v h2load >/dev/null || missing="$missing nghttp2-client"
command -v openssl >/dev/null || missing="$missing openssl"
command -v patch >/dev/null || missing="$missing patch"
command -v prometheus >/dev/null || missing="$missing prometheus"
command -v redis-server >/dev/null || missing="$missing redis-server"
if [ -n "$missing" ]; then
    echo "installing$missing ..."
    # shellcheck disable=SC2086
    "$(dirname "$0")/install-packages.sh" $missing
fi
