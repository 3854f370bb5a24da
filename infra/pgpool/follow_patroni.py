"""Keeps Pgpool's view of the cluster equal to Patroni's.

One thread a member asks Patroni's REST API who is what and whether it holds the leader key, and, where that stays
silent, PostgreSQL's port whether anybody is there. The main loop lays those answers beside Pgpool's own view and takes
the next steps towards agreement. It is level-triggered: no step depends on having seen a change happen, so a restart of
Pgpool, of this program or of a member, or a step that got lost, is made good in a later round.

What Pgpool 4.6 does with each step decides their order:
- promote: takes effect at once and asks no backend, but marks every other node down and ends every session.
- attach: searches the primary among the nodes that are up; without a leader it would forget the primary, and one
  frozen node would block all of Pgpool. So: attach only under a leader, and only once every node that is up answers.
- detach: of a standby, is immediate; of the primary, searches a new one for `search_primary_node_timeout`.
"""

import hashlib
import http.client
import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

RUN = Path("/run/pgpool")
PCP_PORT = 9898
POLL_SECONDS = 1.0
UNSETTLED_POLL_SECONDS = 0.25
PROBE_TIMEOUT = 1.0
REFUSED_AFTER = 1.5  # a member that refuses for so long is taken out; shorter gaps are a restart in place
SILENT_AFTER = 5.0  # one that stays silent gets longer: a storm of reconnecting clients can look like a freeze
VIEW_SECONDS = 10.0  # Pgpool logs three lines whenever it is asked who is primary: seldom while nothing moves,
SETTLE_SECONDS = 3.0  # but every round for so long after a change
START_GRACE = 10.0  # nobody is taken out so soon after the start: the whole lab may be starting
STALLED_AFTER = 2.0  # a round so late means that this process itself stood still, and what it knows is old
STALL_GRACE = 3.0  # so it looks again before it takes anybody out
PATIENCE = 2.0  # a step has so long to take effect before it is ordered again, each time twice as long
PATIENCE_LIMIT = 16.0
PROMOTE_PATIENCE = 16.0  # an order to promote is queued, and each one that is carried out ends every session anew


@dataclass(frozen=True, slots=True)
class Member:
    """What one member said last."""

    name: str
    leads: bool = False  # it holds the leader key, and it is a primary
    streams: bool = False
    timeline: int = 0
    refuses: bool = False  # nobody there, as opposed to nobody answering
    seen: float = 0.0  # when it was last reached at all
    asked: float = 0.0  # when this was found out

    def answers(self, now: float) -> bool:
        """It was reached in the very last probe, and that was just now."""
        return self.seen == self.asked and now - self.asked < POLL_SECONDS + 2 * PROBE_TIMEOUT

    def lost(self, now: float) -> bool:
        return now - self.seen > (REFUSED_AFTER if self.refuses else SILENT_AFTER) and not self.answers(now)


@dataclass(frozen=True, slots=True)
class Step:
    action: str  # attach, detach or promote
    node: int
    reason: str


def leader_of(members: list[Member], now: float) -> int | None:
    # A leader that lost its key while it could not look (a clock that was set, a machine that stood still) may believe
    # in it a little longer than the DCS does: the newest timeline is the true one.
    leaders = [node for node, member in enumerate(members) if member.leads and member.answers(now)]
    return max(leaders, key=lambda node: members[node].timeline, default=None)


def choose(members: list[Member], up: list[bool], leader_is_primary: bool, now: float) -> list[Step]:
    """The next steps towards agreement; none if there is nothing to do for now. Pure: no clock, no input or output."""
    leader = leader_of(members, now)
    silent = [node for node, member in enumerate(members) if up[node] and not member.answers(now)]
    lost = [node for node in silent if members[node].lost(now)]

    if leader is not None and up[leader] and not leader_is_primary:
        return [Step("promote", leader, f"{members[leader].name} leads on timeline {members[leader].timeline}")]
    if lost:
        node = lost[0]
        return [Step("detach", node, f"{members[node].name} not reached for {now - members[node].seen:.1f} s")]
    if silent:
        return []
    if leader is not None and not up[leader]:
        return [Step("attach", leader, f"{members[leader].name} leads on timeline {members[leader].timeline}")]
    out = [node for node, member in enumerate(members) if not up[node] and member.answers(now)]
    if leader is None:
        if out and not any(up):
            return [Step("attach", out[0], f"{members[out[0]].name} answers, and no node was up to read from")]
        return []
    # All at once: sessions stand still for a second whenever Pgpool handles a step, and it handles these together.
    return [
        Step("attach", node, f"{members[node].name} streams on the leader's timeline {members[node].timeline}")
        for node in out
        if members[node].streams and members[node].timeline == members[leader].timeline
    ]


class Prober(threading.Thread):
    """Asks one member again and again. Apart from the others, because a frozen one answers nobody for a while."""

    def __init__(self, name: str, unsettled: threading.Event) -> None:
        super().__init__(daemon=True)
        self.member = Member(name, seen=time.monotonic(), asked=time.monotonic() - 60)
        self.unsettled = unsettled

    def run(self) -> None:
        while True:
            self.member = self.probe()
            time.sleep(UNSETTLED_POLL_SECONDS if self.unsettled.is_set() else POLL_SECONDS)

    def probe(self) -> Member:
        name, before = self.member.name, self.member
        try:
            holds_key, state = self.ask_patroni()
            if state.get("state") == "running":
                now = time.monotonic()
                leads = holds_key and state.get("role") in ("primary", "master")
                streams = state.get("replication_state") == "streaming"
                return Member(name, leads, streams, int(state.get("timeline") or 0), seen=now, asked=now)
        except (OSError, ValueError, http.client.HTTPException):
            pass
        reached, refuses = self.ask_postgres()
        now = time.monotonic()
        return Member(name, refuses=refuses, seen=now if reached else before.seen, asked=now)

    def ask_patroni(self) -> tuple[bool, dict]:
        """Whether it holds the leader key, and what it says of its PostgreSQL.

        The answer's body calls every server out of recovery a primary, one too that somebody promoted by hand. The
        status is 200 only for the holder of the key, until its lease runs out, and that without asking the DCS.
        """
        connection = http.client.HTTPConnection(self.member.name, 8008, timeout=PROBE_TIMEOUT)
        try:
            connection.request("GET", "/leader")
            answer = connection.getresponse()
            return answer.status == http.client.OK, json.load(answer)
        finally:
            connection.close()

    def ask_postgres(self) -> tuple[bool, bool]:
        """Whether it answers, and if not whether it refuses. The question is: do you do TLS? The kernel accepts even
        for a frozen server, so only a byte in answer counts.
        """
        try:
            with socket.create_connection((self.member.name, 5432), timeout=PROBE_TIMEOUT) as connection:
                connection.sendall((8).to_bytes(4) + (80877103).to_bytes(4))
                return connection.recv(1) in (b"S", b"N"), True
        except TimeoutError:
            return False, False
        except OSError:
            return False, True


class PcpError(Exception):
    """Pgpool refused a request or did not answer."""


class Pcp:
    """A client of Pgpool's control protocol: one byte for the kind, four for the length, then strings ended by NUL."""

    def __init__(self, password: str, host: str = "127.0.0.1") -> None:
        self.password = password
        self.host = host
        self.connection: socket.socket | None = None

    def call(self, kind: bytes, body: bytes = b"") -> list[str]:
        """One request and its answer's strings. Any trouble closes the connection; the next call opens a new one."""
        try:
            if self.connection is None:
                self.connect()
            answer = self.exchange(kind, body)
        except (OSError, PcpError) as error:
            self.close()
            raise PcpError(str(error) or type(error).__name__) from error
        return answer.decode(errors="replace").split("\0")

    def connect(self) -> None:
        self.connection = socket.create_connection((self.host, PCP_PORT), timeout=5)
        salt = self.exchange(b"M", b"")[:4]
        inner = hashlib.md5(hashlib.md5(self.password.encode()).hexdigest().encode() + b"pcp").hexdigest()
        proof = hashlib.md5(inner.encode() + salt).hexdigest()
        self.exchange(b"R", b"pcp\0" + proof.encode() + b"\0")

    def exchange(self, kind: bytes, body: bytes) -> bytes:
        self.connection.sendall(kind + (len(body) + 4).to_bytes(4) + body)
        head = self.receive(5)
        answer = self.receive(int.from_bytes(head[1:]) - 4)
        if head[:1] in (b"E", b"N"):
            fields = answer.decode(errors="replace").split("\0")
            raise PcpError(" ".join(field[1:] for field in fields if field[:1] in ("M", "D")))
        return answer

    def receive(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            chunk = self.connection.recv(size - len(received))
            if not chunk:
                raise PcpError("Pgpool closed the control connection")
            received += chunk
        return received

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def status_and_role(self, node: int) -> tuple[str, str]:
        """As Pgpool sees the node. The health-check request, unlike node info, asks no backend, so it cannot hang."""
        _code, _node, _host, _port, status, role, *_rest = self.call(b"H", b"%d\0" % node)
        return status, role

    def take(self, step: Step) -> None:
        # On a connection of its own: the process that serves a connection judges by what it knew of the nodes when that
        # was opened, and refuses to promote one that was down then.
        self.close()
        if step.action == "promote":
            self.call(b"J", b"%d \0n" % step.node)
        else:
            self.call({"attach": b"C", "detach": b"D"}[step.action], b"%d\0" % step.node)


def say(text: str) -> None:
    # The same stamp as on Pgpool's own lines, which share this log.
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    print(f"{stamp}: follow_patroni: {text}", flush=True)


def read_status_file(before: list[bool]) -> list[bool]:
    """Which nodes are up. Pgpool writes this file whenever that changes, except when the last node goes down."""
    try:
        lines = (RUN / "pgpool_status").read_text().split()
    except FileNotFoundError:
        return before
    # Caught in the middle of a write, the next round will see it whole.
    return [line == "up" for line in lines] if len(lines) == len(before) else before


class Reconciler:
    """What is remembered between two rounds; losing it all costs one round."""

    def __init__(self, names: list[str], pcp: Pcp) -> None:
        self.pcp = pcp
        self.unsettled = threading.Event()
        self.unsettled.set()
        self.probers = [Prober(name, self.unsettled) for name in names]
        self.up = [True] * len(names)  # so Pgpool starts
        self.leader: int | None = None
        self.rounded = time.monotonic()
        self.no_detach_before = self.rounded + START_GRACE
        self.changed = self.viewed = -60.0
        self.leader_is_primary = self.leader_is_up = False
        self.patience: dict[tuple[str, int], tuple[float, float]] = {}  # by action and node: not before, the next wait
        self.trouble = ""

    def start(self) -> None:
        for prober in self.probers:
            prober.start()

    def round(self) -> bool:
        """One look and the next steps. True: Pgpool and Patroni agree, and every member is in."""
        now = time.monotonic()
        if now - self.rounded > STALLED_AFTER:
            self.no_detach_before = max(self.no_detach_before, now + STALL_GRACE)
        self.rounded = now
        members = [prober.member for prober in self.probers]
        leader, up = leader_of(members, now), read_status_file(self.up)
        if (leader, up) != (self.leader, self.up):
            self.leader, self.up, self.changed = leader, up, now
        try:
            up = self.view(leader, up, now)
            steps = choose(members, up, self.leader_is_primary, now)
            for step in steps:
                if step.action != "detach" or now > self.no_detach_before:
                    self.take(step, now)
            self.trouble = ""
        except PcpError as error:
            self.viewed = -60.0
            if str(error) != self.trouble:
                self.trouble = str(error)
                say(f"Pgpool's control port: {self.trouble}")
            return False
        self.forget_patience({(step.action, step.node) for step in steps}, now)
        return not steps and self.leader_is_primary and all(up) and all(member.answers(now) for member in members)

    def view(self, leader: int | None, up: list[bool], now: float) -> list[bool]:
        """Ask Pgpool about the leader when it is time to; returns which nodes Pgpool has up."""
        if leader is None:
            self.leader_is_primary, self.viewed = False, -60.0
            return up
        if now - self.viewed > VIEW_SECONDS or now - self.changed < SETTLE_SECONDS:
            status, role = self.pcp.status_and_role(leader)
            self.leader_is_primary, self.leader_is_up, self.viewed = role == "primary", status in ("up", "waiting"), now
        # With every node down the file is out of date, and a step built on it would be refused for ever.
        return [*up[:leader], self.leader_is_up, *up[leader + 1 :]]

    def forget_patience(self, pending: set[tuple[str, int]], now: float) -> None:
        """The last step took effect on a node that does not need it now."""
        for step in [*self.patience.keys() - pending]:
            if now > self.patience[step][0]:
                del self.patience[step]

    def take(self, step: Step, now: float) -> None:
        key = step.action, step.node
        not_before, wait = self.patience.get(key, (now, PATIENCE))
        if now < not_before:
            return
        # Pgpool queues what it cannot do at once: asked too often, it would do it as often, ending every session anew.
        self.patience[key] = now + wait, min(2 * wait, PATIENCE_LIMIT)
        self.changed = now
        say(f"{step.action} node {step.node}: {step.reason}")
        self.pcp.take(step)
        if step.action == "promote":
            self.patience[key] = now + PROMOTE_PATIENCE, PATIENCE_LIMIT


def main() -> None:
    names = os.environ["MEMBERS"].split(",")
    reconciler = Reconciler(names, Pcp((RUN / "pcp_password").read_text().strip()))
    in_step = RUN / "in-step"
    reconciler.start()
    say(f"following {', '.join(names)}")
    agreed = False
    while True:
        time.sleep(UNSETTLED_POLL_SECONDS)
        agreed_before, agreed = agreed, reconciler.round()
        if agreed:
            reconciler.unsettled.clear()
            in_step.touch()
        else:
            reconciler.unsettled.set()
        if agreed != agreed_before:
            say("in step: Pgpool's view equals Patroni's" if agreed else "out of step")


if __name__ == "__main__":
    main()
