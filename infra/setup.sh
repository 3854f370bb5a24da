#!/usr/bin/env bash
# Makes this machine able to run the lab: a Docker engine that answers, and a Compose to drive it.
#
# Usage: infra/setup.sh
#
# Where both are there already nothing is touched and no privilege is needed. Otherwise, on Debian and as root, what
# is missing is installed and the engine is started. Exit 0: ready. Exit 3: cannot be done here; one line says why.
set -euo pipefail

engine_log=/var/log/chaosbench-dockerd.log
engine_wait_seconds=60

say() { printf 'setup: %s\n' "$*"; }

give_up() {
    printf 'setup: %s\n' "$*" >&2
    exit 3
}

have() { command -v "$1" >/dev/null 2>&1; }

# A frozen engine accepts the connection and never answers, hence the timeout.
engine_answers() { have docker && timeout 10 docker info >/dev/null 2>&1; }

# A docker client may stand first on PATH without the compose plugin, so the plugin is asked for, not assumed.
compose_command() {
    if have docker && docker compose version >/dev/null 2>&1; then
        echo 'docker compose'
    elif have docker-compose; then
        echo 'docker-compose'
    else
        return 1
    fi
}

on_debian() { [ -r /etc/debian_version ] && have apt-get; }

require_debian_root() {
    [ "$(id -u)" -eq 0 ] ||
        give_up "$1, and installing or starting it takes root: run this script once as root, or join the 'docker' group of a running engine."
    on_debian ||
        give_up "$1, and this is not a Debian machine: install Docker Engine and Compose by hand, then run this script again."
}

apt_knows() { [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }

install_missing() {
    local packages=("$@")
    [ "${#packages[@]}" -gt 0 ] || return 0
    say "installing ${packages[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null </dev/null ||
        give_up "apt-get could not install ${packages[*]}: see its messages above, repair the package sources, then run this script again."
}

refresh_package_lists() {
    apt-get update -qq >/dev/null ||
        say 'apt-get update reported errors; going on with the lists at hand'
}

install_engine() {
    local wanted=()
    have dockerd || wanted+=(docker.io)
    have iptables || wanted+=(iptables)
    # From Debian 13 on the client is a package of its own that docker.io only recommends.
    if ! have docker && apt_knows docker-cli; then wanted+=(docker-cli); fi
    install_missing "${wanted[@]}"
}

# A machine that was copied or cut off while the engine ran keeps a pid file that now names nobody, or somebody else;
# dockerd refuses to start over it.
drop_stale_pid_files() {
    local file pid
    for file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
        [ -r "$file" ] || continue
        pid=$(cat "$file")
        case "$(cat "/proc/$pid/comm" 2>/dev/null || true)" in
            dockerd | containerd) ;;
            *) rm -f "$file" ;;
        esac
    done
}

start_engine() {
    local engine_pid=''
    if [ -d /run/systemd/system ]; then
        say 'starting the engine through systemd'
        systemctl start docker || true
    else
        say "starting dockerd (log: $engine_log)"
        drop_stale_pid_files
        setsid nohup dockerd >>"$engine_log" 2>&1 </dev/null &
        engine_pid=$!
    fi
    local deadline=$((SECONDS + engine_wait_seconds))
    until engine_answers; do
        [ "$SECONDS" -lt "$deadline" ] ||
            give_up "the Docker engine did not answer within $engine_wait_seconds s: read $engine_log or 'journalctl -u docker' for its reason."
        if [ -n "$engine_pid" ] && ! kill -0 "$engine_pid" 2>/dev/null; then
            give_up "dockerd ended at once: read $engine_log for its reason."
        fi
        sleep 0.3
    done
}

main() {
    if ! engine_answers; then
        # An engine elsewhere was asked for: a local one would not answer there.
        [ -z "${DOCKER_HOST:-}" ] ||
            give_up "DOCKER_HOST is set but no engine answers there: start that engine, or unset DOCKER_HOST."
        require_debian_root 'no Docker engine answers'
        if ! have dockerd || ! have docker || ! have iptables; then
            refresh_package_lists
            install_engine
        fi
        # Installing the package may have started the engine already.
        engine_answers || start_engine
    fi
    if ! compose_command >/dev/null; then
        require_debian_root 'the engine answers but there is no Compose'
        refresh_package_lists
        install_missing docker-compose
    fi
    local compose
    compose=$(compose_command) || give_up 'Compose is installed but does not run: reinstall the docker-compose package.'
    say "ready: engine $(docker version --format '{{.Server.Version}}'), compose: $compose ($($compose version --short))"
}

main "$@"
