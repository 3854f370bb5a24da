"""Brings the dynamic configuration in the DCS in line with the environment, then exits.

It waits, within bounds, until some member has a configuration to compare with; it writes only when something differs,
so running it again costs one request. Exit 0: in line. Exit 1: no member answered in time, or the change was refused.
"""

import base64
import json
import os
import sys
import time
import urllib.request

from settings import dynamic_configuration, read_secrets

WAIT_SECONDS = 120


def differs(wanted: dict, present: dict) -> bool:
    """True if anything wanted is not so at present; what is present beyond that is none of our business."""
    for key, value in wanted.items():
        if isinstance(value, dict):
            if differs(value, present.get(key) or {}):
                return True
        elif present.get(key) != value:
            return True
    return False


def call(member: str, body: dict | None = None) -> dict:
    request = urllib.request.Request(f"http://{member}:8008/config", method="GET" if body is None else "PATCH")
    if body is not None:
        login = base64.b64encode(f"patroni:{read_secrets()['PATRONI_RESTAPI_PASSWORD']}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def main() -> int:
    wanted = dynamic_configuration()
    members = os.environ["MEMBERS"].split(",")
    deadline = time.monotonic() + WAIT_SECONDS
    problem = "no attempt"
    while time.monotonic() < deadline:
        for member in members:
            try:
                if not differs(wanted, call(member)):
                    print(f"settings: in line (asked {member})")
                    return 0
                call(member, wanted)
                print(f"settings: changed through {member}")
            except (OSError, ValueError) as error:
                problem = f"{member}: {error}"
        time.sleep(0.5)
    print(f"settings: gave up after {WAIT_SECONDS} s, last problem: {problem}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
