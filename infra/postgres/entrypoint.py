"""Starts one member: writes Patroni's configuration from the environment and the secrets, then becomes Patroni.

It starts as root, because the secrets' file belongs to the checkout's owner, and goes on as the user postgres.
"""

import json
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path

from settings import dynamic_configuration, read_secrets

DATA = Path("/data")
WATCHDOG = Path("/dev/watchdog")
CONFIGURATION = Path(os.environ["PATRONICTL_CONFIG_FILE"])


def configuration(member: str, secrets: dict[str, str]) -> dict:
    env = os.environ
    return {
        "scope": env["CLUSTER"],
        "name": member,
        "etcd3": {"hosts": env["ETCD_HOSTS"].split(",")},
        "restapi": {
            "listen": "0.0.0.0:8008",
            "connect_address": f"{member}:8008",
            "authentication": {"username": "patroni", "password": secrets["PATRONI_RESTAPI_PASSWORD"]},
        },
        # patronictl inside the container finds its way to the protected half of the REST API.
        "ctl": {"authentication": {"username": "patroni", "password": secrets["PATRONI_RESTAPI_PASSWORD"]}},
        "watchdog": {"mode": env["WATCHDOG_MODE"], "device": str(WATCHDOG)},
        "bootstrap": {
            "dcs": dynamic_configuration(),
            "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
            "post_init": "/usr/local/lib/chaosbench/create_roles.py",
        },
        "postgresql": {
            "listen": "0.0.0.0:5432",
            "connect_address": f"{member}:5432",
            "data_dir": str(DATA / "pgdata"),
            "bin_dir": "/usr/lib/postgresql/17/bin",
            "pgpass": "/tmp/patroni.pgpass",
            "use_unix_socket": True,
            "authentication": {
                "superuser": {"username": "postgres", "password": secrets["POSTGRES_PASSWORD"]},
                "replication": {"username": "replicator", "password": secrets["REPLICATION_PASSWORD"]},
                "rewind": {"username": "rewind", "password": secrets["REWIND_PASSWORD"]},
            },
            "parameters": {"unix_socket_directories": "/var/run/postgresql"},
            "pg_hba": [
                "local all postgres peer",
                "local all all scram-sha-256",
                "host all all all scram-sha-256",
                "host replication replicator all scram-sha-256",
            ],
            "basebackup": {"checkpoint": "fast", "max-rate": "500M"},
        },
    }


def main() -> None:
    postgres = pwd.getpwnam("postgres")
    secrets = read_secrets()
    text = json.dumps(configuration(socket.gethostname(), secrets), indent=2)
    CONFIGURATION.touch(mode=0o600)
    CONFIGURATION.write_text(text)
    owned = [CONFIGURATION, DATA, Path("/var/run/postgresql")]
    if WATCHDOG.exists():
        # Only this container's node changes hands, not the machine's.
        owned.append(WATCHDOG)
    for path in owned:
        os.chown(path, postgres.pw_uid, postgres.pw_gid)

    os.environ |= {
        "HOME": postgres.pw_dir,
        # For create_roles.py, which Patroni runs once in the cluster's life.
        "CHAOSBENCH_PASSWORD": secrets["CHAOSBENCH_PASSWORD"],
        "PGPOOL_CHECK_PASSWORD": secrets["PGPOOL_CHECK_PASSWORD"],
    }
    os.initgroups("postgres", postgres.pw_gid)
    os.setgid(postgres.pw_gid)
    os.setuid(postgres.pw_uid)
    os.chdir("/")
    # A container that was killed leaves lock files. The process number in them soon belongs to somebody else, for here
    # numbers start anew: PostgreSQL would take that for a running server and refuse to start. Nothing runs here yet,
    # and no other container has this data.
    for stale in (DATA / "pgdata" / "postmaster.pid", *Path("/var/run/postgresql").glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)
    if float(env_patience := os.environ["REJOIN_AFTER"]) > 0:
        # A companion, not a supervisor: the container lives and dies with Patroni.
        rejoin = str(Path(__file__).with_name("rejoin.py"))
        subprocess.Popen([sys.executable, rejoin, str(CONFIGURATION), env_patience])
    os.execvp("patroni", ["patroni", str(CONFIGURATION)])


if __name__ == "__main__":
    main()
