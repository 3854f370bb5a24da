"""Split brain: a server acknowledges what was sent after its successor had acknowledged. Held against brute force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosbench.serving import MOST, NOBODY, Server, Servings

A1, B1, B2, A3 = "10.0.0.1/00000001", "10.0.0.2/00000001", "10.0.0.2/00000002", "10.0.0.1/00000003"


def fed(*acks: tuple[str, int, int]) -> Servings:
    servings = Servings()
    for mark, sent_ns, done_ns in acks:
        servings.acknowledged(mark, sent_ns, done_ns)
    return servings


def test_a_mark_is_an_address_and_a_timeline():
    assert Server.parse("10.0.0.1/0000001A") == Server(26, "10.0.0.1")
    assert Server.parse("fd00::1/00000002") == Server(2, "fd00::1")
    with pytest.raises(ValueError, match="invalid literal"):
        Server.parse("10.0.0.1")


@pytest.mark.parametrize(
    ("acks", "violators"),
    [
        pytest.param([(A1, 0, 1), (A1, 2, 3)], [], id="one server"),
        pytest.param([(A1, 0, 1), (B2, 2, 3)], [], id="a failover"),
        pytest.param([(A1, 0, 1), (B2, 2, 3), (A3, 4, 5)], [], id="elected back"),
        pytest.param([(A1, 0, 1), (B2, 2, 4), (A1, 3, 5)], [], id="late on its way: sent before the other answered"),
        pytest.param([(A1, 0, 1), (B2, 2, 4), (A1, 4, 5)], [], id="sent as the other answered: not proven"),
        pytest.param([(A1, 0, 1), (B2, 2, 4), (A1, 5, 6)], [(A1, 1)], id="goes on after the failover"),
        pytest.param([(A1, 0, 1), (B2, 2, 4), (A1, 5, 6), (B2, 6, 7), (A1, 8, 9)], [(A1, 2)], id="in turns"),
        pytest.param([(B2, 0, 1), (A1, 2, 3)], [(A1, 1)], id="the old one is heard of only after the new one"),
        pytest.param([(A1, 0, 1), (B1, 2, 3)], [], id="the same timeline made twice, one after the other"),
        pytest.param([(A1, 0, 1), (B1, 2, 3), (A1, 4, 5)], [(A1, 1)], id="the same timeline made twice, at once"),
        pytest.param([(A1, 0, 1), (B2, 2, 3), (A3, 4, 5), (A1, 6, 7), (B2, 8, 9)], [(A1, 1), (B2, 1)], id="three"),
    ],
)
def test_split_brain(acks: list[tuple[str, int, int]], violators: list[tuple[str, int]]):
    found = [(overlap.older.server, overlap.older.overlap_rows) for overlap in fed(*acks).overlaps()]
    assert found == [(Server.parse(mark), rows) for mark, rows in violators]


def test_an_overlap_tells_since_when_and_from_when_to_when():
    (overlap,) = fed((A1, 0, 1), (B2, 2, 4), (A1, 5, 6), (A3, 6, 7), (A1, 8, 9), (B2, 5, 10)).overlaps()
    assert (overlap.older.server, overlap.newer.server) == (Server.parse(A1), Server.parse(B2))
    assert (overlap.since_ns, overlap.older.overlap_first_ns, overlap.older.overlap_last_ns) == (4, 6, 9)


ACKS = st.lists(
    st.tuples(st.sampled_from([A1, B1, B2, A3, "10.0.0.3/00000002"]), st.integers(0, 9), st.integers(0, 4)), max_size=25
)


@given(ACKS)
def test_it_agrees_with_brute_force(steps: list[tuple[str, int, int]]):
    """Every acknowledgement against every earlier one of another server."""
    acks, now = [], 0
    for mark, under_way, pause in steps:
        now += pause + 1  # no two are done at one instant: a client's clock does not do that
        acks.append((mark, now - under_way, now))
    first = {}
    for mark, _, done_ns in acks:
        first.setdefault(mark, done_ns)

    def succeeds(one: str, other: str) -> bool:
        return (Server.parse(one).timeline, first[one]) > (Server.parse(other).timeline, first[other])

    expected: dict[str, int] = {}
    for index, (mark, sent_ns, _) in enumerate(acks):
        if any(succeeds(other, mark) and done_ns < sent_ns for other, _, done_ns in acks[:index]):
            expected[mark] = expected.get(mark, 0) + 1
    servings = fed(*acks)
    found = {
        f"{o.older.server.address}/{o.older.server.timeline:08X}": o.older.overlap_rows for o in servings.overlaps()
    }
    assert found == expected
    assert sum(service.rows for service in servings.services) == len(acks)


def test_servers_beyond_the_last_number_are_nobody():
    servings = Servings()
    numbers = [servings.acknowledged(f"a/{timeline:08X}", timeline, timeline) for timeline in range(1, MOST + 5)]
    assert numbers[:MOST] == list(range(1, MOST + 1))
    assert set(numbers[MOST:]) == {NOBODY}
    assert servings.server(NOBODY) is None
    assert servings.server(MOST) == Server(MOST, "a")
