// Everything beside the curves: figures, faults, expectations, operations, events, results.

import { count, el, millis, seconds, withUnit } from "./words.js";

const PHASES = ["detection", "election", "promotion", "proxy", "client"];
const COUNTS = ["attempted", "ok", "failed", "unknown", "shed", "in_flight"];
const VERDICTS = { pass: "met", fail: "failed", unknown: "open" };

export function figures(root, state, row) {
  const shown = state.results?.verdict ? inTheEnd(state) : now(state, row);
  root.replaceChildren(...shown.map(([id, name, value, note, alarm]) =>
    el("div", { class: alarm ? "alarm" : null, "data-figure": id }, el("dt", {}, name), el("dd", {}, value, el("small", {}, note)))));
}

function now(state, row) {
  const fault = latestFault(state);
  const measured = row && row.ok !== null;
  const errors = measured ? Object.values(row.errors).reduce((sum, rate) => sum + rate, 0) : null;
  const starving = measured && row.offered > 20 && row.ok < row.offered / 2;
  return [
    ["throughput", "Acknowledged", measured ? `${count(row.ok)}/s` : "–", measured ? `of ${count(row.offered)}/s offered` : "no load now", starving],
    ["p99", "p99 response", millis(measured ? row.percentiles[2] : null), `median ${millis(measured ? row.percentiles[0] : null)}`, false],
    ["errors", "Errors", errors === null ? "–" : `${count(errors)}/s`, openWindows(state) || "no error window", openWindows(state) !== ""],
    ["in-flight", "In flight", count(measured ? row.inFlight : null), `backlog ${count(measured ? row.backlog : null)}`, false],
    ["rto", "RTO", rto(fault, state), fault ? fault.name : "no fault yet", Boolean(fault?.failing && fault.rto_s === null)],
    ["lost", "Rows lost", "–", "known at the end", false],
  ];
}

// The same figures over the whole measurement, as the summary has them.
function inTheEnd(state) {
  const { load, response_ms: response, ledger } = state.results;
  const errors = load.failed + load.unknown + load.shed;
  const fault = latestFault(state);
  return [
    ["throughput", "Acknowledged", `${count(load.ok_per_s)}/s`, `of ${count(load.offered_per_s)}/s offered`, false],
    ["p99", "p99 response", millis(response.p99), `median ${millis(response.p50)}`, false],
    ["errors", "Not acknowledged", count(errors), `of ${count(load.attempted)} attempted`, false],
    ["in-flight", "Longest response", millis(response.max), "of the acknowledged", false],
    ["rto", "RTO", rto(fault, state), fault ? fault.name : "no fault", Boolean(fault) && fault.rto_s === null],
    ["lost", "Rows lost", ledger ? count(ledger.lost) : "–", ledger ? `of ${count(ledger.acked)} acknowledged` : "no ledger", Boolean(ledger?.lost)],
  ];
}

function latestFault(state) {
  return state.faults?.at(-1);
}

function rto(fault, state) {
  if (!fault) return "–";
  if (fault.rto_s !== null && fault.rto_s !== undefined) return seconds(fault.rto_s);
  if (state.results?.verdict) return "not back";
  return fault.failing ? `> ${seconds((state.now - fault.from) / 1000)}` : "–";
}

function openWindows(state) {
  const open = (state.windows ?? []).filter((window) => window.open).map((window) => window.class);
  return open.length ? `error window: ${open.join(", ")}` : "";
}

export function faults(root, state) {
  const planned = (state.scenario?.faults ?? []).filter((plan) => !(state.faults ?? []).some((fault) => fault.name === plan.fault));
  const rows = (state.faults ?? []).map((fault) => el("tr", { "data-fault": fault.name },
    el("td", {}, el("strong", {}, fault.name), ` ${fault.injector} ${fault.target}`, phases(fault), fault.error ? el("span", { class: "phases bad" }, fault.error) : null),
    el("td", { class: `n ${fault.state === "healed" ? "good" : fault.state === "active" ? "warn" : fault.state === "injecting" ? "" : "bad"}` }, fault.state),
    el("td", { class: "n", "data-rto": fault.rto_s ?? "" }, rto(fault, state))));
  rows.push(...planned.slice(0, 20).map((plan) => el("tr", {}, el("td", {}, plan.fault), el("td", { class: "n muted" }, `at ${seconds(plan.at_s)}`), el("td", {}))));
  root.replaceChildren(rows.length ? table(["", "", "RTO"], rows) : el("p", { class: "muted" }, "none planned"));
}

function phases(fault) {
  if (!fault.phases) return null;
  const known = PHASES.filter((name) => fault.phases[`${name}_s`] !== null).map((name) => `${name} ${seconds(fault.phases[`${name}_s`])}`);
  const path = fault.phases.path === "none" ? "" : `${fault.phases.path}: `;
  return el("span", { class: "phases" }, path + known.join(" · "));
}

export function expectations(root, state) {
  const rows = (state.expectations ?? []).map((one) => el("tr", { "data-metric": one.metric, "data-verdict": one.verdict },
    el("td", {}, el("strong", {}, one.metric), ` ${one.limit}`, one.why ? el("span", { class: "phases" }, one.why) : null),
    el("td", { class: "n" }, withUnit(one.value, one.unit)),
    el("td", { class: `n ${{ pass: "good", fail: "bad" }[one.verdict] ?? "muted"}` }, VERDICTS[one.verdict])));
  root.replaceChildren(rows.length ? table(["", "", ""], rows) : el("p", { class: "muted" }, state.load_from ? "none in this scenario" : "held against the load once it runs"));
}

export function totals(root, state) {
  const rows = COUNTS.filter((name) => state.totals?.[name] !== undefined).map((name) => el("tr", {},
    el("td", {}, name.replace("_", " ")), el("td", { class: "n", "data-total": name, "data-value": state.totals[name] }, count(state.totals[name]))));
  const response = state.results?.response_ms;
  if (response) rows.push(el("tr", {}, el("td", {}, "response p50 / p99 / max"), el("td", { class: "n" }, [response.p50, response.p99, response.max].map(millis).join(" / "))));
  root.replaceChildren(rows.length ? table(["", ""], rows) : el("p", { class: "muted" }, "none yet"));
}

export function news(root, state) {
  const down = root.scrollHeight - root.scrollTop - root.clientHeight < 30;
  root.replaceChildren(...(state.news ?? []).map((one) => el("li", { class: one.tone === "plain" ? null : one.tone }, el("time", {}, one.t.toFixed(2)), el("span", {}, one.text))));
  if (down) root.scrollTop = root.scrollHeight;
}

export function runs(root, list, state) {
  const here = new Set((state.done ?? []).map((one) => one.run));
  const done = (state.done ?? []).map((one) => el("li", {}, badge(one.verdict), el("span", {},
    ...(one.run ? [el("a", { href: `/runs/${one.run}/summary.json` }, one.scenario)] : [one.scenario]),
    one.trial ? ` trial ${one.trial} of ${one.trials}` : "", " (this run)"))).reverse();
  const past = list.filter((run) => !here.has(run.name)).map((run) => el("li", {}, badge(run.verdict), el("span", {}, ...links(run))));
  root.replaceChildren(done.length + past.length ? el("ul", {}, ...done, ...past) : el("p", { class: "muted" }, "none yet"));
}

function links(run) {
  const address = (file) => `/runs/${encodeURIComponent(run.name)}/${file}`;
  const others = run.files.slice(1).flatMap((file) => [" ", el("a", { href: address(file), class: "muted" }, file)]);
  return [el("a", { href: address(run.files[0]) }, run.name), ...others];
}

export function badge(verdict) {
  return el("span", { class: `badge ${verdict ?? ""}` }, verdict ?? "–");
}

function table(heads, rows) {
  const named = heads.some(Boolean);
  const head = named ? el("thead", {}, el("tr", {}, ...heads.map((text) => (text ? el("th", { class: "n", scope: "col" }, text) : el("td", {}))))) : null;
  return el("table", {}, head, el("tbody", {}, ...rows));
}

