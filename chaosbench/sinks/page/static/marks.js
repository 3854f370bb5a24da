// What is drawn over every curve: faults as bands, error windows as bars on the axis, leader changes as lines;
// and the lanes above the curves, which name them.

export const LANES = ["faults", "leader", "writes", "reads", "connects"];
const OF_CLASS = { write: 2, read: 3, connect: 4 };
const NOTHING = [];

export function bands(state, now) {
  return (state.faults ?? NOTHING).map((fault) => ({
    name: fault.name, from: fault.from, to: fault.to ?? now, open: fault.to === null, fault,
  }));
}

export function windows(state, now) {
  return (state.windows ?? NOTHING).map((window) => ({
    kind: window.class, from: window.from, to: window.open ? now : window.to, open: window.open,
  }));
}

// Shapes for a panel of curves.
export function shapes(state, now, colour) {
  const made = bands(state, now).flatMap((band) => [
    box(band.from, band.to, 0, 1, colour("--fault"), 0.16),
    line(band.from, colour("--fault"), "solid", 1.5),
  ]);
  for (const window of windows(state, now)) made.push(box(window.from, window.to, 0, 0.035, colour("--window"), 0.85));
  for (const change of changes(state)) made.push(line(change.at, colour("--leader"), "dot", 1.5));
  return made;
}

export function changes(state) {
  return (state.leaders ?? NOTHING).slice(1);
}

// The lanes' shapes and the words in them.
export function lanes(state, now, colour, range, width) {
  const made = [], said = [];
  const lane = (index) => [1 - (index + 0.88) / LANES.length, 1 - (index + 0.12) / LANES.length];
  // A name that finds no room before the next mark of its lane is left out: it is in the tables and in the events.
  const put = (index, from, to, next, paint, strength, text) => {
    const [low, high] = lane(index);
    made.push(box(from, to, low, high, paint, strength));
    const shownFrom = Math.max(from, range[0]);
    const pixels = (span) => (span / (range[1] - range[0])) * width;
    const wide = text.length * 6.8 + 6;
    const right = pixels(range[1] - shownFrom) < wide && next === Infinity && pixels(Math.min(to, range[1]) - range[0]) > wide;
    if (!right && pixels(Math.min(next, range[1]) - shownFrom) < wide) return;
    said.push({
      x: right ? Math.min(to, range[1]) : shownFrom, y: (low + high) / 2, xref: "x", yref: "paper", text: escaped(text), showarrow: false,
      xanchor: right ? "right" : "left", yanchor: "middle", xshift: right ? -3 : 4,
      font: { size: 12, color: colour("--text") },
    });
  };
  const all = bands(state, now);
  all.forEach((band, index) => {
    const words = `${band.name}: ${band.fault.injector} ${band.fault.target}`;
    put(0, band.from, band.to, all[index + 1]?.from ?? Infinity, colour("--fault"), 0.5, words);
  });
  const led = state.leaders ?? NOTHING;
  led.forEach((one, index) => {
    const next = led[index + 1]?.at;
    const [paint, strength] = one.leader ? [colour("--leader"), 0.28] : [colour("--window"), 0.5];
    put(1, one.at, next ?? now, next ?? Infinity, paint, strength, one.leader ?? "none");
  });
  for (const kind of Object.keys(OF_CLASS)) {
    const found = windows(state, now).filter((window) => window.kind === kind);
    found.forEach((window, index) => {
      const words = `${((window.to - window.from) / 1000).toFixed(1)} s`;
      put(OF_CLASS[kind], window.from, window.to, found[index + 1]?.from ?? Infinity, colour("--window"), 0.55, words);
    });
  }
  return { shapes: made, annotations: said };
}

function box(from, to, low, high, paint, strength) {
  return {
    type: "rect", xref: "x", yref: "paper", x0: from, x1: to, y0: low, y1: high,
    fillcolor: paint, opacity: strength, line: { width: 0 }, layer: "below",
  };
}

function line(at, paint, dash, width) {
  return { type: "line", xref: "x", yref: "paper", x0: at, x1: at, y0: 0, y1: 1, line: { color: paint, width, dash } };
}

// Plotly takes a little HTML in its texts.
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
