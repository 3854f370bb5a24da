#!/usr/bin/env bash
# Sees to it that the load generators that chaosbench is held against are there: pgbench, sysbench, and Locust in .venv.
set -euo pipefail
cd "$(dirname "$0")/.."

give_up() {
    printf 'bench: %s\n' "$*" >&2
    exit 3
}

# Newer Debians have pgbench in postgresql-contrib's own package of the server; its wrapper is in the client's.
missing=()
command -v pgbench >/dev/null && pgbench --version >/dev/null 2>&1 || missing+=(postgresql-client postgresql-contrib)
command -v sysbench >/dev/null || missing+=(sysbench)

if [ "${#missing[@]}" -gt 0 ]; then
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null ||
        give_up "the benchmarks need pgbench and sysbench: install them (on Debian as root: apt-get install ${missing[*]})."
    echo "bench: installing ${missing[*]}"
    # Debian's server package makes a cluster of its own and starts it, which nobody asked for here.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    apt-get update -qq >/dev/null || true
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null </dev/null ||
        give_up 'apt-get could not install them: see its messages above.'
fi

wanted=$(sha256sum <bench/requirements.lock)
[ "$(cat .venv/.bench-from 2>/dev/null || true)" = "$wanted" ] && exit 0
echo 'bench: installing Locust'
.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r bench/requirements.lock ||
    give_up 'what bench/requirements.lock names could not be installed: see the messages above.'
printf '%s' "$wanted" >.venv/.bench-from
