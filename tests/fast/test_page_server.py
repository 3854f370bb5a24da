"""The page's server: history for who comes late, no harm from who is slow, nothing for who should not ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from sinks_cases import ANCHOR, Bench, event

from chaosbench.clock import NS
from chaosbench.events import Kind
from chaosbench.sinks.page.feed import READERS, ROWS_KEPT, Feed, Mailbox
from chaosbench.sinks.page.guard import TOKEN_HEADER, trusted
from chaosbench.sinks.page.history import Kept, Point
from chaosbench.sinks.page.past import runs
from chaosbench.sinks.page.sink import PageSink


class Desk:
    """A page served to a test's client."""

    def __init__(self, out: Path) -> None:
        self.bench = Bench()
        self.aborted = 0
        self.page = PageSink(self.bench.clock, ANCHOR, out, self.abort)
        self.client: TestClient[web.Request, web.Application]

    def abort(self) -> None:
        self.aborted += 1

    async def tick(self, ok: int = 5) -> None:
        self.bench.now_ns += NS
        self.bench.ok(ok)
        self.page.on_tick(self.bench.recorder)
        assert self.page._digesting is not None
        await self.page._digesting


@asynccontextmanager
async def served(out: Path) -> AsyncIterator[Desk]:
    desk = Desk(out)
    app = web.Application()
    app.router.add_routes(desk.page.routes)
    async with TestClient(TestServer(app)) as client:
        desk.client = client
        yield desk
        desk.page.close()


async def message(stream: ClientResponse) -> tuple[str, dict[str, Any]]:
    """The next message of a stream."""
    kind = data = ""
    async with asyncio.timeout(5):
        while line := (await stream.content.readline()).decode().rstrip("\n"):
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = line.removeprefix("data: ")
    return kind, json.loads(data) if data else {}


async def test_a_page_that_is_opened_late_gets_the_history_and_then_the_news(tmp_path: Path):
    async with served(tmp_path) as desk:
        desk.page.on_event(event(Kind.SCENARIO_STARTED))
        desk.page.on_event(event(Kind.STAGE))
        for _ in range(50):
            await desk.tick()
        async with desk.client.get("/page/api/stream") as stream:
            kind, first = await message(stream)
            assert (kind, len(first["rows"])) == ("history", 50)
            assert first["rows"][-1][3] == 5.0, "acknowledged a second"
            assert first["state"]["totals"]["ok"] == 250
            await desk.tick(7)
            kind, second = await message(stream)
            assert (kind, [row[3] for row in second["rows"]]) == ("now", [7.0])
            desk.page.close()
            assert (await message(stream))[0] == "now"
            assert (await message(stream))[0] == "end"


async def test_a_new_scenario_begins_a_new_history(tmp_path: Path):
    async with served(tmp_path) as desk:
        await desk.tick()
        async with desk.client.get("/page/api/stream") as stream:
            await message(stream)
            desk.page.on_event(event(Kind.SCENARIO_STARTED))
            desk.bench.renewed()
            await desk.tick()
            kind, data = await message(stream)
            assert (kind, len(data["rows"])) == ("history", 1)


def test_a_browser_that_does_not_listen_costs_a_few_rows_and_gets_all_again():
    mailbox, rows = Mailbox(), [Kept(Point(at_ms=at)) for at in range(ROWS_KEPT + 1)]
    mailbox.behind = False
    for row in rows[:ROWS_KEPT]:
        mailbox.put(row)
    assert (len(mailbox.rows), mailbox.behind) == (ROWS_KEPT, False)
    mailbox.put(rows[-1])
    assert (mailbox.rows, mailbox.behind) == ([], True)
    for row in rows * 100:
        mailbox.put(row)
    assert mailbox.rows == []


async def test_a_browser_that_went_away_is_forgotten(tmp_path: Path):
    async with served(tmp_path) as desk:
        await desk.tick()
        stream = await desk.client.get("/page/api/stream")
        await message(stream)
        assert desk.page._feed.watched == 1
        stream.close()
        for _ in range(100):
            await desk.tick()
            await asyncio.sleep(0.02)
            if not desk.page._feed.watched:
                return
        pytest.fail("it is still told")


async def test_nobody_looking_costs_nothing():
    made = []
    feed = Feed(lambda: made.append("state") or "{}", list)
    kept = Kept(Point(at_ms=1))
    feed.publish(kept)
    assert made == []
    assert not kept.encoded


async def test_there_is_room_for_so_many_browsers(tmp_path: Path):
    async with served(tmp_path) as desk:
        streams = [await desk.client.get("/page/api/stream") for _ in range(READERS)]
        refused = await desk.client.get("/page/api/stream")
        assert refused.status == 503
        for stream in streams:
            stream.close()


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("127.0.0.1:9180", True),
        ("localhost:9180", True),
        ("[::1]:9180", True),
        ("10.7.0.1:9180", True),
        ("evil.example:9180", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("[::1", False),
        ("", False),
        (None, False),
    ],
)
def test_a_name_that_was_made_to_lead_here_is_refused(host: str | None, good: bool):
    assert trusted(host) is good


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/page/api/stream", "/page/api/runs", "/runs/a/summary.json"])
async def test_every_address_is_behind_that_door(tmp_path: Path, path: str):
    async with served(tmp_path) as desk:
        answer = await desk.client.get(path, headers={"Host": "evil.example"})
        assert answer.status == 421


async def test_stopping_takes_the_token(tmp_path: Path):
    async with served(tmp_path) as desk:
        for headers in ({}, {TOKEN_HEADER: "0" * 12}, {TOKEN_HEADER: desk.page.token[:-1]}, {TOKEN_HEADER: "ä"}):
            answer = await desk.client.post("/page/api/abort", headers=headers)
            assert answer.status == 403, headers
        token = {TOKEN_HEADER: desk.page.token}
        foreign = await desk.client.post("/page/api/abort", headers=token | {"Origin": "http://evil.example"})
        renamed = await desk.client.post("/page/api/abort", headers=token | {"Host": "evil.example"})
        assert (foreign.status, renamed.status) == (403, 421)
        assert (await desk.client.get("/page/api/abort", headers=token)).status in (404, 405)
        assert desk.aborted == 0
        assert (await desk.client.post("/page/api/abort", headers=token)).status == 200
        assert desk.aborted == 1


def test_every_run_has_a_token_of_its_own(tmp_path: Path):
    tokens = {Desk(tmp_path).page.token for _ in range(50)}
    assert len(tokens) == 50
    assert all(len(token) == 12 for token in tokens)


async def test_nothing_that_the_server_sends_lets_a_browser_ask_elsewhere(tmp_path: Path):
    async with served(tmp_path) as desk:
        for path in ("/", "/page/main.js", "/page/plotly.min.js", "/page/api/runs"):
            answer = await desk.client.get(path)
            assert answer.status == 200, path
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'")
            assert "http" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_names_only_files_that_there_are(tmp_path: Path):
    async with served(tmp_path) as desk:
        text = await (await desk.client.get("/")).text()
        named = [part.split('"')[0] for part in text.split("/page/")[1:]]
        assert {"page.css", "main.js", "plotly.min.js", "icon.svg"} <= set(named)
        for name in named:
            assert (await desk.client.get(f"/page/{name}")).status == 200, name
        assert (await desk.client.get("/page/nothing.js")).status == 404


def results(out: Path) -> None:
    for name, verdict in (("20261124T100000Z-steady", "pass"), ("20261125T100000Z-leader-kill", "fail")):
        (out / name).mkdir(parents=True)
        head = {"scenario": name, "started_at": "now", "verdict": verdict, "expectations": [{"verdict": "unknown"}]}
        (out / name / "summary.json").write_text(json.dumps(head, indent=2))
    (out / "20261125T100000Z-leader-kill" / "report.html").write_text("<!doctype html><title>report</title>")
    (out / "latest").symlink_to("20261125T100000Z-leader-kill")
    (out / "20261125T110000Z-empty").mkdir()


def test_past_runs_are_listed_newest_first_with_their_verdict(tmp_path: Path):
    results(tmp_path)
    assert [(run["name"][16:], run.get("verdict"), run["files"]) for run in runs(tmp_path)] == [
        ("-leader-kill", "fail", ["report.html", "summary.json"]),
        ("-steady", "pass", ["summary.json"]),
    ]
    assert runs(tmp_path / "missing") == []


async def test_a_report_is_served_apart_from_the_page(tmp_path: Path):
    results(tmp_path)
    async with served(tmp_path) as desk:
        answer = await desk.client.get("/runs/20261125T100000Z-leader-kill/report.html")
        assert "report" in await answer.text()
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "allow-same-origin" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/runs/../secret/summary.json",
        "/runs/%2e%2e/summary.json",
        "/runs/..%2fsecret/summary.json",
        "/runs/%2fetc/passwd",
        "/runs/a/%2e%2e/summary.json",
        "/runs/20261124T100000Z-steady/events.jsonl",
        "/runs/20261124T100000Z-steady/..%2f..%2fsecret%2fsummary.json",
        "/runs/climber/summary.json",
        "/runs/linked/summary.json",
        "/runs/.hidden/summary.json",
    ],
)
async def test_nothing_but_results_is_served(tmp_path: Path, path: str):
    out, secret = tmp_path / "runs", tmp_path / "secret"
    secret.mkdir()
    (secret / "summary.json").write_text('{"secret": 1}')
    (tmp_path / "summary.json").write_text('{"secret": 1}')
    results(out)
    (out / "20261124T100000Z-steady" / "events.jsonl").write_text("{}")
    (out / ".hidden").mkdir()
    (out / ".hidden" / "summary.json").write_text("{}")
    (out / "climber").symlink_to(secret)
    (out / "linked").mkdir()
    (out / "linked" / "summary.json").symlink_to(secret / "summary.json")
    async with served(out) as desk:
        reader = desk.client.server
        # A raw request: a client would tidy the path up before it asks.
        stream, writer = await asyncio.open_connection(reader.host, reader.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = (await asyncio.wait_for(stream.read(), 5)).decode()
        writer.close()
        assert answer.split()[1] == "404", answer[:200]
        assert "secret" not in answer


async def test_the_last_word_is_the_summarys(tmp_path: Path):
    name = "20261125T100000Z-leader-kill"
    (tmp_path / name).mkdir()
    (tmp_path / name / "summary.json").write_text(json.dumps(SUMMARY))
    async with served(tmp_path) as desk:
        for kind in (Kind.SCENARIO_STARTED, Kind.STAGE, Kind.FAULT_INJECTING):
            desk.page.on_event(event(kind))
        await desk.tick()
        async with desk.client.get("/page/api/stream") as stream:
            await message(stream)
            async with desk.page.running():
                desk.page.on_event(event(Kind.SCENARIO_FINISHED, directory=str(tmp_path / name)))
            state: dict[str, Any] = {}
            while True:
                kind, data = await message(stream)
                if kind == "end":
                    break
                state = data["state"]
    assert state["results"]["verdict"] == "fail"
    assert state["totals"] == SUMMARY["load"]
    assert state["faults"][0]["rto_s"] == 12.5
    assert state["faults"][0]["phases"]["election_s"] == 2.0
    assert state["done"] == [{"scenario": "leader-kill", "verdict": "pass", "run": name}]


PHASES = ("path", "detection_s", "election_s", "promotion_s", "proxy_s", "client_s", "redundancy_s", "why")
SUMMARY: dict[str, Any] = {
    "verdict": "fail",
    "why": "rto <= 1s",
    "load": {"attempted": 10, "ok": 8},
    "latency_ms": {"response": {"p50": 1.0}},
    "expectations": [{"metric": "rto", "text": "<= 1s", "value": 12.5, "unit": "s", "verdict": "fail", "why": ""}],
    "faults": [
        {
            "name": "leader-dies",
            "member": "pg1",
            "rto_s": 12.5,
            "write_gap_s": 12.0,
            "leader_before": "pg1",
            "leader_after": "pg2",
            "phases": dict.fromkeys(PHASES) | {"election_s": 2.0},
        }
    ],
    "ledger": None,
}
