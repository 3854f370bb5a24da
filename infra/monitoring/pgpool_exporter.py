"""Tells Prometheus how Pgpool sees its backends: `http://<this>:9719/metrics`.

It asks through PCP, and never as a client: a client's session would take one of Pgpool's processes, and hang with the
others when Pgpool hangs. Pgpool asks every backend before it answers and waits 2 s for a frozen one. So a thread asks,
over and over, and a scrape gets what was last answered, with its age.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Thread

from account import drop_privileges, read_secrets
from follow_patroni import Pcp, PcpError
from prometheus_client import REGISTRY, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PORT = 9719
ASK_EVERY_S = 3.0
UP = {"1", "2"}  # Pgpool's numbers: waiting for the first session, and in use


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend as Pgpool has it. ``found_*`` is what it met when it asked the backend itself just now."""

    name: str
    up: bool
    quarantined: bool
    found_up: bool
    primary: bool
    found_primary: bool
    streaming: bool
    delay: float
    changed_at: float


class NodeInfo(Pcp):
    """PCP's node info, an answer in several messages."""

    def count(self) -> int:
        return int(self.call(b"L")[1])

    def backend(self, node: int) -> Backend:
        """Raises PcpError when Pgpool does not tell."""
        try:
            if self.connection is None:
                self.connect()
            self.connection.settimeout(15)
            self.connection.sendall(b"I" + (4 + len(text := b"%d\0" % node)).to_bytes(4) + text)
            while (message := self.message())[0] != "CommandComplete":
                if message[0] == "NodeInfo":
                    found = read(message[1:])
            return found
        except (OSError, UnboundLocalError, IndexError, ValueError) as error:
            self.close()
            raise PcpError(f"node {node}: {error}") from error

    def message(self) -> list[str]:
        """One message's strings; PcpError when it is a refusal."""
        head = self.receive(5)
        strings = self.receive(int.from_bytes(head[1:]) - 4).decode(errors="replace").split("\0")
        if head[:1] in (b"E", b"N"):
            raise PcpError(" ".join(strings))
        return strings


def read(fields: list[str]) -> Backend:
    """Pgpool's fields of one node, in the order of `pcp_node_info`."""
    name, _port, status, quarantine, found, _weight, role, found_role, delay, _by_time, state, _sync, changed = fields[
        :13
    ]
    return Backend(
        name=name,
        up=status in UP,
        quarantined=quarantine == "1",
        found_up=found == "up",
        primary=role == "2",
        found_primary=found_role == "primary",
        streaming=state == "streaming",
        delay=float(delay),
        changed_at=float(changed),
    )


class Look(Thread):
    """Asks Pgpool again and again; ``backends`` is the last answer, ``at`` when it came."""

    def __init__(self, pcp: NodeInfo) -> None:
        super().__init__(daemon=True)
        self.pcp = pcp
        self.backends: tuple[Backend, ...] = ()
        self.at = 0.0
        self.answers = False

    def run(self) -> None:
        while True:
            self.look()
            time.sleep(ASK_EVERY_S)

    def look(self) -> None:
        try:
            self.backends = tuple(self.pcp.backend(node) for node in range(self.pcp.count()))
            self.at, self.answers = time.time(), True
        except PcpError as error:
            if self.answers:
                print(f"pgpool_exporter: {error}", flush=True)
            self.answers = False
            self.pcp.close()


class Backends(Collector):
    """What was last answered. Nothing is told of backends that nobody has told of for a minute."""

    FORGET_S = 60.0

    def __init__(self, look: Look) -> None:
        self.look = look

    def collect(self) -> Iterator[Metric]:
        look, age = self.look, time.time() - self.look.at
        yield GaugeMetricFamily("pgpool_up", "1 when Pgpool answered the last question.", value=look.answers)
        yield GaugeMetricFamily("pgpool_answer_age_seconds", "Age of what is told of backends.", value=age)
        families = {
            "up": "1 when Pgpool sends sessions there.",
            "quarantined": "1 when Pgpool set it aside without a failover.",
            "found_up": "1 when it answered Pgpool just now.",
            "primary": "1 when Pgpool takes it for the primary.",
            "found_primary": "1 when it told Pgpool just now that it is the primary.",
            "streaming": "1 when the primary lists it as streaming.",
        }
        known = look.backends if age < self.FORGET_S else ()
        for field, words in families.items():
            family = GaugeMetricFamily(f"pgpool_backend_{field}", words, labels=("backend",))
            for backend in known:
                family.add_metric((backend.name,), getattr(backend, field))
            yield family
        changed = GaugeMetricFamily(
            "pgpool_backend_status_changed_timestamp_seconds", "When its status changed last.", labels=("backend",)
        )
        for backend in known:
            changed.add_metric((backend.name,), backend.changed_at)
        yield changed


def main() -> None:
    pcp = NodeInfo(read_secrets("lab.env")["PCP_PASSWORD"], os.environ["PGPOOL"])
    drop_privileges()
    look = Look(pcp)
    look.start()
    REGISTRY.register(Backends(look))
    _server, thread = start_http_server(PORT)
    thread.join()


if __name__ == "__main__":
    main()
