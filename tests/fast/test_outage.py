"""T1 and T6 of a fault, as tables. Stamps are milliseconds for reading; T0 is 1000."""

from __future__ import annotations

from itertools import chain

import pytest

from chaosbench import outage as module
from chaosbench.outage import WriteOutage

T0 = 1000
Write = tuple[str, int, int]


def watched(*writes: Write) -> WriteOutage:
    outage = WriteOutage(T0)
    for kind, intended, done in sorted(writes, key=lambda write: write[2]):
        (outage.ack if kind == "ack" else outage.bad)(intended, done)
    return outage


def acks(begin: int, end: int, step: int = 10, takes: int = 2) -> list[Write]:
    return [("ack", at, at + takes) for at in range(begin, end, step)]


def bads(begin: int, end: int, step: int = 10, takes: int = 5) -> list[Write]:
    return [("bad", at, at + takes) for at in range(begin, end, step)]


CASES: dict[str, tuple[list[Write], int, tuple[int | None, int | None]]] = {
    # name: (writes, now, (T1, T6))
    "no write at all": ([], 5000, (None, None)),
    "no failure": (acks(900, 3000), 3000, (None, None)),
    "a failure that came before the fault": ([("bad", 900, 950), *acks(990, 3000)], 3000, (None, None)),
    "an outage": ([*acks(900, 1200), *bads(1200, 2000), *acks(2000, 3000)], 3000, (1200, 2002)),
    "never back": ([*acks(900, 1200), *bads(1200, 5000)], 5000, (1200, None)),
    "not back yet": ([*acks(900, 1200), *bads(1200, 1300)], 1800, (1200, None)),
    "a first failure meant before T0 counts from T0": (
        [*acks(900, 990), ("bad", 992, 1400), *acks(2000, 3000)],
        3000,
        (T0, 2002),
    ),
    # Twelve clients: one acknowledgement came through while the cluster was dying.
    "a lucky acknowledgement is no recovery": (
        [*acks(900, 1200), *bads(1200, 2500), ("ack", 1230, 1260), *acks(2500, 3000)],
        3000,
        (1200, 2502),
    ),
    # Meant before T1 and acknowledged late: it waited in a queue, or hung and was released.
    "an old operation that is acknowledged is no recovery": (
        [*acks(900, 1200), *bads(1200, 1990), ("ack", 1195, 2000), ("ack", 1199, 2001), *acks(2010, 3000)],
        3000,
        (1200, 2012),
    ),
    # It hung from 1100 on and gave up at 2600, after the others were back.
    "an operation that hung moves T1 back": (
        [*acks(900, 1110), *bads(1200, 2000), ("bad", 1100, 2600), *acks(2000, 3000)],
        3000,
        (1100, 2002),
    ),
    "one failure among successes": ([*acks(900, 3000), ("bad", 1501, 1503)], 3000, (1501, 1512)),
    "the end of the load is not an outage": (
        [*acks(900, 1200), *bads(1200, 2000), *acks(2000, 3000)],
        3100,
        (1200, 2002),
    ),
    "long silence after a recovery is the longer outage, and is open": (
        [*acks(900, 1200), *bads(1200, 2000), *acks(2000, 3000), *bads(3000, 5000)],
        5000,
        (1200, None),
    ),
}


@pytest.mark.parametrize(("writes", "now", "expected"), CASES.values(), ids=CASES.keys())
def test_t1_and_t6(writes: list[Write], now: int, expected: tuple[int | None, int | None]) -> None:
    outage = watched(*writes)
    assert (outage.t1_ns, outage.t6_ns(now)) == expected


@pytest.mark.parametrize(
    ("writes", "now", "expected"),
    [
        ([], 1500, (T0, 1500)),
        (acks(900, 1200), 1195, (1002, 1012)),
        ([*acks(900, 1200), *acks(2000, 2100)], 2100, (1192, 2002)),
        ([*acks(900, 1200), *acks(2000, 2100)], 9000, (2092, 9000)),
        ([("ack", 900, 990), ("ack", 1700, 1702)], 1800, (T0, 1702)),
    ],
)
def test_the_longest_gap_begins_no_earlier_than_the_fault(
    writes: list[Write], now: int, expected: tuple[int, int]
) -> None:
    gap = watched(*writes).longest_gap(now)
    assert (gap.from_ns, gap.to_ns) == expected


@pytest.mark.parametrize(("seen_after", "t6"), [(2, 40_012), (20, 40_012), (3_000, 40_012)])
def test_a_late_failure_is_found_although_more_was_acknowledged_than_is_kept(
    monkeypatch: pytest.MonkeyPatch, seen_after: int, t6: int
) -> None:
    """Far more acknowledgements than are kept come before the first failure, and after it."""
    monkeypatch.setattr(module, "_KEPT", 500)
    outage = watched(*chain(acks(1010, 80_000), [("bad", 40_001, 40_001 + seen_after)]))
    assert outage.t6_ns(80_000) == t6


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 500)
    outage = watched(*acks(1010, 80_000), *bads(50_000, 60_000))
    assert 500 <= len(outage._done_ns) <= 1000
    assert len(outage._intended_ns) == len(outage._done_ns)


def test_once_writes_are_back_nothing_more_is_remembered() -> None:
    """A soak follows a fault's writes until the next fault comes, which may take an hour."""
    outage = watched(*acks(900, 1200), *bads(1200, 2000), *acks(2000, 3000))
    remembered = len(outage._done_ns)
    for _, intended, done in acks(3000, 90_000):
        outage.ack(intended, done)
    assert len(outage._done_ns) == remembered <= 2
    assert (outage.t1_ns, outage.t6_ns(90_000)) == (1200, 2002)
