#!/usr/bin/env bash
# Compiles the request path into a copy of this tree and runs the tests of the router there.
# Usage: deploy/test-compiled.sh DIRECTORY_OF_PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$1
command -v "${CC:-cc}" >/dev/null || deploy/install-packages.sh gcc libc6-dev
headers=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -e "$headers/Python.h" ] || deploy/install-packages.sh python3-dev
copy=build/compiled
rm -rf "$copy" build/wheel
"$bin/pip" wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
mkdir -p "$copy"
cp -r bench examples fleet router scaler headrace tests configs docs pyproject.toml Makefile README.md "$copy/"
"$bin/python" -m zipfile --extract build/wheel/*.whl "$copy"
cd "$copy"
"$bin/python" -c 'from headrace.release import compiled; assert compiled(), "nothing was compiled"'
"$bin/python" -m pytest tests/unit/router tests/protocol tests/property tests/integration/test_worker.py
