// The curves' data: rows as the server sends them, in columns.

const FIELDS = ["at", "seconds", "offered", "ok", "errors", "percentiles", "backlog", "inFlight", "containers"];
const MOST = 2200; // then the history is asked for anew: the server's older points are coarser

export class Series {
  constructor() {
    this.rows = [];
  }

  reset(rows) {
    this.rows = rows.map(named);
  }

  // Whether the history has to be asked for anew.
  add(rows) {
    for (const row of rows) this.rows.push(named(row));
    return this.rows.length > MOST;
  }

  get times() {
    return this.rows.map((row) => row.at);
  }

  column(read) {
    return this.rows.map((row) => {
      const value = read(row);
      return value === undefined ? null : value;
    });
  }

  reasons() {
    const found = new Map();
    for (const row of this.rows) {
      for (const [reason, rate] of Object.entries(row.errors)) {
        found.set(reason, (found.get(reason) ?? 0) + rate * row.seconds);
      }
    }
    return [...found].sort((a, b) => b[1] - a[1]).map(([reason]) => reason);
  }

  members() {
    const found = new Set();
    for (const row of this.rows) for (const name of Object.keys(row.containers)) found.add(name);
    return [...found].sort();
  }

  // The row nearest to a time, or the last one.
  near(ms) {
    if (ms === null || !this.rows.length) return this.rows.at(-1);
    let low = 0, high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].at < ms) low = middle + 1; else high = middle;
    }
    const before = this.rows[Math.max(0, low - 1)];
    return Math.abs(before.at - ms) < Math.abs(this.rows[low].at - ms) ? before : this.rows[low];
  }
}

function named(row) {
  return Object.fromEntries(FIELDS.map((field, index) => [field, row[index]]));
}
