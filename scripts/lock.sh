#!/usr/bin/env bash
# Rewrites requirements.lock, and bench/requirements.lock with what the benchmarks want besides: every package, pinned
# by version and hash, without the address it came from.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet pip-tools

lock() {
    "$tools/bin/pip-compile" --quiet --generate-hashes --strip-extras --allow-unsafe \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate "$@" pyproject.toml
}

lock --extra dev --output-file requirements.lock
# What both need has one version: Locust goes into the same .venv.
lock --extra bench --constraint requirements.lock --output-file bench/requirements.lock
