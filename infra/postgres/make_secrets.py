"""Makes the lab's passwords: one file of KEY=value lines, written once and never overwritten.

Usage: make_secrets.py DIRECTORY. The file goes to the directory's owner, so that whoever owns the checkout can read it
although this runs as root in a container.
"""

import os
import secrets
import sys
from pathlib import Path

KEYS = (
    "POSTGRES_PASSWORD",
    "REPLICATION_PASSWORD",
    "REWIND_PASSWORD",
    "CHAOSBENCH_PASSWORD",
    "PGPOOL_CHECK_PASSWORD",
    "PCP_PASSWORD",
    "PATRONI_RESTAPI_PASSWORD",
)


def main(directory: Path) -> None:
    path = directory / "lab.env"
    if path.exists():
        print(f"secrets: {path.name} is there, left alone")
        return
    # Hex needs no quoting in a shell, a connection string or a configuration file.
    text = "".join(f"{key}={secrets.token_hex(20)}\n" for key in KEYS)
    owner = directory.stat()
    draft = directory / ".lab.env.draft"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
    # Renamed whole: nobody ever reads half a file, even if this is killed here.
    draft.rename(path)
    print(f"secrets: {path.name} made")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
