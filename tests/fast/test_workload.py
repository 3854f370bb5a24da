"""What each workload sends, in order, and when it says that an effect may be on its way."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import asyncpg
import pytest
from fakes import FakeConnection, FakeServer
from pydantic import TypeAdapter

from chaosbench.clock import loop_clock
from chaosbench.engine import Attempt, RunningWorkload
from chaosbench.ledger import Ledger
from chaosbench.outcome import OpClass, Outcome
from chaosbench.parameters import Parameter, sampler
from chaosbench.workload import WORKLOADS, Context, CustomSql, LedgerWorkload, Mixed, SelectOnly

pytestmark = pytest.mark.looptime(noop_cycles=0)

SELECT = "SELECT abalance FROM pgbench_accounts"
ACCOUNT, TELLER, BRANCH = "UPDATE pgbench_accounts", "UPDATE pgbench_tellers", "UPDATE pgbench_branches"
HISTORY = "INSERT INTO pgbench_history"
INSERT = "INSERT INTO chaosbench_ledger"


class Recording(FakeServer):
    """Notes with every statement whether an effect had been announced by then."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(loop_clock(), latency=0.0)
        self.attempt = attempt
        self.sent: list[tuple[str, bool]] = []
        self.behaviour = self.notes

    async def notes(self) -> None:
        self.sent.append((self.log[-1][0], self.attempt.effect_sent))


class Bench:
    """One session of a workload."""

    def __init__(self, workload: RunningWorkload, seed: int = 1) -> None:
        self.workload = workload
        self.attempt = Attempt()
        self.server = Recording(self.attempt)
        self.connection = FakeConnection(self.server)
        self.rng = random.Random(seed)

    async def run(self, operation: int = 0, times: int = 1) -> list[tuple[str, bool]]:
        session = await self.workload.open(self.connection, self.rng)
        for _ in range(times):
            self.attempt.effect_sent = False
            await session.run(operation, self.attempt)
        return self.server.sent


def started(kind: str, ledger: Ledger | None = None, scale: int = 3, **settings: Any) -> RunningWorkload:
    return WORKLOADS[kind](**settings).start(Context(scale=scale, ledger=Ledger(run=5) if ledger is None else ledger))


async def starts(bench: Bench, operation: int = 0) -> list[tuple[str, bool]]:
    """The beginnings of the statements, with what was announced."""
    known = (SELECT, ACCOUNT, TELLER, BRANCH, HISTORY, INSERT, "BEGIN", "COMMIT")
    return [(next((k for k in known if sql.startswith(k)), sql), effect) for sql, effect in await bench.run(operation)]


async def test_select_only_sends_one_read_and_announces_nothing():
    bench = Bench(started("select-only"))
    assert await starts(bench) == [(SELECT, False)]
    assert bench.workload.operations[0].op_class is OpClass.READ
    (aid,) = bench.server.log[0][1]
    assert 1 <= aid <= 300_000  # type: ignore[operator]


async def test_simple_update_announces_its_effect_just_before_the_commit():
    assert await starts(Bench(started("simple-update"))) == [
        ("BEGIN", False),
        (ACCOUNT, False),
        (SELECT, False),
        (HISTORY, False),
        ("COMMIT", True),
    ]


async def test_tpcb_like_is_pgbenchs_transaction():
    bench = Bench(started("tpcb-like"))
    assert await starts(bench) == [
        ("BEGIN", False),
        (ACCOUNT, False),
        (SELECT, False),
        (TELLER, False),
        (BRANCH, False),
        (HISTORY, False),
        ("COMMIT", True),
    ]
    arguments = {sql.split(" SET")[0].split(" (")[0]: args for sql, args in bench.server.log}
    (delta, aid), (_, tid), (_, bid) = (arguments[key] for key in (ACCOUNT, TELLER, BRANCH))
    assert arguments[HISTORY] == (tid, bid, aid, delta)
    assert arguments[TELLER][0] == arguments[BRANCH][0] == delta


async def test_ids_stay_in_their_tables():
    bench = Bench(started("tpcb-like", scale=2))
    await bench.run(times=300)
    seen: dict[str, list[int]] = {"aid": [], "tid": [], "bid": [], "delta": []}
    for sql, args in bench.server.log:
        if sql.startswith(HISTORY):
            for name, value in zip(("tid", "bid", "aid", "delta"), args, strict=True):
                seen[name].append(value)  # type: ignore[arg-type]
    assert 1 <= min(seen["aid"]) < 10_000 < 190_000 < max(seen["aid"]) <= 200_000
    assert set(seen["tid"]) == set(range(1, 21))
    assert set(seen["bid"]) == {1, 2}
    assert -5000 <= min(seen["delta"]) < -4500 < 4500 < max(seen["delta"]) <= 5000


@pytest.mark.parametrize("ratio", [0.8, 0.5, 0.05])
def test_mixed_keeps_its_ratio(ratio: float):
    workload = started("mixed", read_ratio=ratio)
    rng = random.Random(1)
    picks = Counter(workload.operations[workload.pick(rng)].name for _ in range(10_000))
    assert picks["select-only"] / 10_000 == pytest.approx(ratio, abs=0.015)
    assert picks.total() == 10_000


@pytest.mark.parametrize(("ratio", "names"), [(0, ["simple-update"]), (1, ["select-only"])])
def test_mixed_may_be_all_of_one_kind(ratio: float, names: list[str]):
    workload = Mixed(read_ratio=ratio).start(Context(scale=1, ledger=Ledger(run=1)))
    assert [operation.name for operation in workload.operations] == names
    assert workload.pick(random.Random(1)) == 0


async def test_the_ledger_announces_before_the_insert_and_acknowledges_after():
    ledger = Ledger(run=5)
    bench = Bench(started("ledger", ledger))
    assert await starts(bench) == [(INSERT, True)]
    assert bench.server.log[0][1] == (5, 1)
    assert ledger.count(Outcome.OK) == 1


async def test_an_insert_that_breaks_is_not_acknowledged_and_is_tried_again_with_its_id():
    ledger = Ledger(run=5)
    bench = Bench(started("ledger", ledger, retries=1))
    bench.server.behaviour = bench.server.fails(asyncpg.ConnectionDoesNotExistError("gone"))
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await bench.run()
    assert (bench.attempt.row, bench.attempt.effect_sent) == (1, True)
    assert (ledger.count(Outcome.OK), ledger.count(Outcome.UNKNOWN)) == (0, 1)
    bench.server.behaviour = bench.server.notes
    await bench.run()
    assert (len(ledger), ledger.count(Outcome.OK)) == (1, 1), "the same id, not a new one"


async def test_a_write_that_breaks_before_its_commit_has_announced_nothing():
    bench = Bench(started("simple-update"))

    async def fails_in_the_middle() -> None:
        if bench.server.log[-1][0].startswith(HISTORY):
            raise asyncpg.DeadlockDetectedError("deadlock")

    bench.server.behaviour = fails_in_the_middle
    with pytest.raises(asyncpg.DeadlockDetectedError):
        await bench.run()
    assert not bench.attempt.effect_sent
    assert bench.connection.is_in_transaction()


def custom(*operations: dict[str, Any]) -> RunningWorkload:
    settings = TypeAdapter(CustomSql).validate_python({"operations": list(operations)})
    return settings.start(Context(scale=1, ledger=Ledger(run=1)))


ONE, TWO = {"sql": "UPDATE a SET b = $1", "parameters": [{"sequence": 5}]}, {"sql": "SELECT 1"}


@pytest.mark.parametrize(
    ("op_class", "statements", "sent"),
    [
        ("write", [ONE], [("UPDATE a SET b = $1", True)]),
        ("read", [TWO], [("SELECT 1", False)]),
        (
            "write",
            [ONE, TWO],
            [("BEGIN", False), ("UPDATE a SET b = $1", False), ("SELECT 1", False), ("COMMIT", True)],
        ),
        ("read", [TWO, TWO], [("BEGIN", False), ("SELECT 1", False), ("SELECT 1", False), ("COMMIT", False)]),
    ],
)
async def test_custom_sql(op_class: str, statements: list[Any], sent: list[tuple[str, bool]]):
    assert await Bench(custom({"name": "x", "class": op_class, "statements": statements})).run() == sent


async def test_a_sequence_counts_on_its_connection():
    bench = Bench(custom({"name": "x", "class": "write", "statements": [ONE]}))
    await bench.run(times=3)
    assert [args for _, args in bench.server.log] == [(5,), (6,), (7,)]


def test_custom_operations_are_picked_by_weight():
    workload = custom(
        {"name": "often", "class": "read", "weight": 3, "statements": [TWO]},
        {"name": "seldom", "class": "write", "statements": [TWO]},
    )
    rng = random.Random(1)
    picks = Counter(workload.pick(rng) for _ in range(10_000))
    assert picks[0] / 10_000 == pytest.approx(0.75, abs=0.015)
    assert [operation.op_class for operation in workload.operations] == [OpClass.READ, OpClass.WRITE]


def drawn(number: int = 2000, seed: int = 1, **parameter: Any) -> list[Any]:
    draw = sampler(TypeAdapter(Parameter).validate_python(parameter), random.Random(seed))
    return [draw() for _ in range(number)]


def test_uniform_reaches_both_ends():
    assert set(drawn(uniform=[3, 6])) == {3, 4, 5, 6}
    assert set(drawn(uniform=[-1, -1])) == {-1}


def test_normal_has_its_mean_and_spread():
    values = drawn(normal=[100, 15])
    mean = sum(values) / len(values)
    assert mean == pytest.approx(100, abs=2)
    assert (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5 == pytest.approx(15, rel=0.1)


def test_exponential_has_its_mean_and_no_negatives():
    values = drawn(exponential=40)
    assert sum(values) / len(values) == pytest.approx(40, rel=0.1)
    assert min(values) >= 0


def test_choice_gives_each_as_it_stands():
    assert set(drawn(choice=["a", 1, 2.5])) == {"a", 1, 2.5}
    assert {type(value) for value in drawn(choice=[True, "true"])} == {bool, str}


def test_text_has_its_length():
    values = drawn(50, text=7)
    assert {len(value) for value in values} == {7}
    assert all(value.isascii() and value.isalnum() for value in values)
    assert len(set(values)) == 50


def test_sequence_starts_where_it_is_told():
    assert drawn(3, sequence=10) == [10, 11, 12]
    assert drawn(2, sequence=0) == [0, 1]


@pytest.mark.parametrize(
    "parameter",
    [{"uniform": [1, 10**9]}, {"normal": [0, 1]}, {"exponential": 3}, {"choice": list(range(99))}, {"text": 5}],
)
def test_a_seed_gives_the_same_values(parameter: dict[str, Any]):
    assert drawn(20, seed=4, **parameter) == drawn(20, seed=4, **parameter)
    assert drawn(20, seed=4, **parameter) != drawn(20, seed=5, **parameter)


async def test_a_seed_gives_the_same_transactions():
    async def log(seed: int) -> list[Any]:
        bench = Bench(started("tpcb-like"), seed)
        await bench.run(times=5)
        return bench.server.log

    assert await log(1) == await log(1)
    assert await log(1) != await log(2)


def test_every_workload_says_what_data_it_needs():
    assert {kind: set(cls.data) for kind, cls in WORKLOADS.items()} == {
        "select-only": {"pgbench"},
        "simple-update": {"pgbench"},
        "tpcb-like": {"pgbench"},
        "mixed": {"pgbench"},
        "ledger": {"ledger"},
        "stale-reads": {"register"},
        "sql": set(),
    }
    assert all(cls.kind == kind for kind, cls in WORKLOADS.items())
    assert SelectOnly().setup == LedgerWorkload().setup == ()
