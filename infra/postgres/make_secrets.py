"""Makes the lab's passwords: one file of KEY=value lines, made once for as long as the lab's data lives.

Usage: make_secrets.py DIRECTORY KEPT. The file goes to DIRECTORY, in the checkout, and to its owner, so that whoever
owns the checkout can read it although this runs as root in a container. KEPT is a volume beside those of the data: what
is there is what the data was made with, and wins over a checkout that has no passwords, or others.
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


NAME = "lab.env"


def make(directory: Path, kept: Path, name: str = NAME, keys: tuple[str, ...] = KEYS) -> None:
    """Have the file in both places, the same."""
    if (kept / name).exists():
        text = (kept / name).read_text()
    elif (directory / name).exists():
        text = (directory / name).read_text()
    else:
        # Hex needs no quoting in a shell, a connection string or a configuration file.
        text = "".join(f"{key}={secrets.token_hex(20)}\n" for key in keys)
    for place in (kept, directory):
        put(text, place / name)


def put(text: str, path: Path) -> None:
    """Have the file with this text; it is left alone when it is so already."""
    directory = path.parent
    if path.exists() and path.read_text() == text:
        return
    owner = directory.stat()
    draft = directory / f".{path.name}.draft"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
    # Renamed whole: nobody ever reads half a file, even if this is killed here.
    draft.rename(path)
    print(f"secrets: {path} made")


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
