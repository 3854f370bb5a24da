#!/usr/bin/env bash
# Rewrites requirements.lock: every package, pinned by version and hash, without the address it came from.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet pip-tools
"$tools/bin/pip-compile" --quiet --generate-hashes --strip-extras --allow-unsafe --extra dev \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate \
    --output-file requirements.lock pyproject.toml
