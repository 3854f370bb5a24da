// The cluster as a map: clients come in through Pgpool, nodes stream from their leader, etcd keeps the leader's key.

import { bytes } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const GAP = 10, BOX = 66, ROW = 128;

export function drawMap(root, map) {
  const width = Math.max(280, Math.round(root.clientWidth || 380));
  const role = (name) => map.members.filter((member) => member.role === name);
  const rows = [role("pgpool"), role("postgres"), role("etcd")];
  const spots = place(rows, width);
  const height = ROW * 2 + BOX + 6;
  const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": told(map) });
  for (const pgpool of rows[0]) wires(svg, pgpool, spots);
  streams(svg, rows[1], map.leader, spots);
  for (const member of map.members) box(svg, member, spots.get(member.name), member.name === map.leader);
  root.replaceChildren(svg);
}

// What the map shows, in words.
export function told(map) {
  return map.members.map((member) => `${member.name}: ${saying(member, member.name === map.leader)[1]}`).join("; ");
}

function place(rows, width) {
  const spots = new Map();
  rows.forEach((members, row) => {
    const wide = Math.min(170, (width - GAP * (members.length - 1) - 4) / Math.max(1, members.length));
    const used = members.length * wide + (members.length - 1) * GAP;
    members.forEach((member, index) => {
      spots.set(member.name, { x: (width - used) / 2 + index * (wide + GAP), y: 2 + row * ROW, wide });
    });
  });
  return spots;
}

// The class that paints a member, and the words under its name.
function saying(member, leads) {
  if (member.state === "paused") return ["frozen", "frozen", ""];
  if (member.state !== "running") return ["down", member.state === "exited" ? "down" : member.state, ""];
  if (member.role === "pgpool") return member.answers ? ["", "answers", ""] : ["odd", "no answer", ""];
  if (member.role === "etcd") return ["", "running", ""];
  const { node } = member;
  const timeline = node.timeline === null ? "" : `timeline ${node.timeline}`;
  if (leads) return ["leads", "leader", timeline];
  if (node.state === "silent") return ["odd", "silent", ""];
  if (node.role === "leader") return ["odd", "says it leads", timeline];
  return [node.state === "streaming" ? "" : "odd", node.state === "streaming" ? "replica" : node.state, timeline];
}

function box(svg, member, spot, leads) {
  const [kind, words, more] = saying(member, leads);
  const group = node("g", { class: kind, transform: `translate(${spot.x} ${spot.y})`, "data-member": member.name, "data-state": kind || "well" });
  group.append(node("rect", { class: "box", width: spot.wide, height: BOX, rx: 8 }));
  const middle = spot.wide / 2;
  group.append(node("text", { class: "name", x: middle, y: 21, "text-anchor": "middle" }, member.name));
  group.append(node("text", { class: "say", x: middle, y: 39, "text-anchor": "middle" }, words));
  group.append(node("text", { class: "sub", x: middle, y: 56, "text-anchor": "middle" }, more || member.role));
  svg.append(group);
}

// Pgpool's view of the nodes: thick to its primary, dashed where it has marked one down.
function wires(svg, pgpool, spots) {
  const from = spots.get(pgpool.name);
  for (const [name, [status, role]] of Object.entries(pgpool.backends ?? {})) {
    const to = spots.get(name);
    if (!to) continue;
    const cut = status === "down";
    const [x1, y1, x2, y2] = [from.x + from.wide / 2, from.y + BOX, to.x + to.wide / 2, to.y];
    const kind = cut ? "cut" : role === "primary" ? "primary" : "";
    svg.append(node("path", { class: `wire ${kind}`, d: `M${x1} ${y1} C${x1} ${y1 + 26} ${x2} ${y2 - 40} ${x2} ${y2}`, "data-backend": name, "data-status": `${status} ${role}` }));
    svg.append(node("text", { class: "sub tag", x: x2 + 6, y: y2 - 8 }, cut ? "down" : role));
  }
}

// Who streams from the leader, and how far behind it is.
function streams(svg, nodes, leader, spots) {
  const head = spots.get(leader);
  for (const member of nodes) {
    if (!head || member.name === leader || member.state !== "running" || member.node.state !== "streaming") continue;
    const spot = spots.get(member.name);
    const [x1, x2, y] = [head.x + head.wide / 2, spot.x + spot.wide / 2, head.y + BOX];
    svg.append(node("path", { class: "wire stream", d: `M${x1} ${y} C${x1} ${y + 34} ${x2} ${y + 34} ${x2} ${y}` }));
    const lag = member.node.lag_bytes;
    svg.append(node("text", { class: "sub tag", x: x2, y: y + 44, "text-anchor": "middle" }, lag === null ? "" : `lag ${bytes(lag)}`));
  }
}

function node(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
