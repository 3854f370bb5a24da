// The page: listens to the run's stream, and shows what it says.

import { Charts } from "./charts.js";
import { drawMap } from "./map.js";
import { Series } from "./series.js";
import * as tables from "./tables.js";
import { count, seconds } from "./words.js";

const at = (id) => document.getElementById(id);
const series = new Series();
const charts = new Charts(at("panels"), series, at("range"));
let state = {};
let past = [];
let finished = -1; // scenarios that were done when past runs were looked up

function listen() {
  const stream = new EventSource("/page/api/stream");
  stream.addEventListener("history", (event) => hear(event, (rows) => series.reset(rows)));
  stream.addEventListener("now", (event) => hear(event, (rows) => {
    if (series.add(rows)) {
      stream.close();
      listen(); // too many rows: the server has them coarser
    }
  }));
  stream.addEventListener("end", () => {
    stream.close();
    connection("the run is over", "");
    window.addEventListener("focus", listen, { once: true }); // another one may have begun
  });
  stream.onerror = () => {
    if (state.finished?.verdict) return;
    connection("not connected", "lost");
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
}

function hear(event, take) {
  const message = JSON.parse(event.data);
  take(message.rows);
  state = message.state;
  connection("live", "live");
  show();
}

function connection(words, kind) {
  const told = at("connection");
  if (told.textContent !== words) told.textContent = words;
  told.className = `connection ${kind}`;
}

function show() {
  header();
  const row = series.rows.at(-1);
  tables.figures(at("figures"), state, row);
  tables.faults(at("faults"), state);
  tables.expectations(at("expectations"), state);
  tables.totals(at("totals"), state);
  tables.news(at("news"), state);
  if (state.map) {
    drawMap(at("map"), state.map);
    at("health").textContent = state.map.problems.length ? state.map.problems.join("; ") : "whole";
    at("health").className = state.map.problems.length ? "warn" : "good";
  }
  if (state.done.length !== finished) {
    finished = state.done.length;
    tables.runs(at("runs"), past, state);
    setTimeout(lookUpRuns, finished ? 1500 : 0);
  }
  charts.update(state);
}

function header() {
  const { scenario, trial, stage, results, done } = state;
  const name = scenario.scenario ?? "chaosbench";
  at("scenario").textContent = trial.trial ? `${name}, trial ${trial.trial} of ${trial.trials}` : name;
  document.title = `${name} · chaosbench`;
  at("description").textContent = scenario.description ?? "";
  const verdict = results.verdict ?? (stage.name ? null : done.at(-1)?.verdict);
  at("verdict").hidden = !verdict;
  at("verdict").textContent = verdict ?? "";
  at("verdict").className = `badge ${verdict ?? ""}`;
  at("so-far").textContent = results.verdict ? "" : "so far";
  at("stage").textContent = stage.text || (state.finished.verdict ? "the run is over" : "waiting for the next scenario");
  at("stage-detail").textContent = detail(stage, results);
  bar(stage, scenario);
}

function detail(stage, results) {
  if (results.why && !stage.name) return results.why;
  if (stage.progress) return `${count(stage.progress[0])} of ${count(stage.progress[1])} ${stage.progress[2]}`;
  if (stage.planned_s) return `${seconds(Math.min(stage.elapsed_s, stage.planned_s))} of ${seconds(stage.planned_s)}`;
  return stage.detail ?? "";
}

function bar(stage, scenario) {
  let share = stage.planned_s ? stage.elapsed_s / stage.planned_s : stage.progress ? stage.progress[0] / stage.progress[1] : stage.name ? 0 : 1;
  share = Math.max(0, Math.min(1, share));
  at("bar-done").style.width = `${share * 100}%`;
  at("bar").setAttribute("aria-valuenow", String(Math.round(share * 100)));
  const ticks = stage.name === "load" ? scenario.faults ?? [] : [];
  at("bar-faults").replaceChildren(...ticks.map((fault) => {
    const tick = document.createElement("div");
    tick.className = "tick";
    tick.title = fault.fault;
    tick.style.left = `${(fault.at_s / stage.planned_s) * 100}%`;
    tick.style.width = `${(Math.min(fault.hold_s, stage.planned_s - fault.at_s) / stage.planned_s) * 100}%`;
    return tick;
  }));
}

async function lookUpRuns() {
  if (state.finished.verdict) {
    tables.runs(at("runs"), past, state);
    return; // nobody is there to be asked any more
  }
  try {
    const answer = await fetch("/page/api/runs");
    if (answer.ok) past = await answer.json();
  } catch {
    return; // the run has just ended
  } finally {
    tables.runs(at("runs"), past, state);
  }
}

at("abort").addEventListener("submit", async (event) => {
  event.preventDefault();
  const told = at("abort-answer");
  try {
    const answer = await fetch("/page/api/abort", { method: "POST", headers: { "X-Chaosbench-Token": at("token").value } });
    told.textContent = answer.ok ? "Stopping: faults are healed, then comes the report." : await answer.text();
    told.className = answer.ok ? "good" : "bad";
  } catch {
    told.textContent = "The run does not answer any more.";
    told.className = "bad";
  }
});

listen();
