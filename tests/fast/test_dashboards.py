"""The dashboards in the repository are those of their source, are what Grafana reads, and can be provisioned."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import make
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from parts import SOURCE, Board

ROOT = Path(__file__).parents[2]
BOARDS = {board.name: board for board in make.boards()}
register_default_plugins()


def read(name: str) -> dict[str, Any]:
    return json.loads((make.DASHBOARDS / f"{name}.json").read_text(encoding="utf-8"))


def test_there_is_one_file_a_board():
    assert {path.stem for path in make.DASHBOARDS.iterdir()} == set(BOARDS) == {"run", "cluster", "soak", "trials"}


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_the_file_is_up_to_date(board: Board):
    committed = (make.DASHBOARDS / f"{board.name}.json").read_text(encoding="utf-8")
    assert committed == make.rendered(board), "run `make dashboards`"


@pytest.mark.parametrize("name", BOARDS)
def test_grafanas_own_model_reads_the_file_and_loses_nothing(name: str):
    found = read(name)
    for annotation in found["annotations"]["list"]:
        for own in ("titleFormat", "textFormat", "step"):
            assert annotation.pop(own)
    again = json.loads(json.dumps(Dashboard.from_json(found), cls=JSONEncoder))
    assert again == found


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_query_in_the_file_is_one_that_the_live_test_asks(board: Board):
    found = read(board.name)
    written = [target["expr"] for panel in found["panels"] for target in panel.get("targets", ())]
    written += [mark["expr"] for mark in found["annotations"]["list"]]
    assert sorted(written) == sorted(query.expression for _, query in board.queries)
    names = {variable["name"] for variable in found["templating"]["list"]}
    assert names == {"run", "scenario", "workload", "node"}
    builtin = {"__rate_interval", "__range", "__interval"}
    for text in written + [variable["query"] for variable in found["templating"]["list"]]:
        assert set(re.findall(r"\$(\w+)", text)) <= names | builtin


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_overlap_and_say_what_they_show(name: str):
    taken: set[tuple[int, int]] = set()
    panels = read(name)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"]


def test_the_data_source_that_is_provisioned_is_the_one_that_is_asked():
    (source,) = yaml.safe_load((ROOT / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert (source["uid"], source["type"]) == (SOURCE.uid, "prometheus")
    config = yaml.safe_load((ROOT / "infra/monitoring/prometheus.yml").read_text())
    fastest = min(job.get("scrape_interval", "5s") for job in config["scrape_configs"])
    assert source["jsonData"]["timeInterval"] == fastest
    (provider,) = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/chaosbench.yaml").read_text())["providers"]
    grafana = yaml.safe_load((ROOT / "infra/compose.monitoring.yaml").read_text())["services"]["grafana"]
    assert f"../grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"


def test_every_alert_is_unit_tested_and_explained():
    rules = yaml.safe_load((ROOT / "infra/monitoring/rules/chaosbench.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    tests = yaml.safe_load((ROOT / "infra/monitoring/rules_test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == alerts
    readme = (ROOT / "infra/README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([A-Z]\w+)` \|", readme, flags=re.MULTILINE)) == alerts


def test_no_fault_can_hit_what_looks_on_and_it_listens_where_it_is_told():
    services = yaml.safe_load((ROOT / "infra/compose.monitoring.yaml").read_text())["services"]
    for name, service in services.items():
        assert "io.chaosbench.lab" not in service.get("labels", {}), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
    for name, variable in (("prometheus", "MONITORING_ADDRESS"), ("grafana", "GF_SERVER_HTTP_ADDR")):
        assert services[name]["network_mode"] == "host"
        assert services[name]["environment"][variable] == "${MONITORING_ADDRESS}"
