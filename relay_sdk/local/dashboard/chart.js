// The chart of the last minutes.

import { count } from "./show.js";

const SVG = "http://www.w3.org/2000/svg";
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 436, 10, 154];

function drawn(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

// The next 1, 2 or 5 times a power of ten, so that the scale seldom changes.
function ceiling(number) {
  const size = 10 ** Math.floor(Math.log10(Math.max(number, 1)));
  return [1, 2, 5, 10].find((step) => step * size >= number) * size;
}

export function drawChart(svg, recent) {
  const kinds = ["enqueued", "done", "retried"];
  const rate = 60 / recent.seconds;
  // The current step is not complete, and would always look like a drop.
  const lines = kinds.map((kind) => recent[kind].slice(0, -1).map((jobs) => jobs * rate));
  const top = ceiling(Math.max(6, ...lines.flat()));
  const steps = lines[0].length;
  const x = (at) => LEFT + ((RIGHT - LEFT) * at) / (steps - 1);
  const y = (value) => BOTTOM - ((BOTTOM - TOP) * value) / top;
  const parts = [0, 0.5, 1].flatMap((part) => [
    drawn("line", { x1: LEFT, x2: RIGHT, y1: y(top * part), y2: y(top * part), class: "grid" }),
    drawn("text", { x: LEFT - 6, y: y(top * part) + 4, "text-anchor": "end" }, count(top * part)),
  ]);
  const minutes = (steps * recent.seconds) / 60;
  parts.push(drawn("text", { x: LEFT, y: 174 }, `${Math.round(minutes)} min ago`));
  parts.push(drawn("text", { x: RIGHT, y: 174, "text-anchor": "end" }, "now; jobs a minute"));
  lines.forEach((values, at) => {
    if (!values.some(Boolean)) return; // a flat line would hide another one at the bottom
    const d = values.map((value, step) => `${step ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`);
    parts.push(drawn("path", { class: kinds[at], d: d.join("") }));
  });
  svg.replaceChildren(...parts);
  const sums = kinds.map((kind) => `${count(recent[kind].reduce((sum, jobs) => sum + jobs, 0))} ${kind}`);
  const text = sums.join(", ");
  svg.setAttribute("aria-label", `Line chart of the last 15 minutes: ${text}.`);
  return text;
}
