// Draws the panels, all on one time axis. Drawing paces itself: it takes at most a tenth of the browser's time.

import { LANES, lanes, shapes } from "./marks.js";
import { PANELS } from "./panels.js";
import { clock, el } from "./words.js";

const MARGIN = { l: 66, r: 10, t: 6, b: 6 };
const AXIS = 24;
const HEIGHT = 132;
const LANES_HEIGHT = 112;
const DECADES = [0.1, 1, 10, 100, 1000, 10000, 100000];
const REST = 10; // times as long as drawing took
const COARSE = matchMedia("(pointer: coarse)").matches;
const CONFIG = { displayModeBar: false, responsive: false, doubleClick: false, showTips: false };

export class Charts {
  constructor(root, series, range) {
    this.root = root;
    this.series = series;
    this.select = range;
    this.state = {};
    this.zoom = null;
    this.cursor = null;
    this.due = null;
    this.slept = false;
    this.panels = new Map();
    this.build();
    range.addEventListener("change", () => { this.zoom = null; this.soon(0); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.soon(0));
    document.addEventListener("visibilitychange", () => { if (!document.hidden && this.slept) this.soon(0); });
    new ResizeObserver(() => this.soon(0)).observe(root);
    root.addEventListener("pointermove", (event) => this.point(event.clientX));
    root.addEventListener("pointerdown", (event) => this.point(event.clientX));
    root.addEventListener("pointerleave", () => this.point(null));
  }

  build() {
    this.cross = el("div", { class: "cross", hidden: "" }, el("span"));
    this.root.append(this.cross);
    this.add("lanes", "What happened", "error windows by class");
    for (const panel of PANELS) this.add(panel.id, panel.title, panel.unit);
  }

  add(id, title, unit) {
    const legend = el("ul", { class: "legend" });
    const plot = el("div", { class: "plot", id: `plot-${id}`, role: "img", "aria-label": title });
    const head = el("div", { class: "panel-head" }, el("h3", {}, title), el("span", { class: "muted" }, unit), legend);
    this.root.append(el("div", { class: "panel", "data-panel": id }, head, plot));
    this.panels.set(id, { legend, plot, made: false });
  }

  update(state) {
    this.state = state;
    this.legends();
    if (this.due === null) this.soon(this.rest ?? 0);
  }

  soon(wait) {
    clearTimeout(this.due);
    this.due = setTimeout(() => this.draw(), wait);
  }

  async draw() {
    this.due = null;
    this.slept = document.hidden;
    if (document.hidden || !this.root.clientWidth) return;
    const began = performance.now();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const range = this.range();
    const last = PANELS.at(-1).id;
    await this.render("lanes", [ghost(range)], this.lanesLayout(colour, range));
    for (const panel of PANELS) {
      const curves = panel.curves(this.series);
      await this.render(panel.id, traces(panel, curves, this.series, range, colour), this.layout(panel, colour, range, panel.id === last));
    }
    this.legends();
    this.rest = Math.max(500, (performance.now() - began) * REST);
    this.root.dataset.drawn = String(Number(this.root.dataset.drawn ?? 0) + 1);
  }

  async render(id, data, layout) {
    const panel = this.panels.get(id);
    if (panel.made) {
      await Plotly.react(panel.plot, data, layout, CONFIG);
      return;
    }
    panel.made = true;
    await Plotly.newPlot(panel.plot, data, layout, CONFIG);
    panel.plot.on("plotly_relayout", (change) => this.zoomed(change));
    panel.plot.on("plotly_doubleclick", () => this.unzoom());
  }

  // The times that are shown: all of the scenario, the last of it, or what was zoomed into.
  range() {
    if (this.zoom) return this.zoom;
    const now = this.state.now ?? Date.now();
    const first = this.series.rows[0]?.at ?? now - 1000;
    if (this.select.value !== "whole") return [now - Number(this.select.value) * 1000, now];
    const load = this.state.load_from;
    const length = this.state.scenario?.duration_s ?? 0; // of a soak only what was is drawn
    const planned = load && length <= 3600 && !this.state.results?.verdict ? load + length * 1000 : 0;
    return [first - 1000, Math.max(now, planned)];
  }

  zoomed(change) {
    const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (from === undefined || to === undefined) return;
    this.zoom = [plotted(from), plotted(to)];
    this.select.value = "zoomed";
    this.soon(0);
  }

  unzoom() {
    this.zoom = null;
    this.select.value = "whole";
    this.soon(0);
  }

  frame(colour, range, withTimes, height) {
    return {
      height: height + (withTimes ? AXIS : 0), margin: { ...MARGIN, b: withTimes ? AXIS : MARGIN.b }, showlegend: false,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: false,
      dragmode: COARSE ? false : "zoom", font: { color: colour("--muted"), size: 12, family: "inherit" },
      xaxis: {
        type: "date", range: range.map(local), showgrid: true, gridcolor: colour("--grid"), zeroline: false,
        showticklabels: withTimes, tickformat: "%H:%M:%S", nticks: Math.max(3, Math.floor(this.root.clientWidth / 120)),
        fixedrange: COARSE, ticks: withTimes ? "outside" : "", tickcolor: colour("--grid"), automargin: false,
      },
    };
  }

  layout(panel, colour, range, withTimes) {
    const now = this.state.now;
    const yaxis = {
      fixedrange: true, gridcolor: colour("--grid"), zeroline: false, nticks: 4, automargin: false, rangemode: "tozero",
      type: panel.log ? "log" : "linear", exponentformat: "SI", autorange: true,
    };
    if (panel.log) Object.assign(yaxis, { tickvals: DECADES, ticktext: DECADES.map((value) => panel.show(value)) });
    if (panel.bytes) Object.assign(yaxis, byteTicks(this.series, panel));
    return { ...this.frame(colour, range, withTimes, HEIGHT), yaxis, shapes: dated(shapes(this.state, now, colour)) };
  }

  lanesLayout(colour, range) {
    const width = this.root.clientWidth - MARGIN.l - MARGIN.r;
    const drawn = lanes(this.state, this.state.now, colour, range, width);
    const rows = LANES.map((_, index) => 1 - (index + 0.5) / LANES.length);
    const frame = this.frame(colour, range, false, LANES_HEIGHT);
    frame.xaxis.showgrid = false;
    return {
      ...frame,
      yaxis: {
        fixedrange: true, range: [0, 1], showgrid: false, zeroline: false, tickvals: rows, automargin: false,
        ticktext: LANES,
      },
      shapes: dated(drawn.shapes),
      annotations: drawn.annotations.map((one) => ({ ...one, x: local(one.x) })),
    };
  }

  // The figures beside the names are those under the cursor, or the latest.
  legends() {
    const row = this.series.near(this.cursor);
    for (const panel of PANELS) {
      const { legend, plot } = this.panels.get(panel.id);
      const curves = panel.curves(this.series);
      const entries = curves.map((curve) => {
        const value = row ? panel.show(curve.read(row)) : "";
        return el("li", {}, el("i", { style: `border-color: var(${curve.colour})`, class: curve.dash ? "dashed" : null }), curve.name, el("b", {}, value));
      });
      legend.replaceChildren(...(entries.length ? entries : [el("li", {}, panel.empty ?? "")]));
      plot.setAttribute("aria-label", `${panel.title}: ${curves.map((curve) => `${curve.name} ${row ? panel.show(curve.read(row)) : ""}`).join(", ")}`);
    }
  }

  point(clientX) {
    const box = this.root.getBoundingClientRect();
    const width = box.width - MARGIN.l - MARGIN.r;
    const share = clientX === null ? -1 : (clientX - box.left - MARGIN.l) / width;
    const range = this.range();
    const inside = share >= 0 && share <= 1;
    this.cursor = inside ? range[0] + share * (range[1] - range[0]) : null;
    this.cross.hidden = !inside;
    if (inside) {
      this.cross.style.left = `${clientX - box.left}px`;
      const label = this.cross.firstChild;
      label.textContent = clock(this.cursor);
      label.style.left = share > 0.85 ? "auto" : "4px";
      label.style.right = share > 0.85 ? "4px" : "auto";
    }
    this.legends();
  }
}

function traces(panel, curves, series, range, colour) {
  const x = series.times.map(local);
  if (!curves.length) return [ghost(range)];
  return curves.map((curve) => ({
    type: "scatter", mode: "lines", x, y: series.column(curve.read), connectgaps: false,
    line: { color: colour(curve.colour), width: curve.stacked ? 0.5 : 1.7, dash: curve.dash ? "dash" : "solid" },
    ...(curve.stacked ? { stackgroup: "all", fillcolor: colour(curve.colour) } : {}),
    ...(curve.fill ? { fill: "tozeroy", fillcolor: translucent(colour(curve.colour), 0.14) } : {}),
  }));
}

// A panel without curves still has its axis.
function ghost(range) {
  return { type: "scatter", mode: "lines", x: range.map(local), y: [null, null] };
}

function byteTicks(series, panel) {
  const highest = Math.max(2 ** 20, ...panel.curves(series).flatMap((curve) => series.column(curve.read).filter((value) => value !== null)));
  const step = 2 ** Math.ceil(Math.log2(highest / 3));
  const tickvals = Array.from({ length: Math.floor((highest * 1.08) / step) + 1 }, (_, index) => index * step);
  return { autorange: false, range: [0, highest * 1.08], tickvals, ticktext: tickvals.map((value) => panel.show(value)) };
}

function translucent(hex, strength) {
  const number = parseInt(hex.slice(1), 16);
  return `rgba(${number >> 16},${(number >> 8) & 255},${number & 255},${strength})`;
}

// Plotly shows dates as they are written, so they are written in this browser's own time.
function local(ms) {
  const date = new Date(ms);
  return new Date(ms - date.getTimezoneOffset() * 60000).toISOString().replace("Z", "");
}

function plotted(text) {
  return new Date(String(text).replace(" ", "T")).getTime();
}

function dated(list) {
  return list.map((shape) => ({ ...shape, x0: local(shape.x0), x1: local(shape.x1) }));
}
