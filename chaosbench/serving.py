"""Which server acknowledged what, and whether two of them did so at once. Pure: fed in order of acknowledgement.

A *server* is a node on a timeline: a node that is promoted again is another
server. Servers succeed one another: by timeline, and where two nodes made the
same timeline (each unaware of the other), by their first acknowledgement.

Split brain: a server acknowledges an operation that was *sent* after one of its
successors had *acknowledged* something. The times are the client's own, so that
an acknowledgement which was merely late on its way is never taken for one: what
was sent later was also executed later.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

MOST = 2000
"""Servers told apart in one run; a ledger row has two bytes for its server. What comes later is not told apart."""

NOBODY = 0
"""The number of an acknowledgement that did not say who gave it."""


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """A node, by the address under which its own host knows it, on one timeline."""

    timeline: int
    address: str

    @classmethod
    def parse(cls, mark: str) -> Server:
        """From ``address/timeline``, the timeline in hexadecimal as in the name of a WAL file. Raises ValueError."""
        address, _, timeline = mark.rpartition("/")
        return cls(int(timeline, 16), address)


@dataclass(slots=True)
class Service:
    """What one server acknowledged; stamps in nanoseconds. ``overlap_rows``: after a successor had begun."""

    server: Server
    first_ns: int
    last_ns: int
    rows: int = 0
    overlap_rows: int = 0
    overlap_first_ns: int = 0
    overlap_last_ns: int = 0


@dataclass(frozen=True, slots=True)
class Overlap:
    """A server that went on acknowledging although another had taken over at ``since_ns``."""

    older: Service
    newer: Service
    since_ns: int


class Servings:
    """All servers of one run, numbered from 1 in order of appearance.

    names:  of the nodes, by the server's number: the hot path reads it; the address as long as it has no name
    """

    def __init__(self) -> None:
        self.names: list[str | None] = [None]
        self._nodes: dict[str, set[str]] = {}
        self._numbers: dict[str, int] = {}
        self.services: list[Service] = []
        # Indexed by number: when the first successor of that server began to acknowledge.
        self._superseded_ns = [sys.maxsize]

    def acknowledged(self, mark: str, sent_ns: int, done_ns: int) -> int:
        """An operation sent and acknowledged at these times by the server of that mark; returns its number."""
        number = self._numbers.get(mark)
        if number is None:
            number = self._appeared(mark, done_ns)
        if number == NOBODY:
            return NOBODY
        service = self.services[number - 1]
        service.rows += 1
        service.last_ns = done_ns
        if sent_ns > self._superseded_ns[number]:
            if not service.overlap_rows:
                service.overlap_first_ns = done_ns
            service.overlap_rows += 1
            service.overlap_last_ns = done_ns
        return number

    def named(self, address: str, node: str) -> None:
        """That node was found at this address. An address that several nodes have had is called by all of them."""
        nodes = self._nodes.setdefault(address, set())
        if node not in nodes:
            nodes.add(node)
            self.names[1:] = [self.name(service.server) for service in self.services]

    def name(self, server: Server) -> str:
        """The node that the server is on."""
        return self.node(server.address)

    def node(self, address: str) -> str:
        """The node at this address; the address itself as long as nobody was found there."""
        return "|".join(sorted(self._nodes.get(address, {address})))

    def _appeared(self, mark: str, done_ns: int) -> int:
        if len(self.services) == MOST:
            return NOBODY
        server = Server.parse(mark)
        self.services.append(Service(server, done_ns, done_ns))
        number = self._numbers[mark] = len(self.services)
        self._superseded_ns.append(sys.maxsize)
        self.names.append(self.name(server))
        for other, service in enumerate(self.services[:-1], 1):
            # Equal timelines: the one that appeared later is the successor.
            if service.server.timeline <= server.timeline:
                self._superseded_ns[other] = min(self._superseded_ns[other], done_ns)
            else:
                self._superseded_ns[number] = min(self._superseded_ns[number], service.first_ns)
        return number

    def server(self, number: int) -> Server | None:
        """The server of that number; None for :data:`NOBODY`."""
        return self.services[number - 1].server if number else None

    def overlaps(self) -> Iterator[Overlap]:
        """Every server that went on after it had a successor, with the first of them."""
        for number, service in enumerate(self.services, 1):
            if service.overlap_rows:
                since_ns = self._superseded_ns[number]
                newer = next(other for other in self.services if other is not service and other.first_ns == since_ns)
                yield Overlap(service, newer, since_ns)
