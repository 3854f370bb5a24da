"""What the programs of this image share: passwords are read as root, and the rest is done as the user prometheus."""

import os
import pwd
from pathlib import Path

SECRETS = Path("/secrets")


def read_secrets(name: str) -> dict[str, str]:
    lines = (line.strip() for line in (SECRETS / name).read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def hand_over(path: Path, text: str) -> None:
    """Write a file that only the user prometheus may read."""
    account = pwd.getpwnam("prometheus")
    path.touch(mode=0o600)
    path.write_text(text)
    os.chown(path, account.pw_uid, account.pw_gid)


def drop_privileges() -> None:
    """Go on as that user, for good."""
    account = pwd.getpwnam("prometheus")
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ["HOME"] = "/tmp"
    os.chdir("/")
