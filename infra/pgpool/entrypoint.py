"""Starts the access point: writes Pgpool's configuration, then runs Pgpool and its reconciler side by side.

Should the reconciler die it is started again: clients do not notice. Should Pgpool die the container ends, so that the
engine's restart policy, and whoever watches the container, see it. It starts as root to read the secrets and to write
the configuration; both children run as the user postgres.
"""

import hashlib
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

RUN = Path("/run/pgpool")
SEMAPHORES = Path("/proc/sysvipc/sem")
RECONCILER = Path(__file__).with_name("follow_patroni.py")
POSTGRES = pwd.getpwnam("postgres")


def read_secrets() -> dict[str, str]:
    lines = (line.strip() for line in Path("/secrets/lab.env").read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def settings(members: list[str]) -> dict[str, object]:
    env = os.environ
    fixed = {
        "backend_clustering_mode": "streaming_replication",
        "listen_addresses": "*",
        "port": 9999,
        "pcp_listen_addresses": "*",
        "pcp_port": 9898,
        "unix_socket_directories": RUN,
        "pcp_socket_dir": RUN,
        "pid_file_name": RUN / "pgpool.pid",
        "logdir": RUN,
        # Clients log in by SCRAM; so does Pgpool at the backends, which takes the clear password from pool_passwd.
        "enable_pool_hba": "on",
        "pool_passwd": RUN / "pool_passwd",
        "allow_clear_text_frontend_auth": "off",
        # One process serves one client. Without reserved connections a client too many waits in the listen queue for
        # ever; with them it is told so.
        "process_management_mode": "static",
        "num_init_children": env["NUM_INIT_CHILDREN"],
        "reserved_connections": env["RESERVED_CONNECTIONS"],
        "max_pool": 1,
        "child_life_time": 0,
        "load_balance_mode": "on",
        "statement_level_load_balance": env["STATEMENT_LEVEL_LOAD_BALANCE"],
        # Who is primary is Patroni's decision, and the reconciler carries it over. So nothing here may take a backend
        # away because of one error, nor hunt long for a primary while every client waits.
        "failover_on_backend_error": "off",
        "failover_on_backend_shutdown": "off",
        "detach_false_primary": "off",
        "auto_failback": "off",
        "search_primary_node_timeout": 1,
        "failover_command": "",
        "follow_primary_command": "",
        # A second line of defence, should the reconciler itself be gone: slower on purpose.
        "health_check_period": 10,
        "health_check_timeout": 5,
        "health_check_max_retries": 2,
        "health_check_retry_delay": 2,
        "health_check_user": "pgpool_check",
        "health_check_database": "postgres",
        "connect_timeout": 2000,
        "sr_check_period": 10,
        "sr_check_user": "pgpool_check",
        "sr_check_database": "postgres",
        "use_watchdog": "off",
        "log_destination": "stderr",
        "log_line_prefix": "%m: %a pid %p: ",
        "log_pcp_processes": "off",
        # Unused, yet its shared memory would be allocated at the default size.
        "memory_cache_enabled": "off",
        "memqcache_total_size": "1MB",
        "memqcache_max_num_cache": 1000,
    }
    for number, member in enumerate(members):
        fixed |= {
            f"backend_hostname{number}": member,
            f"backend_port{number}": 5432,
            f"backend_weight{number}": 1,
            f"backend_flag{number}": "ALLOW_TO_FAILOVER",
            f"backend_application_name{number}": member,
        }
    return fixed


def write(path: Path, lines: list[str]) -> None:
    path.touch(mode=0o600)
    path.write_text("".join(f"{line}\n" for line in lines))


def write_configuration(secrets: dict[str, str]) -> None:
    RUN.mkdir(mode=0o700, exist_ok=True)
    members = os.environ["MEMBERS"].split(",")
    write(RUN / "pgpool.conf", [f"{key} = '{value}'" for key, value in settings(members).items()])
    write(RUN / "pool_hba.conf", ["local all all scram-sha-256", "host all all all scram-sha-256"])
    users = {
        "postgres": secrets["POSTGRES_PASSWORD"],
        "chaosbench": secrets["CHAOSBENCH_PASSWORD"],
        "pgpool_check": secrets["PGPOOL_CHECK_PASSWORD"],
    }
    write(RUN / "pool_passwd", [f"{user}:TEXT{password}" for user, password in users.items()])
    # PCP knows no better than MD5; its port is published on 127.0.0.1 only.
    write(RUN / "pcp.conf", [f"pcp:{hashlib.md5(secrets['PCP_PASSWORD'].encode()).hexdigest()}"])
    write(RUN / "pcp_password", [secrets["PCP_PASSWORD"]])
    for path in (RUN, *RUN.iterdir()):
        os.chown(path, POSTGRES.pw_uid, POSTGRES.pw_gid)


def start(*command: str) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        user=POSTGRES.pw_uid,
        group=POSTGRES.pw_gid,
        extra_groups=[],
        cwd="/",
        env={**os.environ, "HOME": str(RUN)},
    )


def run_first(process: subprocess.Popen) -> None:
    """Let it have the CPU before its own children.

    After a failover hundreds of clients log in at once, each a busy process beside Pgpool's main, and the container's
    share of a CPU is soon used up. Main then came to the order that would have let them write again 10 s late. What it
    forks starts at the usual priority.
    """
    try:
        os.sched_setscheduler(process.pid, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, process.pid, -15)
    except PermissionError:
        print("entrypoint: without CAP_SYS_NICE Pgpool's main waits for a CPU behind its children", flush=True)


def stop(process: subprocess.Popen, with_signal: int, patience: float) -> None:
    if process.poll() is None:
        process.send_signal(with_signal)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()


def has_locks() -> bool:
    """Whether Pgpool's semaphores are there. They are the only ones in this container, and /proc shows no others.

    Pgpool 4.6 loses them for good when it restarts its children at a failover and one of them was forked that very
    moment: it still has the parent's signal handlers and takes the parent's semaphores along ("exit handler called").
    From then on nothing in Pgpool excludes anything else: orders get lost or run twice, clients hang, children crash.
    """
    return len(SEMAPHORES.read_text().splitlines()) > 1


def main() -> int:
    write_configuration(read_secrets())
    # -D: what a former Pgpool thought of the backends is stale by now, and would keep a healthy node out for good.
    pgpool = start(
        "pgpool", "-n", "-D", "-f", f"{RUN}/pgpool.conf", "-F", f"{RUN}/pcp.conf", "-a", f"{RUN}/pool_hba.conf"
    )
    run_first(pgpool)
    reconciler = start(sys.executable, str(RECONCILER))

    asked_to_stop = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: asked_to_stop.append(received))

    had_locks = False
    while not asked_to_stop and pgpool.poll() is None:
        if had_locks and not has_locks():
            print("entrypoint: Pgpool has lost its semaphores and cannot go on", flush=True)
            pgpool.kill()
            break
        had_locks = has_locks()
        if reconciler.poll() is not None:
            print(f"entrypoint: the reconciler ended ({reconciler.returncode}), starting it again", flush=True)
            reconciler = start(sys.executable, str(RECONCILER))
        time.sleep(0.5)

    stop(reconciler, signal.SIGTERM, 2)
    # SIGINT is Pgpool's fast shutdown: it disconnects the clients instead of waiting for them.
    stop(pgpool, signal.SIGINT, 10)
    if not asked_to_stop:
        print(f"entrypoint: Pgpool ended ({pgpool.returncode})", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
