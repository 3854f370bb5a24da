"""What is shared out: the shares together are the whole, and nothing is in two of them."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import islice, pairwise, takewhile
from statistics import fmean, pvariance

from hypothesis import given
from hypothesis import strategies as st

from chaosbench.arrivals import constant, poisson, segments
from chaosbench.distributed.gathering import nth_row
from chaosbench.histogram import Histogram, merged
from chaosbench.ledger import Ledger
from chaosbench.outcome import Outcome
from chaosbench.share import WHOLE, Share

WORKERS = st.integers(1, 9)


def shares(workers: int) -> list[Share]:
    return [Share(index, workers) for index in range(workers)]


@given(WORKERS, st.integers(0, 200))
def test_each_thing_is_in_one_share_and_shares_differ_by_one_at_most(workers, total):
    parts = [share.of(total) for share in shares(workers)]
    assert sorted(number for part in parts for number in part) == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(WORKERS, st.floats(1, 500), st.lists(st.tuples(st.floats(0.1, 5), st.floats(1, 500)), max_size=3))
def test_constant_arrivals_are_the_same_ones_arrival_by_arrival(workers, rate, stages):
    schedule = segments(rate, tuple(stages))
    whole = list(islice(constant(schedule), 200))
    parts = [list(takewhile(lambda at: at <= whole[-1], constant(schedule, share))) for share in shares(workers)]
    assert sorted(at for part in parts for at in part)[:200] == whole


def test_poisson_arrivals_of_the_whole_are_what_they_were_before_there_were_shares():
    schedule = segments(100.0)
    plain = poisson(schedule, random.Random("seed"))
    assert list(islice(plain, 50)) == list(islice(poisson(schedule, random.Random("seed"), WHOLE), 50))
    rng, hits = random.Random("seed"), 0.0
    for at in islice(poisson(schedule, random.Random("seed")), 50):
        hits += rng.expovariate(1.0)
        assert math.isclose(at, hits / 100)


def test_poisson_shares_together_are_poisson_arrivals_of_the_whole_rate():
    schedule, workers = segments(90.0), 3
    parts = [
        list(takewhile(lambda at: at < 200, poisson(schedule, random.Random(f"{share}"), share)))
        for share in shares(workers)
    ]
    together = sorted(at for part in parts for at in part)
    assert len(together) / 200 == _near(90.0, 0.02)
    # Gaps of a Poisson process are exponential: mean and deviation are the same, and a share e^-1 is above the mean.
    gaps = [after - before for before, after in pairwise(together)]
    typical = fmean(gaps)
    assert math.sqrt(fmean((gap - typical) ** 2 for gap in gaps)) / typical == _near(1.0, 0.03)
    assert sum(gap > typical for gap in gaps) / len(gaps) == _near(math.exp(-1), 0.03)
    # Independent: how many come in a second in one share says nothing about another.
    seconds = [Counter(int(at) for at in part) for part in parts]
    counts = [[each[n] for n in range(200)] for each in seconds]
    assert pvariance([sum(each) for each in zip(*counts, strict=True)]) / 90 == _near(1.0, 0.25)
    assert all(fmean(each) == _near(30.0, 0.05) for each in counts)


def _near(value, tolerance):
    class Near:
        def __eq__(self, other):
            return abs(other - value) <= tolerance * value

    return Near()


def test_random_choices_of_shares_differ_and_those_of_the_whole_are_as_before():
    assert WHOLE.seed == ()
    assert len({share.seed for workers in (2, 3) for share in shares(workers)}) == 5


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_ledger_ids_of_workers_are_disjoint_and_the_coordinators_ledger_knows_them_all(made):
    every = shares(len(made))
    ids = [[nth_row(share, n) for n in range(number)] for share, number in zip(every, made, strict=True)]
    flat = [row for part in ids for row in part]
    assert len(set(flat)) == len(flat)
    ledger = Ledger(run=1)
    for part, share in zip(ids, every, strict=True):
        if part:
            ledger.adopt(range(part[0], part[-1] + 1, share.count))
    assert len(ledger) == len(flat)
    assert ledger.unknown_ids() == tuple(sorted(flat))
    assert ledger.count(Outcome.UNKNOWN) == len(flat)
    strangers = [row for row in range(1, max(flat, default=0) + 3) if row not in set(flat)]
    check = ledger.check("pg1", [*flat, *strangers])
    assert check.recovered == tuple(sorted(flat))
    assert check.unexpected == tuple(strangers)


@given(st.lists(st.lists(st.integers(0, 70_000_000), max_size=30), min_size=1, max_size=5))
def test_histograms_sent_as_cells_merge_exactly(parts):
    whole, received = Histogram(), Histogram()
    for part in parts:
        sent = Histogram()
        for value in part:
            whole.record(value)
            sent.record(value)
        received.add_cells(sent.cells())
    for one in (received, merged([received])):
        assert one.counts == whole.counts
        assert (one.sum_us, one.max_us, one.overflow) == (whole.sum_us, whole.max_us, whole.overflow)
