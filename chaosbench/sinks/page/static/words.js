// Figures as a person reads them.

const DASH = "–";

export function count(value) {
  if (value === null || value === undefined) return DASH;
  return Math.abs(value) >= 100 || Number.isInteger(value)
    ? Math.round(value).toLocaleString("en-US")
    : value.toFixed(1);
}

export function millis(value) {
  if (value === null || value === undefined) return DASH;
  if (value >= 1000) return `${Number((value / 1000).toFixed(value >= 10000 ? 1 : 2))} s`;
  return `${value < 10 ? Number(value.toFixed(1)) : Math.round(value)} ms`;
}

export function seconds(value) {
  if (value === null || value === undefined) return DASH;
  if (value < 90) return `${value < 9.95 ? value.toFixed(2) : value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 5400) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor(whole / 60) % 60).padStart(2, "0")} min`;
}

export function bytes(value) {
  if (value === null || value === undefined) return DASH;
  for (const [size, unit] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (value >= size) return `${(value / size).toFixed(value >= 100 * size ? 0 : 1)} ${unit}`;
  }
  return `${value} B`;
}

export function cores(value) {
  return value === null || value === undefined ? DASH : value.toFixed(2);
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

export function withUnit(value, unit) {
  if (value === null || value === undefined) return DASH;
  switch (unit) {
    case "s": return seconds(value);
    case "ms": return millis(value);
    case "share": return `${(value * 100).toFixed(value > 0.9 && value < 1 ? 2 : 1)} %`;
    case "/s": return `${count(value)}/s`;
    default: return count(value);
  }
}

// Makes an element: el("td", {class: "n"}, "text", child, ...). Text is never taken for HTML.
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
