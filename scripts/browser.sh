#!/usr/bin/env bash
# Sees to it that there is a Chromium for the tests of pages; does nothing when there is one.
set -euo pipefail

give_up() {
    printf 'browser: %s\n' "$*" >&2
    exit 3
}

[ -x "${CHROMIUM:-/usr/bin/chromium}" ] && exit 0
[ -z "${CHROMIUM:-}" ] || give_up "CHROMIUM names $CHROMIUM, which is no program."
[ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null ||
    give_up 'the tests of pages need Chromium: install it (on Debian as root: apt-get install chromium fonts-dejavu-core), or name it in CHROMIUM.'
echo 'browser: installing chromium'
apt-get update -qq >/dev/null || true
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null </dev/null ||
    give_up 'apt-get could not install chromium: see its messages above.'
