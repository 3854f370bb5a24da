"""The cluster-wide settings, from the container's environment: the one source for the first start and for later ones.

Patroni keeps these in the DCS. `entrypoint.py` hands them over when the cluster is created; `apply_settings.py` brings
the DCS in line again at every `up`.
"""

import os
from pathlib import Path


def dynamic_configuration() -> dict:
    """What Patroni calls the dynamic configuration: the same for every member, kept in the DCS."""
    env = os.environ
    return {
        "ttl": int(env["TTL"]),
        "loop_wait": int(env["LOOP_WAIT"]),
        "retry_timeout": int(env["RETRY_TIMEOUT"]),
        "maximum_lag_on_failover": int(env["MAXIMUM_LAG_ON_FAILOVER"]),
        "synchronous_mode": {"on": True, "off": False}.get(env["SYNCHRONOUS_MODE"], env["SYNCHRONOUS_MODE"]),
        "failsafe_mode": env["FAILSAFE_MODE"] == "true",
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            # A member that cannot be rewound is copied anew instead of staying broken until somebody looks.
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
            "parameters": {
                "max_connections": int(env["MAX_CONNECTIONS"]),
                "shared_buffers": env["SHARED_BUFFERS"],
                "wal_level": "replica",
                "wal_log_hints": "on",
                "wal_keep_size": "512MB",
                "max_wal_senders": 10,
                "max_replication_slots": 10,
                "hot_standby": "on",
                # Keeps long reads on a replica alive; the price is bloat on the leader while they run.
                "hot_standby_feedback": "on",
                "password_encryption": "scram-sha-256",
                # Iterations slow down guessing; these passwords are 160 random bits, beyond any guessing. Pgpool goes
                # through them once for every backend of every session, which made a storm of reconnects last.
                "scram_iterations": 64,
                "log_line_prefix": "%m [%p] %q%u@%d %a ",
                "log_timezone": "UTC",
                "log_checkpoints": "on",
                "log_lock_waits": "on",
            },
        },
    }


def read_secrets(path: Path = Path("/secrets/lab.env")) -> dict[str, str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
