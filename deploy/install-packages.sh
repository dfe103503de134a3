#!/bin/sh
# Install Debian packages, as root or through sudo.
set -eu
if [ "$(id -u)" = 0 ]; then SUDO=; else SUDO=sudo; fi
if ! command -v apt-get >/dev/null; then
    echo "please install by hand: $*" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$SUDO apt-get update -qq
# the packages' services are not wanted, only their programs
$SUDO apt-get install -y -qq --no-install-recommends "$@" >/dev/null
