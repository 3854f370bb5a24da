#!/usr/bin/env bash
# Makes sure that the image every Dockerfile here starts from exists on this engine.
#
# Usage: infra/base-image.sh
#
# Present: nothing happens. Else it is pulled; where no image registry can be reached it is built from the Debian
# mirror that this machine's apt already uses, and tagged the same, so that the Dockerfiles need not know.
# Exit 0: the image is there. Exit 3: it cannot be made here; one line says why.
set -euo pipefail

image=debian:trixie-slim
suite=trixie
pull_answer_seconds=${CHAOSBENCH_PULL_ANSWER_SECONDS:-4}
pull_total_seconds=${CHAOSBENCH_PULL_TOTAL_SECONDS:-300}

scratch=''
pull_pid=''

say() { printf 'base-image: %s\n' "$*"; }

give_up() {
    printf 'base-image: %s\n' "$*" >&2
    exit 3
}

clean_up() {
    if [ -n "$pull_pid" ]; then kill "$pull_pid" 2>/dev/null || true; fi
    if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
}

# Two bounds: a closed network is given up after a few seconds, yet a slow download that has begun may take minutes.
pull() {
    local log=$scratch/pull.log answer_by=$((SECONDS + pull_answer_seconds)) end_by=$((SECONDS + pull_total_seconds))
    docker pull "$image" >"$log" 2>&1 &
    pull_pid=$!
    while kill -0 "$pull_pid" 2>/dev/null; do
        if [ "$SECONDS" -ge "$end_by" ]; then return 1; fi
        if [ "$SECONDS" -ge "$answer_by" ] && ! grep -q 'Pulling from' "$log"; then return 1; fi
        sleep 0.1
    done
    local result=0
    wait "$pull_pid" || result=$?
    pull_pid=''
    return "$result"
}

# apt itself knows every source it was given, whatever the file format: ask it for "label address" pairs.
mirror_of() {
    # shellcheck disable=SC2016  # apt expands these, not the shell
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' -v label="$1" '$1 == "Debian" && $2 == label { sub("/$", "", $3); print $3; exit }'
}

require_tools() {
    command -v apt-get >/dev/null ||
        give_up "no image registry answers and this machine has no apt to build $image from: 'docker load' or pull that image by hand."
    command -v mmdebstrap >/dev/null && return 0
    [ "$(id -u)" -eq 0 ] ||
        give_up "no image registry answers and mmdebstrap is missing: install mmdebstrap as root, or 'docker load' $image."
    say 'installing mmdebstrap'
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends mmdebstrap debian-archive-keyring \
        >/dev/null </dev/null || give_up "apt-get could not install mmdebstrap: run 'apt-get update' and try again."
}

build() {
    local main security sources=$scratch/sources.list options=()
    require_tools
    main=$(mirror_of Debian)
    if [ -z "$main" ] && [ "$(id -u)" -eq 0 ]; then
        # The labels come from downloaded lists, which a fresh machine does not have yet.
        apt-get update -qq >/dev/null || true
        main=$(mirror_of Debian)
    fi
    [ -n "$main" ] || give_up "apt on this machine names no Debian mirror: run 'apt-get update', or 'docker load' $image."
    security=$(mirror_of Debian-Security)
    {
        echo "deb $main $suite main"
        echo "deb $main $suite-updates main"
        if [ -n "$security" ]; then echo "deb $security $suite-security main"; fi
    } >"$sources"
    if grep -q ' https:' "$sources"; then options+=(--include=ca-certificates); fi
    say "building $image from this machine's Debian mirror"
    # Manuals, translations and downloaded archives only fatten the image; the exclusions stay in force inside it, for
    # the packages that the Dockerfiles add.
    mmdebstrap --quiet --variant=minbase "${options[@]}" \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        "$suite" - "$sources" 2>"$scratch/build.log" |
        docker import --change 'CMD ["bash"]' - "$image" >/dev/null || {
        tail -n 20 "$scratch/build.log" >&2
        docker image rm "$image" >/dev/null 2>&1 || true
        give_up "mmdebstrap could not build $image: its last messages stand above."
    }
}

main() {
    if docker image inspect "$image" >/dev/null 2>&1; then return 0; fi
    timeout 10 docker info >/dev/null 2>&1 || give_up 'no Docker engine answers: run infra/setup.sh first.'
    scratch=$(mktemp -d)
    trap clean_up EXIT
    say "looking for $image in a registry"
    if pull; then
        say "pulled $image"
        return 0
    fi
    if [ -n "$pull_pid" ]; then
        kill "$pull_pid" 2>/dev/null || true
        pull_pid=''
    fi
    build
    say "built $image"
}

main "$@"
