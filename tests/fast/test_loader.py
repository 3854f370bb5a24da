"""The scenario file: what a good one means, and what is said of a bad one."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosbench.errors import ScenarioFileError, UsageError
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.switchover import Switchover
from chaosbench.injectors.table import INJECTORS
from chaosbench.model.scenario import Expectation, Spread, Stage, Windows
from chaosbench.outcome import OpClass
from chaosbench.scenarios.loader import ScenarioFile, load
from chaosbench.workload import CustomSql, LedgerWorkload, Mixed

WHOLE = """\
seed: 7
defaults:
  scale: 2
  warm_up: 2s
  windows: {quiet: 500ms, threshold: 1%}
  load:
    - workload: mixed
      read_ratio: 90%
      rate: 60/m
      arrivals: poisson
      connections: 4
      backlog: 9
      deadline: 2s
      stages: [{over: 1m, to: 10/s}]
    - {workload: ledger, clients: 3, think: 10ms, retries: 2, timeout: 1s}
  expect: {rpo: 0}
scenarios:
  inherits:
    description: Everything from the defaults.
    duration: 1m30s
  has-its-own:
    duration: 120s
    warm_up: 0
    recovery: 10s
    load:
      workload: sql
      name: shop
      clients: 2
      setup: ["CREATE TABLE IF NOT EXISTS t (a int)"]
      operations:
        - name: buy
          class: write
          weight: 3
          statements:
            - {sql: "UPDATE t SET a = $1", parameters: [{uniform: [1, 10]}]}
            - sql: SELECT 1
    faults:
      - {at: 1s, inject: kill, target: leader, hold: 2s}
      - {at: 20s, inject: kill, target: leader, hold: 2s}
      - {at: 40s, inject: switchover, candidate: pg2, name: maintenance}
    expect:
      rto: "<= 30s"
      p99: "< 50ms"
      ok_rate: ">= 99.5%"
      throughput: ">= 60/m"
"""
MINIMAL = """\
scenarios:
  a:
    duration: 20s
    load: {workload: mixed, rate: 10/s}
"""


def write(directory: Path, text: str) -> Path:
    file = directory / "f.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def whole(tmp_path: Path) -> ScenarioFile:
    return load(write(tmp_path, WHOLE))


def test_defaults_are_laid_under_every_scenario(whole: ScenarioFile):
    scenario = whole.scenarios[0]
    assert (whole.seed, scenario.name, scenario.description) == (7, "inherits", "Everything from the defaults.")
    assert (scenario.duration, scenario.warm_up, scenario.recovery, scenario.scale) == (90, 2, 60, 2)
    assert scenario.windows == Windows(quiet="500ms", threshold=0.01)  # type: ignore[arg-type]
    assert scenario.expectations == (Expectation(metric="rpo", operator="==", limit=0, text="== 0"),)
    assert scenario.faults == ()
    assert scenario.connections == 7


def test_both_models_of_load(whole: ScenarioFile):
    mixed, ledger = whole.scenarios[0].streams
    assert (mixed.name, mixed.workload) == ("mixed", Mixed(read_ratio=0.9))
    opened = mixed.settings
    assert (opened.rate, opened.arrivals, opened.connections, opened.backlog) == (1.0, "poisson", 4, 9)
    assert (opened.deadline, opened.clients, opened.stages) == (2.0, None, (Stage(over="1m", to="10/s"),))  # type: ignore[arg-type]
    assert (ledger.name, ledger.workload) == ("ledger", LedgerWorkload(retries=2))
    closed = ledger.settings
    assert (closed.rate, closed.clients, closed.think, closed.timeout, closed.workers) == (None, 3, 0.01, 1.0, 3)


def test_a_scenarios_own_keys_win(whole: ScenarioFile):
    scenario = whole.scenarios[1]
    assert (scenario.duration, scenario.warm_up, scenario.recovery, scenario.scale) == (120, 0, 10, 2)
    (stream,) = scenario.streams
    assert stream.name == "shop"
    assert isinstance(stream.workload, CustomSql)
    assert stream.workload.setup == ("CREATE TABLE IF NOT EXISTS t (a int)",)
    (operation,) = stream.workload.operations
    assert (operation.name, operation.op_class, operation.weight) == ("buy", OpClass.WRITE, 3)
    assert [statement.sql for statement in operation.statements] == ["UPDATE t SET a = $1", "SELECT 1"]
    assert operation.statements[0].parameters[0].uniform == (1, 10)


def test_faults_and_expectations(whole: ScenarioFile):
    scenario = whole.scenarios[1]
    # Two of the same kind are told apart by a number.
    assert [(f.name, f.schedule.at) for f in scenario.faults] == [
        ("kill-leader", 1),
        ("kill-leader-2", 20),
        ("maintenance", 40),
    ]
    assert scenario.faults[0].actions[0].injector == Kill(target="leader", hold="2s")  # type: ignore[arg-type]
    assert scenario.faults[2].actions[0].injector == Switchover(candidate="pg2")
    limits = [(e.metric, e.operator, e.limit, e.text) for e in scenario.expectations]
    assert limits == [
        ("rto", "<=", 30, "<= 30s"),
        ("p99", "<", 50, "< 50ms"),
        ("ok_rate", ">=", 0.995, ">= 99.5%"),
        ("throughput", ">=", 1, ">= 60/m"),
    ]


def test_scenarios_are_chosen_by_name(whole: ScenarioFile):
    assert whole.only(()) == whole.scenarios
    assert [scenario.name for scenario in whole.only(("has-its-own",))] == ["has-its-own"]
    with pytest.raises(UsageError, match="no scenario is called 'inherit'; did you mean 'inherits'"):
        whole.only(("inherit",))


def test_a_merge_key_may_be_overridden(tmp_path: Path):
    text = MINIMAL.replace("  a:\n", "  a: &a\n") + "  b: &b\n    <<: *a\n    duration: 30s\n  c: *b\n"
    assert [scenario.duration for scenario in load(write(tmp_path, text)).scenarios] == [20, 30, 30]


def test_the_files_own_example_is_good():
    root = Path(__file__).parents[2]
    assert {"steady", "leader-kill", "etcd-freeze", "switchover"} <= {
        scenario.name for scenario in load(root / "scenarios.yaml").scenarios
    }


def scenario(extra: str = "", load: str = "{workload: mixed, rate: 10/s}", duration: str = "20s") -> str:
    """A file whose scenario starts in line 2, its load in line 4, and ``extra`` in line 5."""
    return f"scenarios:\n  a:\n    duration: {duration}\n    load: {load}\n{extra}"


def faults(*entries: str) -> str:
    """The faults start in line 6, column 9."""
    return scenario("    faults:\n" + "".join(f"      - {entry}\n" for entry in entries))


def sql(operation: str) -> str:
    return scenario(load=f"{{workload: sql, clients: 1, operations: [{operation}]}}")


DURATION = "write a number with a unit (us, ms, s, m, h, d), as in 30s"
RATE = "write a number per unit of time, as in 1000/s"
EITHER = "give either 'rate' (open loop, as in 1000/s) or 'clients' (closed loop, as in 32)"
LONGER = "make 'duration' longer, so that recovery can be seen"
ROOT = "a scenario file is a mapping with the key 'scenarios'"
NONE = "'scenarios' holds at least one scenario, as in scenarios: {steady: {...}}"

BAD: dict[str, tuple[str, list[str]]] = {
    "empty": ("", [f"1:1: {ROOT}"]),
    "list": ("- a\n", [f"1:1: {ROOT}"]),
    "text": ("hello\n", [f"1:1: {ROOT}"]),
    "not YAML": (
        "scenarios: {a: ",
        ["1:16: not YAML: while parsing a flow node, expected the node content, but found '<stream end>'"],
    ),
    "tab": (
        "scenarios:\n\ta: 1\n",
        ["2:1: not YAML: while scanning for the next token, found character '\\t' that cannot start any token"],
    ),
    "two documents": (
        "a: 1\n---\nb: 1\n",
        ["2:1: not YAML: expected a single document in the stream, but found another document"],
    ),
    "control character": ("scenarios:\n  \x01", ["2:3: not YAML: the character U+0001 is not allowed"]),
    "nested": ("[" * 700, ["1:1: nested too deeply, or an alias that contains itself"]),
    "alias of itself": ("a: &a [*a]", ["1:1: nested too deeply, or an alias that contains itself"]),
    "undefined alias": ("a: *b", ["1:4: not YAML: found undefined alias 'b'"]),
    "python's tag": (
        MINIMAL + "  b: !!python/object:os.system {}\n",
        [
            "5:3: 'duration' is missing",
            "5:3: 'load' is missing; without load there is nothing to measure",
            "5:3: the tag 'tag:yaml.org,2002:python/object:os.system' has no meaning here; remove it",
        ],
    ),
    "no scenarios": ("seed: 1\n", [f"1:1: {NONE}"]),
    "scenarios empty": ("seed: 1\nscenarios:\n", [f"2:1: {NONE}"]),
    "scenarios a list": ("scenarios: [a]\n", [f"1:1: {NONE}"]),
    "scenario empty": ("scenarios:\n  a:\n", ["2:3: scenario 'a' is empty; give it at least 'duration' and 'load'"]),
    "name": (
        MINIMAL.replace("  a:", "  ../a:"),
        ["2:3: scenario name '../a': use letters, digits and hyphens (it names a directory)"],
    ),
    "top key": ("scenario:\n  a: 1\n" + MINIMAL, ["1:1: unknown key 'scenario'; did you mean 'scenarios'?"]),
    "top key far off": (
        "xyz: 1\n" + MINIMAL,
        ["1:1: unknown key 'xyz'; write one of: seed, defaults, scenarios"],
    ),
    "seed": ("seed: yes\n" + MINIMAL, ["1:1: seed: write a whole number, not True"]),
    "defaults": ("defaults: []\n" + MINIMAL, ["1:1: defaults: write a mapping of keys to values"]),
    "twice": (
        MINIMAL + "    duration: 30s\n",
        ["5:5: 'duration' stands here twice; keep one"],
    ),
    "scenario twice": (MINIMAL + MINIMAL.removeprefix("scenarios:\n"), ["5:3: 'a' stands here twice; keep one"]),
    "key of a scenario": (
        scenario("    warmup: 1s\n"),
        ["5:5: unknown key 'warmup'; did you mean 'warm_up'?"],
    ),
    "no duration": ("scenarios:\n  a:\n    load: {workload: mixed, clients: 1}\n", ["2:3: 'duration' is missing"]),
    "duration": (scenario(duration="20"), [f"3:5: duration: 20 is not a duration: {DURATION}"]),
    "duration zero": (scenario(duration="0"), ["3:5: duration: write more than 0, not 0"]),
    "duration negative": (scenario(duration="-1s"), [f"3:5: duration: '-1s' is not a duration: {DURATION}"]),
    "a date that is none": (
        scenario(duration="2020-99-99"),
        [f"3:5: duration: '2020-99-99' is not a duration: {DURATION}"],
    ),
    "not finite": (scenario(duration="9" * 400 + "s"), ["3:5: duration: write a number, not inf"]),
    "scale": (scenario("    scale: 0\n"), ["5:5: scale: write 1 or more, not 0"]),
    "scale no number": (scenario("    scale: 1.5\n"), ["5:5: scale: write a whole number, not 1.5"]),
    "description": (scenario("    description: 5\n"), ["5:5: description: write text, not 5"]),
    "windows": (
        scenario("    windows: {quiet: 0s, thresh: 1, threshold: '5 %%'}\n"),
        [
            "5:15: quiet: write more than 0, not 0",
            "5:26: unknown key 'thresh'; did you mean 'threshold'?",
            "5:37: threshold: '5 %%' is not a share: write 0% to 100%, or 0 to 1",
        ],
    ),
    "no load": (
        "scenarios:\n  a:\n    duration: 1s\n",
        ["2:3: 'load' is missing; without load there is nothing to measure"],
    ),
    "no workload": (
        scenario(load="{rate: 10/s}"),
        [
            "4:5: 'workload' is missing; write one of: select-only, simple-update, tpcb-like, mixed, ledger, "
            "stale-reads, sql",
        ],
    ),
    "workload misspelt": (
        scenario(load="{workloads: mixed, rate: 10/s}"),
        ["4:12: 'workload' is missing; did you mean it by 'workloads'?"],
    ),
    "unknown workload": (
        scenario(load="{workload: mixd, rate: 10/s}"),
        ["4:12: workload: 'mixd' is not known; did you mean 'mixed'?"],
    ),
    "workload a list": (
        scenario(load="{workload: [mixed], rate: 10/s}"),
        [
            "4:12: workload: ['mixed'] is not known; did you mean 'mixed'?",
        ],
    ),
    "key of a stream": (
        scenario(load="[{workload: mixed, rate: 10/s, time_out: 1s}]"),
        ["4:42: unknown key 'time_out'; did you mean 'timeout'?"],
    ),
    "key of another workload": (
        scenario(load="{workload: ledger, rate: 10/s, read_ratio: 50%}"),
        [
            "4:42: unknown key 'read_ratio'; write one of: workload, name, rate, arrivals, stages, connections, "
            "backlog, deadline, clients, think, timeout, connect_timeout, retries"
        ],
    ),
    "rate": (scenario(load="{workload: mixed, rate: 10}"), [f"4:29: rate: 10 is not a rate: {RATE}"]),
    "rate zero": (scenario(load="{workload: mixed, rate: 0/s}"), ["4:29: rate: write more than 0, not '0/s'"]),
    "rate too high": (
        scenario(load="{workload: mixed, rate: 2000000/s}"),
        ["4:29: rate: write 1000000 or less, not '2000000/s'"],
    ),
    "both": (scenario(load="{workload: mixed, rate: 10/s, clients: 3}"), [f"4:5: {EITHER}"]),
    "neither": (scenario(load="[{workload: mixed}]"), [f"4:12: {EITHER}"]),
    "key of the other model": (
        scenario(load="{workload: mixed, clients: 3, backlog: 5, arrivals: poisson}"),
        [
            "4:41: 'backlog' has no meaning with 'clients' (a closed loop)",
            "4:53: 'arrivals' has no meaning with 'clients' (a closed loop)",
        ],
    ),
    "think in an open loop": (
        scenario(load="{workload: mixed, rate: 3/s, think: 5ms}"),
        ["4:40: 'think' has no meaning with 'rate' (an open loop)"],
    ),
    "arrivals": (
        scenario(load="{workload: mixed, rate: 3/s, arrivals: poison}"),
        ["4:40: arrivals: 'poison' is not known; did you mean 'poisson'?"],
    ),
    "stages": (
        scenario(load="{workload: mixed, rate: 3/s, stages: [{over: 1s, too: 5/s}]}"),
        ["4:49: 'to' is missing", "4:60: unknown key 'too'; did you mean 'to'?"],
    ),
    "share": (
        scenario(load="{workload: mixed, rate: 3/s, read_ratio: 120%}"),
        ["4:40: read_ratio: '120%' is not a share: write 0% to 100%, or 0 to 1"],
    ),
    "streams of one name": (
        scenario(load="[{workload: mixed, clients: 1}, {workload: mixed, clients: 2}]"),
        ["4:43: two streams are called 'mixed'; give one a 'name' of its own"],
    ),
    "no operations": (scenario(load="{workload: sql, clients: 1}"), ["4:5: 'operations' is missing"]),
    "operations empty": (sql(""), ["4:39: operations: write 1 or more of them"]),
    "class": (
        sql("{name: x, class: reed, statements: [{sql: S}]}"),
        ["4:62: class: 'reed' is not known; did you mean 'read'?"],
    ),
    "name of an operation": (
        sql("{name: X, class: read, statements: [{sql: S}]}"),
        ["4:53: name: write small letters, digits and hyphens, not 'X'"],
    ),
    "parameters": (
        sql("{name: x, class: read, statements: [{sql: S, parameters: [{unifrm: [1, 2]}, {uniform: [2, 1]}, 5]}]}"),
        [
            "4:111: unknown key 'unifrm'; did you mean 'uniform'?",
            "4:128: parameters 2: uniform: write the low end first, as in [1, 1000]",
            "4:147: parameters 3: write a mapping of keys to values, not 5",
        ],
    ),
    "two generators": (
        sql("{name: x, class: read, statements: [{sql: S, parameters: [{text: 3, sequence: 1}]}]}"),
        [
            "4:110: parameters 1: a parameter has exactly one generator of uniform, normal, exponential, choice, text, "
            "sequence; this has 2"
        ],
    ),
    "choice": (
        sql("{name: x, class: read, statements: [{sql: S, parameters: [{choice: [a, [b]]}, {choice: []}]}]}"),
        ["4:123: choice 2: write text, a number, true or false", "4:131: choice: write 1 or more of them"],
    ),
    "faults no list": (
        scenario("    faults: {at: 1s}\n"),
        ["5:5: faults: write a list, each with 'at' and 'inject'"],
    ),
    "inject missing": (
        faults("{at: 1s, injct: kill}", "5"),
        [
            "6:18: 'inject' is missing; did you mean it by 'injct'?",
            f"7:9: 'inject' is missing; write one of: {', '.join(INJECTORS)}",
        ],
    ),
    "injector": (faults("{at: 1s, inject: kil}"), ["6:18: inject: 'kil' is not known; did you mean 'kill'?"]),
    "keys of a fault missing": (
        faults("{inject: kill}"),
        ["6:9: 'target' is missing"],
    ),
    "no time of a fault": (
        faults("{inject: kill, target: leader}"),
        ["6:9: 'at' is missing; say when it comes with one of at, every, mtbf, when"],
    ),
    "key of a fault": (
        faults("{at: 1s, inject: switchover, hold: 4s}"),
        [
            "6:38: unknown key 'hold'; write one of: inject, name, at, every, jitter, mtbf, from, until, times, when, "
            "target, candidate"
        ],
    ),
    "target": (
        faults("{at: 1s, inject: kill, target: leadr}"),
        ["6:32: no target 'leadr': did you mean 'leader'?"],
    ),
    "target out of reach": (
        faults("{at: 1s, inject: switchover, target: etcd}"),
        ["6:38: switchover cannot hit 'etcd': it works on leader or replica"],
    ),
    "hold": (
        faults("{at: 1s, inject: kill, target: leader, hold: 3}"),
        [f"6:48: hold: 3 is not a duration: {DURATION}"],
    ),
    # The one before it is bad as well: the position is the entry's own.
    "fault outlasts the scenario": (
        faults("{at: 1s, inject: kil}", "{at: 10s, inject: kill, target: leader, hold: 10s}"),
        [
            "6:18: inject: 'kil' is not known; did you mean 'kill'?",
            f"7:10: fault 'kill-leader' ends at 20s, but the scenario lasts 20s: {LONGER}",
        ],
    ),
    "faults of one name": (
        faults("{at: 1s, inject: switchover, name: s}", "{at: 9s, inject: switchover, name: s}"),
        ["7:9: two faults are called 's'; give one a 'name' of its own"],
    ),
    "expect no mapping": (
        scenario("    expect: [rto]\n"),
        ["5:5: expect: write a mapping of metrics to limits, as in {rto: '<= 30s'}"],
    ),
    "metric": (scenario("    expect: {rot: <= 5s}\n"), ["5:14: unknown metric 'rot'; did you mean 'rto'?"]),
    "limit": (
        scenario("    expect: {rto: 5s, rpo: '<= 1%', p99: '<= 5', ok_rate: '>= 990'}\n"),
        [
            "5:14: rto: '5s' is not a limit: write a comparison, as in '<= 30s'",
            "5:23: rpo: '1%' is not a count: write a whole number",
            f"5:37: p99: '5' is not a duration: {DURATION}",
            "5:50: ok_rate: '990' is not a share: write 0% to 100%, or 0 to 1",
        ],
    ),
    "defaults, each where it stands": (
        "defaults:\n  scael: 2\n  recovery: 5\n  windows: {quiet: 1}\n  expect: {rto: fast}\n" + MINIMAL,
        [
            "2:3: unknown key 'scael'; did you mean 'scale'?",
            f"3:3: recovery: 5 is not a duration: {DURATION}",
            f"4:13: quiet: 1 is not a duration: {DURATION}",
            "5:12: rto: 'fast' is not a limit: write a comparison, as in '<= 30s'",
        ],
    ),
    # Said once, though two scenarios inherit it; and the suggestion's own place is not mistaken for the problem's.
    "defaults and two scenarios": (
        "defaults: {scale: 0}\n"
        + MINIMAL
        + "    scle: 3\n  b:\n    duration: 1s\n    load: {workload: mixed, clients: 1}\n",
        ["1:12: scale: write 1 or more, not 0", "6:5: unknown key 'scle'; did you mean 'scale'?"],
    ),
    "several, in order": (
        "seed: x\n" + faults("{at: 1s, inject: kill, target: leadr}") + "    scale: 0\n",
        [
            "1:1: seed: write a whole number, not 'x'",
            "7:32: no target 'leadr': did you mean 'leader'?",
            "8:5: scale: write 1 or more, not 0",
        ],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_everything_wrong_is_said_with_its_place(case: str, tmp_path: Path):
    text, expected = BAD[case]
    file = write(tmp_path, text)
    with pytest.raises(ScenarioFileError) as raised:
        load(file)
    assert str(raised.value).splitlines() == [f"{file}:{line}" for line in expected]
    assert raised.value.exit_code == 2


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(UsageError, match=r"no\.yaml: no such file; write the path of a scenario file"):
        load(tmp_path / "no.yaml")


def test_a_directory(tmp_path: Path):
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_binary_file(tmp_path: Path):
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\x7fELF\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"f\.yaml: not text in UTF-8"):
        load(file)


# What a slip of the keyboard or a misunderstanding may put in the place of a value.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.text(max_size=8),
    st.sampled_from(
        ["", "0", "-1s", "1e9/s", "9" * 400, "<= ", ">= 5%", "leader", "10s", "2020-99-99", ".nan", "{", "$1"]
    ),
    st.lists(st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=6) | st.integers() | st.none(), st.integers() | st.none(), max_size=2),
)
GOOD: dict[str, Any] = yaml.safe_load(WHOLE)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below a node."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [place for key in keys for place in ((node, key), *places(node[key]))]


def mutate(node: Any, key: Any, how: str, value: Any, name: Any) -> None:
    if how == "replace":
        node[key] = value
    elif isinstance(node, dict) and how == "rename":
        node[name] = node.pop(key)
    elif isinstance(node, dict) and how == "add":
        node[name] = value
    else:
        del node[key]


@st.composite
def mutations(draw: st.DrawFn) -> str:
    document = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        found = places(document)
        if not found:
            break
        node, key = found[draw(st.integers(0, len(found) - 1))]
        name = draw(
            st.text(max_size=6) | st.integers() | st.none() | st.sampled_from(["at", "rate", "target", "class"])
        )
        mutate(node, key, draw(st.sampled_from(["replace", "delete", "rename", "add"])), draw(ODD), name)
    return yaml.dump(document, allow_unicode=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutants")


def judged(folder: Path, text: str) -> None:
    """A scenario file, or a UsageError whose every line begins with the file. Never anything else."""
    file = folder / "f.yaml"
    file.write_text(text, encoding="utf-8", errors="replace")
    try:
        found = load(file)
    except UsageError as error:
        assert str(error)
        assert all(line.startswith(str(file)) for line in str(error).split("\n"))
    else:
        assert isinstance(found, ScenarioFile)
        assert found.scenarios


@given(text=mutations())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_mutant_of_a_good_file_gives_a_traceback(folder: Path, text: str):
    judged(folder, text)


@given(cut=st.integers(0, len(WHOLE)), put=st.text(max_size=6), length=st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_no_text_gives_a_traceback(folder: Path, cut: int, put: str, length: int):
    judged(folder, WHOLE[:cut] + put + WHOLE[cut + length :])


TRIALS = MINIMAL + "    faults: [{at: 1s, inject: kill, target: leader, hold: 10s}]\n"


def test_trials_and_the_loop_they_shift_faults_in(tmp_path: Path):
    (plain,) = load(write(tmp_path, MINIMAL)).scenarios
    assert (plain.trials, plain.loop_wait) == (1, 5.0)
    (repeated,) = load(write(tmp_path, TRIALS + "    trials: 5\n    loop_wait: 8s\n")).scenarios
    assert (repeated.trials, repeated.loop_wait) == (5, 8.0)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("    trials: 0\n", "trials: write 1 or more, not 0"),
        ("    trials: many\n", "trials: write a whole number, not 'many'"),
        ("    trials: 2.5\n", "trials: write a whole number, not 2.5"),
        ("    trials: 1001\n", "trials: write 1000 or less, not 1001"),
        ("    trial: 5\n", "unknown key 'trial'; did you mean 'trials'?"),
        ("    loop_wait: 5\n", "loop_wait: 5 is not a duration"),
        (
            "    trials: 2\n    loop_wait: 10s\n",
            "fault 'kill-leader' ends at 21s (trials inject it up to 10s later), but the scenario lasts 20s",
        ),
    ],
)
def test_trials_that_make_no_sense(lines: str, said: str, tmp_path: Path):
    with pytest.raises(ScenarioFileError, match=re.escape(said)) as raised:
        load(write(tmp_path, TRIALS + lines))
    assert len(raised.value.problems) == 1


SPREAD = """\
scenarios:
  wide:
    duration: 10s
    load:
      workers: 2
      on_worker_lost: fail
      streams:
        - {workload: ledger, clients: 4}
        - {workload: stale-reads, rate: 10/s, registers: 3, connections: 2}
"""


def wide(tmp_path: Path, text: str) -> ScenarioFile:
    path = tmp_path / "wide.yaml"
    path.write_text(text)
    return load(path)


def test_load_that_several_processes_carry(tmp_path: Path):
    (scenario,) = wide(tmp_path, SPREAD).scenarios
    assert scenario.spread == Spread(workers=2, on_worker_lost="fail")
    assert [stream.name for stream in scenario.streams] == ["ledger", "stale-reads"]
    elsewhere = SPREAD.replace("workers: 2", "scheduler: tcp://10.0.0.5:8786\n      proxy: '[::1]:9999'")
    (scenario,) = wide(tmp_path, elsewhere).scenarios
    assert scenario.spread == Spread(scheduler="tcp://10.0.0.5:8786", proxy="[::1]:9999", on_worker_lost="fail")
    alone = SPREAD.replace("workers: 2", "workers: 1").replace("on_worker_lost: fail", "on_worker_lost: continue")
    (scenario,) = wide(tmp_path, alone).scenarios
    assert scenario.spread == Spread(workers=1)


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("workers: 2", "workers: 0", "5:7: workers: write 1 or more, not 0"),
        (
            "10s",
            "1d",
            "3:5: duration: the load of a soak is carried by one process: leave 'workers' and 'scheduler' out",
        ),
        ("10s", "10s\n    settle: 5s", "4:5: settle: the load of a soak is carried by one process"),
        ("workers: 2", "workers: two", "5:7: workers: write a whole number, not 'two'"),
        ("workers: 2", "worker: 2", "5:7: unknown key 'worker'; did you mean 'workers'?"),
        ("workers: 2", "workers: 3", "5:7: workers: 3 workers cannot share the 2 connections of 'stale-reads'"),
        ("registers: 3", "registers: 1", "5:7: workers: 2 workers cannot share the 1 registers of 'stale-reads'"),
        ("      workers: 2\n", "", "4:5: load: give 'workers' (processes on this machine, as in 2) or 'scheduler'"),
        (
            "workers: 2",
            "scheduler: 10.0.0.5:8786",
            "5:7: scheduler: '10.0.0.5:8786' is not the address of a Dask scheduler",
        ),
        (
            "workers: 2",
            "scheduler: http://host:1",
            "is not the address of a Dask scheduler: write one as in tcp://host:8786",
        ),
        ("workers: 2", "proxy: here", "5:7: proxy: 'here' is not an address: write host:port, as in db.example:9999"),
        (
            "on_worker_lost: fail",
            "on_worker_lost: die",
            "6:7: on_worker_lost: 'die' is not known; write one of: continue, fail",
        ),
        ("streams:", "stream:", "unknown key 'stream'; did you mean 'streams'?"),
        ("streams:", "workload: mixed\n      streams:", "workers: 2, streams: [{workload: ...}]}"),
    ],
)
def test_what_is_said_of_a_bad_one(tmp_path: Path, was: str, now: str, said: str):
    with pytest.raises(ScenarioFileError) as raised:
        wide(tmp_path, SPREAD.replace(was, now))
    assert said in str(raised.value), str(raised.value)


def test_several_processes_without_dask_is_said_before_anything_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chaosbench.scenarios.entries.find_spec", lambda name: None)
    with pytest.raises(ScenarioFileError, match=r"5:7: workers: .* pip install 'chaosbench\[distributed\]'"):
        wide(tmp_path, SPREAD)
