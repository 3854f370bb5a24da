#!/usr/bin/env bash
# Fetches into infra/soak/wheels what the image of compose.soak.yaml installs, in the versions of requirements.lock.
#
# Usage: infra/soak/wheels.sh
#
# Done on this machine, with its own pip and whatever that is set up to use: containers need no way to a package index.
# The image runs Debian 13's Python 3.13. Exit 0: all is there. Exit 3: something cannot be had; pip's message says what.
set -euo pipefail
cd "$(dirname "$0")/../.."

python_of_image=3.13
wheels=infra/soak/wheels

give_up() {
    printf 'wheels: %s\n' "$*" >&2
    exit 3
}

[ -x .venv/bin/python ] || give_up '.venv is not there yet: run `make venv` first.'
wanted=$(cat requirements.lock pyproject.toml | sha256sum)
[ "$(cat "$wheels/.made-from" 2>/dev/null || true)" = "$wanted" ] && exit 0

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The lock's versions without its hashes: those are of every dependency, this is a part of them.
grep -oE '^[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^ ;\\]+' requirements.lock >"$scratch/constraints.txt"
.venv/bin/python - >"$scratch/wanted.txt" <<'PYTHON'
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
print("\n".join([*project["dependencies"], *extras["report"], *extras["samples"], "setuptools>=77"]))
PYTHON

rm -rf "$wheels"
mkdir -p "$wheels"
platforms=()
for tag in 2_28 2_27 2_26 2_24 2_17 2014; do
    case $tag in 2014) name=manylinux2014 ;; *) name=manylinux_$tag ;; esac
    platforms+=(--platform "${name}_$(uname -m)")
done
.venv/bin/python -m pip download -qq --disable-pip-version-check --only-binary=:all: \
    --python-version "$python_of_image" --implementation cp "${platforms[@]}" \
    --constraint "$scratch/constraints.txt" --requirement "$scratch/wanted.txt" --dest "$wheels" ||
    give_up 'the wheels could not be fetched: see the messages above.'
cp "$scratch/constraints.txt" "$wheels/constraints.txt"
printf '%s' "$wanted" >"$wheels/.made-from"
