"""Copies this member anew from the leader when it cannot rejoin by itself.

Patroni rewinds a member that has diverged, but leaves one alone that merely lacks WAL which the leader no longer has;
seen after two leader kills in a row: "requested WAL segment has already been removed", for ever. So a replica that for
a while neither streams nor gains a byte, under a leader that it can reach, asks its own Patroni for a
reinitialisation. A replica cut off from the leader is left alone: its data may be the last copy.
"""

import base64
import http.client
import json
import subprocess
import sys
import time
from pathlib import Path

LOOK_SECONDS = 5
# "starting" too: without that WAL a restarted replica never becomes consistent and starts for ever.
STUCK_STATES = ("running", "starting", "start failed")


def patroni(path: str, method: str = "GET", login: dict | None = None, body: dict | None = None) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", 8008, timeout=5)
    headers = {}
    if login:
        token = base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if method == "POST":
            return {"status": answer.status, "text": text}
        return json.loads(text)
    finally:
        connection.close()


def stuck_at(state: dict) -> tuple | None:
    """Where this replica stands if it is stuck there; None if it leads, streams, or is busy."""
    if state.get("role") != "replica" or state.get("state") not in STUCK_STATES:
        return None
    if state.get("replication_state") == "streaming":
        return None
    xlog = state.get("xlog") or {}
    return state["state"], xlog.get("received_location"), xlog.get("replayed_location"), startup_title()


def startup_title() -> str:
    """What PostgreSQL's startup process says it is doing: it names the WAL segment, so it changes with any progress."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes().decode(errors="replace").strip("\0 ")
        except OSError:
            continue
        if title.startswith("postgres:") and ": startup" in title:
            return title
    return ""


def leader_within_reach() -> str | None:
    for member in patroni("/cluster")["members"]:
        if member["role"] == "leader" and member["state"] == "running":
            ready = subprocess.run(["pg_isready", "-q", "-t", "3", "-h", member["host"]], check=False)
            return member["name"] if ready.returncode == 0 else None
    return None


def main(patience: float, login: dict) -> None:
    since, where = time.monotonic(), None
    while True:
        time.sleep(LOOK_SECONDS)
        now = time.monotonic()
        try:
            here = stuck_at(patroni("/patroni"))
            leader = leader_within_reach() if here is not None else None
            if here is None or leader is None or (here, leader) != where:
                since, where = now, (here, leader)
            elif now - since >= patience:
                print(f"rejoin: stuck at {here} for {now - since:.0f} s under {leader}, copying anew", flush=True)
                print(f"rejoin: {patroni('/reinitialize', 'POST', login, {'force': True})}", flush=True)
                since = now
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            # Patroni starts, stops or is silent: look again later, and count from then.
            since, where = now, None


if __name__ == "__main__":
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    main(float(sys.argv[2]), settings["restapi"]["authentication"])
