"""The pure part of making tables: the rows themselves."""

from __future__ import annotations

from collections import Counter

import pytest

from chaosbench import dataset
from chaosbench.clock import Clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.errors import ClusterUnavailable


@pytest.mark.parametrize("total", [1, 9_999, 10_000, 10_001, 200_000])
def test_every_account_is_made_once_and_belongs_to_its_branch(total: int):
    rows: list[list[str]] = []
    done = 0
    for made, block in dataset._accounts(total):
        lines = block.splitlines()
        assert made - done == len(lines) <= dataset._BLOCK
        done = made
        rows.extend(line.split("\t") for line in lines)
    assert done == total
    assert [int(row[0]) for row in rows] == list(range(1, total + 1))
    assert {(row[2], row[3]) for row in rows} == {("0", "")}
    branches = Counter(int(row[1]) for row in rows)
    assert branches[1] == min(total, 100_000)
    assert set(branches) == set(range(1, (total - 1) // 100_000 + 2))


async def test_without_a_leader_nothing_can_be_made():
    cluster = FakeCluster(Clock())
    cluster.silent.add("pg1")
    with pytest.raises(ClusterUnavailable, match="there is no leader to make the tables on"):
        await dataset.prepare(
            await cluster.snapshot(), cluster.login, Clock(), frozenset(), 1, (), lambda done, total: None
        )
