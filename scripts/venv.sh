#!/usr/bin/env bash
# Makes .venv with the locked dependencies and chaosbench itself, or does nothing when it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

give_up() {
    printf 'venv: %s\n' "$*" >&2
    exit 3
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local name
    for name in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        if [ -n "$name" ] && command -v "$name" >/dev/null && new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
    return 1
}

# Debian's python3 comes without what makes virtual environments.
can_make_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

install_python() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null ||
        give_up 'Python 3.11 or newer with venv is needed: install it (on Debian as root: apt-get install python3-venv), then try again.'
    echo 'venv: installing python3-venv'
    apt-get update -qq >/dev/null || true
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3 python3-venv >/dev/null </dev/null ||
        give_up 'apt-get could not install python3-venv: see its messages above.'
}

python=$(find_python) && can_make_venv "$python" || {
    install_python
    python=$(find_python) && can_make_venv "$python" ||
        give_up 'this machine has no Python 3.11 or newer: install one and name it in PYTHON, then try again.'
}

wanted=$(cat requirements.lock pyproject.toml | sha256sum)
[ "$(cat .venv/.made-from 2>/dev/null || true)" = "$wanted" ] && exit 0

echo "venv: making .venv with $("$python" --version)"
[ -x .venv/bin/python ] && new_enough .venv/bin/python || "$python" -m venv --clear .venv
.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock ||
    give_up 'the locked dependencies could not be installed: see the messages above.'
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
printf '%s' "$wanted" >.venv/.made-from
