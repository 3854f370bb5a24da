"""The processes inside a member's container: found by name, told apart from their successors, signalled.

A process is its id *and* its start time: an id that was given to another process
meanwhile is not hit. What runs in the container is its own ``bash`` and ``/proc``;
the images need no tools for this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaosbench.errors import FaultError
from chaosbench.model.cluster import Executed

INIT = 1
"""A container's first process: the kernel spares it any signal that it does not ask for."""

STOPPED = "T"

FELLED = 128 + 9
"""How a command ends that the kernel kills because its container's first process ended, as after KILL of etcd."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process as ``/proc`` tells it; ``started`` in clock ticks since the machine's boot, ``state`` one letter."""

    pid: int
    parent: int
    started: int
    state: str
    name: str
    command: str

    @property
    def handle(self) -> str:
        """What tells it from every other process, also later ones."""
        return f"{self.pid}:{self.started}"


# A shell that was sent in from outside has parent 0, as the first process has: it and its children are left out.
LIST = r"""
declare -A parent
for directory in /proc/[0-9]*; do
    pid=${directory#/proc/}
    { IFS= read -r stat <"$directory/stat" && mapfile -d '' -t words <"$directory/cmdline"; } 2>/dev/null || continue
    name=${stat#*(} name=${name%)*} fields=(${stat##*) })
    command="${words[*]}" command=${command//[$'\n\t']/ }
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$pid" "${fields[1]}" "${fields[19]}" "${fields[0]}" "$name" "${command:0:200}"
done
"""

# $1 is a signal's name, or "look"; then handles. Each is answered with its state. A signal is waited for, two seconds
# at most: a process stops only when it next runs.
ACT = r"""
signal=$1; shift
state_of() {
    local stat fields
    state=gone
    { IFS= read -r stat <"/proc/${1%:*}/stat"; } 2>/dev/null || return 0
    fields=(${stat##*) })
    if [[ ${fields[19]} == "${1#*:}" ]]; then state=${fields[0]}; fi
}
if [[ $signal != look ]]; then
    for one; do
        state_of "$one"
        [[ $state == gone ]] || kill -s "$signal" "${one%:*}" || exit 1
    done
fi
for one; do
    for ((turn = 0; turn < 40; turn++)); do
        state_of "$one"
        case $signal/$state in
            STOP/[TtZX] | STOP/gone | CONT/[!T]* | KILL/[ZX] | KILL/gone) break ;;
            STOP/* | CONT/* | KILL/*) sleep 0.05 ;;
            *) break ;;
        esac
    done
    printf '%s %s\n' "$one" "$state"
done
"""


def listing(executed: Executed) -> tuple[Process, ...]:
    """The processes that :data:`LIST` told, without those that were sent in from outside; FaultError if it failed."""
    if not executed.ok:
        raise FaultError(f"the processes cannot be listed: {executed.output.strip()}")
    rows = [line.split("\t") for line in executed.output.splitlines()]
    found = {
        int(row[0]): Process(int(row[0]), int(row[1]), int(row[2]), row[3], row[4], row[5].strip())
        for row in rows
        if len(row) == 6
    }
    return tuple(process for pid, process in sorted(found.items()) if _root(pid, found) == INIT)


def _root(pid: int, found: dict[int, Process]) -> int:
    while pid in found and found[pid].parent in found:
        pid = found[pid].parent
    return pid


def states(executed: Executed) -> dict[str, str]:
    """Each handle's state as :data:`ACT` told it, none where the container ended meanwhile; FaultError if it failed."""
    if executed.code == FELLED:
        return {}
    if not executed.ok:
        raise FaultError(f"the processes cannot be signalled: {executed.output.strip()}")
    return dict(line.rsplit(" ", 1) for line in executed.output.splitlines() if " " in line)


def find(word: str, processes: Sequence[Process]) -> tuple[Process, ...]:
    """The processes that a word of the scenario means: one of :data:`WORDS`, or a pattern of their command lines."""
    known = WORDS.get(word)
    if known is not None:
        return known(processes)
    return tuple(process for process in processes if re.search(word, process.command))


def _parents(name: str) -> Callable[[Sequence[Process]], tuple[Process, ...]]:
    def of(processes: Sequence[Process]) -> tuple[Process, ...]:
        ours = {process.pid: process for process in processes if process.name == name}
        # A child that outlived its parent goes to the first process, yet keeps its title, as in "pgpool: ".
        return tuple(p for p in ours.values() if p.parent not in ours and not p.command.startswith(f"{name}: "))

    return of


def _commands(pattern: str) -> Callable[[Sequence[Process]], tuple[Process, ...]]:
    return lambda processes: tuple(process for process in processes if re.search(pattern, process.command))


def _sessions(processes: Sequence[Process]) -> tuple[Process, ...]:
    """One of Pgpool's children: the first that serves a client, or else the first that waits for one."""
    parent = next(iter(_parents("pgpool")(processes)), None)
    waiting = r"wait for connection request"
    others = r"PCP|worker process|health check|logger|watchdog|lifecheck|heartbeat"
    children = [p for p in processes if parent and p.parent == parent.pid and not re.search(others, p.command)]
    busy = [process for process in children if not re.search(waiting, process.command)]
    return tuple((busy or children)[:1])


WORDS: dict[str, Callable[[Sequence[Process]], tuple[Process, ...]]] = {
    "postmaster": _parents("postgres"),
    "walreceiver": _commands(r"^postgres: .*\bwalreceiver\b"),
    "startup": _commands(r"^postgres: .*\bstartup\b"),
    "patroni": _commands(r"(^|[ /])patroni( |$)"),
    "etcd": _parents("etcd"),
    "pgpool": _parents("pgpool"),
    "pgpool-child": _sessions,
}
"""The words for processes that every member of a kind has; each to those it means among a member's processes."""
