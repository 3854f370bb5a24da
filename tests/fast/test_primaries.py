"""Two primaries at once: proven by answers that bracket an instant, never by a switchover between two questions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosbench.primaries import Primaries


def fed(*answers: tuple[str, int, int, bool]) -> Primaries:
    primaries = Primaries()
    for node, asked, answered, primary in answers:
        primaries.saw(node, asked, answered, primary=primary)
    return primaries


def two(asked: int, answered: int) -> list[tuple[str, int, int, bool]]:
    """Both say that they are primaries."""
    return [("b", asked, answered, True), ("a", asked, answered, True)]


@pytest.mark.parametrize(
    ("answers", "episodes"),
    [
        pytest.param([("a", 0, 1, True), ("a", 2, 3, True)], [], id="one primary"),
        pytest.param([("a", 0, 1, True), ("b", 0, 1, True)], [], id="one answer each proves nothing"),
        pytest.param(
            [("a", 0, 1, True), ("a", 2, 3, True), ("a", 4, 5, False), ("b", 4, 5, True), ("b", 6, 7, True)],
            [],
            id="a switchover",
        ),
        pytest.param(
            [("a", 0, 1, True), ("b", 0, 2, True), ("a", 4, 5, True), ("b", 5, 6, True)],
            [(("a", "b"), 2, 4)],
            id="two at once",
        ),
        pytest.param(
            [*two(0, 1), *two(3, 4), *two(7, 8), ("b", 9, 10, False)],
            [(("a", "b"), 1, 7)],
            id="for longer: one episode",
        ),
        pytest.param(
            [*two(0, 1), *two(2, 3), ("b", 4, 5, False), ("a", 4, 5, True), ("b", 6, 7, True), *two(8, 9)],
            [(("a", "b"), 1, 2), (("a", "b"), 7, 8)],
            id="twice",
        ),
    ],
)
def test_episodes(answers: list[tuple[str, int, int, bool]], episodes: list[tuple[tuple[str, str], int, int]]):
    assert [(e.nodes, e.from_ns, e.to_ns) for e in fed(*answers).episodes] == episodes


def test_suspicion_asks_for_another_look():
    assert not fed(("a", 0, 1, True)).suspicious
    assert fed(("a", 0, 1, True), ("b", 0, 1, True)).suspicious
    assert not fed(("a", 0, 1, True), ("b", 0, 1, True), ("a", 2, 3, False)).suspicious


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))))
def test_leadership_that_is_handed_on_is_never_two(terms: list[int], pauses: list[tuple[int, int]]):
    """Nodes lead one after the other, for a term each; asked in whatever rhythm. Nobody is asked so rarely that two
    terms of one node look like one."""
    ends = [sum(terms[: index + 1]) * 10 for index in range(len(terms))]
    primaries, now = Primaries(), 0
    for pause, length in pauses:
        now += pause
        for number, node in enumerate("abcdef"[: len(terms)]):
            asked, told, answered = now, now + length, now + 2 * length
            leads = (0 if number == 0 else ends[number - 1]) <= told < ends[number]
            primaries.saw(node, asked, answered, primary=leads)
    assert primaries.episodes == []
