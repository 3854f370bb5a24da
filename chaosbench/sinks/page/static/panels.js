// Which curves there are. Each panel lists its curves; drawing them is charts.js.

import * as words from "./words.js";

const REASONS_SHOWN = 7;
export const PALETTE = ["--s1", "--s2", "--s3", "--s4", "--s5", "--s6", "--s7", "--s8"];

const percentile = (index) => (row) => row.percentiles[index];
const of = (name, index) => (row) => row.containers[name]?.[index];

function errors(series) {
  const reasons = series.reasons();
  const shown = reasons.slice(0, REASONS_SHOWN);
  const curves = shown.map((reason, index) => ({
    name: reason, colour: PALETTE[(index + 1) % PALETTE.length], stacked: true,
    read: (row) => (row.ok === null ? null : row.errors[reason] ?? 0),
  }));
  const others = reasons.slice(REASONS_SHOWN);
  if (others.length) {
    curves.push({
      name: "others", colour: "--s8", stacked: true,
      read: (row) => (row.ok === null ? null : others.reduce((sum, reason) => sum + (row.errors[reason] ?? 0), 0)),
    });
  }
  return curves;
}

function perMember(index) {
  return (series) => series.members().map((name, number) => ({
    name, colour: PALETTE[number % PALETTE.length], dash: number >= PALETTE.length, read: of(name, index),
  }));
}

export const PANELS = [
  {
    id: "throughput", title: "Throughput", unit: "/s", show: words.count,
    curves: () => [
      { name: "offered", colour: "--s8", dash: true, read: (row) => row.offered },
      { name: "acknowledged", colour: "--s1", fill: true, read: (row) => row.ok },
    ],
  },
  {
    id: "response", title: "Response time", unit: "ms, logarithmic", show: words.millis, log: true,
    curves: () => [
      { name: "p50", colour: "--s3", read: percentile(0) },
      { name: "p90", colour: "--s1", read: percentile(1) },
      { name: "p99", colour: "--s2", read: percentile(2) },
      { name: "p99.9", colour: "--s6", read: percentile(3) },
    ],
  },
  { id: "errors", title: "Errors by reason", unit: "/s", show: words.count, curves: errors, empty: "none so far" },
  {
    id: "backlog", title: "Backlog and in flight", unit: "operations", show: words.count,
    curves: () => [
      { name: "in flight", colour: "--s4", read: (row) => row.inFlight },
      { name: "backlog", colour: "--s5", read: (row) => row.backlog },
    ],
  },
  { id: "cpu", title: "CPU of each container", unit: "cores", show: words.cores, curves: perMember(0), empty: "not told yet" },
  {
    id: "memory", title: "Memory of each container", unit: "", show: words.bytes, curves: perMember(1), bytes: true,
    empty: "not told yet",
  },
];
