"""Readies the lab for being looked at, at every `up` with monitoring; what is so already is left alone.

- secrets/monitoring.env: the passwords of Grafana and of the exporter, made once, like those of lab.env.
- The role that the exporter logs in with. It may read the monitoring views and owns nothing. It has a verifier of its
  own making: the exporter's driver refuses fewer than 4096 SCRAM iterations, and the lab's other roles have 64.
- Grafana's password in a volume, for the user that its image runs as.
"""

import os
import sys
import time
from pathlib import Path

import psycopg
from account import SECRETS, read_secrets
from make_secrets import make
from psycopg import sql

NAME = "monitoring.env"
KEYS = ("GRAFANA_PASSWORD", "MONITORING_PASSWORD")
ROLE = "monitoring"
GRAFANA_USER = 472
PATIENCE_S = 120.0


def create_role(members: str, superuser: str, password: str) -> None:
    """On whichever member takes writes. Raises psycopg's OperationalError when none does for long."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            with psycopg.connect(
                host=members,
                user="postgres",
                password=superuser,
                dbname="postgres",
                target_session_attrs="read-write",
                connect_timeout=5,
                autocommit=True,
            ) as connection:
                put_role(connection, password)
                return
        except psycopg.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(1)


def put_role(connection: psycopg.Connection, password: str) -> None:
    connection.execute("SET scram_iterations = 4096")
    known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone() is not None
    verb = sql.SQL("ALTER" if known else "CREATE")
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN CONNECTION LIMIT 10 PASSWORD {}").format(
            verb, sql.Identifier(ROLE), sql.Literal(password)
        )
    )
    connection.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(ROLE)))


def give_grafana(directory: Path, password: str) -> None:
    path = directory / "password"
    path.touch(mode=0o400)
    path.write_text(password)
    os.chown(path, GRAFANA_USER, 0)


def main() -> int:
    make(SECRETS, Path("/kept"), NAME, KEYS)
    passwords = read_secrets(NAME)
    give_grafana(Path("/grafana"), passwords["GRAFANA_PASSWORD"])
    try:
        superuser = read_secrets("lab.env")["POSTGRES_PASSWORD"]
        create_role(os.environ["MEMBERS"], superuser, passwords["MONITORING_PASSWORD"])
    except (psycopg.Error, FileNotFoundError) as error:
        print(f"monitoring: the exporter's role could not be made: {error}".splitlines()[0], flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
