"""Starts the PostgreSQL exporter: it asks whichever member Prometheus names, so one serves the whole cluster."""

import json
import os
from pathlib import Path

from account import drop_privileges, hand_over, read_secrets

CONFIGURATION = Path("/run/postgres_exporter.json")


def configuration(password: str) -> dict:
    return {
        "auth_modules": {
            "lab": {
                "type": "userpass",
                "userpass": {"username": "monitoring", "password": password},
                # A frozen member accepts a connection and says nothing.
                "options": {"sslmode": "disable", "connect_timeout": "3"},
            }
        }
    }


def main() -> None:
    # JSON is YAML enough.
    hand_over(CONFIGURATION, json.dumps(configuration(read_secrets("monitoring.env")["MONITORING_PASSWORD"])))
    drop_privileges()
    os.environ["DATA_SOURCE_NAME"] = ""  # there is no server that it asks unasked
    words = [
        "prometheus-postgres-exporter",
        "--web.listen-address=:9187",
        f"--config.file={CONFIGURATION}",
        "--disable-settings-metrics",
        "--collector.long_running_transactions",
        "--collector.stat_checkpointer",
        # Per table and per role: dozens of series a member that no dashboard shows.
        "--no-collector.stat_user_tables",
        "--no-collector.statio_user_tables",
        "--no-collector.roles",
        "--log.level=error",
    ]
    os.execvp(words[0], words)


if __name__ == "__main__":
    main()
