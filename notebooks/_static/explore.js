// A chart of a line (theory) and dots (measured networks), with a slider or a choice for
// each quantity. The page's code writes the data: see notebooks/gradients/explore.md.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 640, HEIGHT = 340, LEFT = 64, BOTTOM = 46, TOP = 12, RIGHT = 12;
// Beyond these, float32 itself ends.
const LOWEST = -40, HIGHEST = 40;

function element(name, attributes, ...children) {
  const svg = ["svg", "g", "line", "circle", "polyline", "text"].includes(name);
  const made = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Return the control of one quantity: a slider for numbers, a list for names.
function control([name, values, start], redraw) {
  const shown = element("output", {}, start);
  const numbers = values.every((value) => value !== "" && !isNaN(value));
  const input = numbers
    ? element("input", { type: "range", min: 0, max: values.length - 1, step: 1 })
    : element("select", {}, ...values.map((value) => element("option", {}, value)));
  input.value = numbers ? values.indexOf(start) : start;
  const chosen = () => (numbers ? values[input.value] : input.value);
  input.addEventListener("input", () => {
    shown.textContent = chosen();
    input.setAttribute("aria-valuetext", chosen());
    redraw();
  });
  input.setAttribute("aria-valuetext", start);
  const parts = numbers ? [name + " ", input, " ", shown] : [name + " ", input];
  return { chosen, label: element("label", {}, ...parts) };
}

// Return about five round numbers between two others.
function ticks(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((s) => s >= rough);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + 1e-9; t += step) {
    found.push(Math.round(t / step) * step);
  }
  return found;
}

// Write 10 to the power v, as a number or as a power.
function factor(v) {
  if (v === null) return "nothing";
  if (Math.abs(v) < 3) return `${Number((10 ** v).toPrecision(2))} times`;
  const digits = String(Math.round(v)).replace("-", "⁻");
  return "10" + digits.replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]) + " times";
}

function draw(svg, data, [line, dots]) {
  const kept = (y) => y !== null && y >= LOWEST && y <= HIGHEST;
  const all = [...line, ...dots].filter(kept);
  let low = Math.min(-1, ...all), high = Math.max(1, ...all);
  const x = (n) => LEFT + ((WIDTH - LEFT - RIGHT) * n) / Math.max(line.length - 1, 1);
  const y = (v) => TOP + ((HEIGHT - TOP - BOTTOM) * (high - v)) / (high - low);
  const parts = [];
  for (const tick of ticks(low, high)) {
    const across = { x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) };
    parts.push(element("line", { ...across, class: "rule" }));
    const place = { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" };
    parts.push(element("text", place, String(tick).replace("-", "−")));
  }
  const points = line.map((v, n) => [n, v]).filter(([, v]) => kept(v));
  const path = points.map(([n, v]) => `${x(n)},${y(v)}`).join(" ");
  parts.push(element("polyline", { points: path, class: "theory" }));
  dots.forEach((v, n) => {
    if (kept(v)) parts.push(element("circle", { cx: x(n), cy: y(v), r: 3.5 }));
  });
  const middle = { x: (LEFT + WIDTH) / 2, y: HEIGHT - 8, "text-anchor": "middle" };
  const ends = `${data.x}: first on the left, last on the right`;
  parts.push(element("text", middle, ends));
  svg.replaceChildren(...parts);
}

function start(box) {
  const data = JSON.parse(box.dataset.chart);
  const title = element("p", { class: "title" }, data.y);
  const size = `0 0 ${WIDTH} ${HEIGHT}`;
  const svg = element("svg", { viewBox: size, role: "img", "aria-label": data.y });
  const said = element("p", { class: "said", "aria-live": "polite" });
  const update = () => {
    const key = controls.map((c) => c.chosen()).join("|");
    const [line, dots] = data.series[key];
    draw(svg, data, [line, dots]);
    said.textContent =
      `The gradient at the first ${data.x} is ${factor(line[0])} that at the last by ` +
      `theory, and ${factor(dots[0])} in the network.`;
  };
  const controls = data.sliders.map((slider) => control(slider, update));
  const row = element("div", { class: "controls" }, ...controls.map((c) => c.label));
  box.replaceChildren(row, title, svg, said);
  update();
}

document.querySelectorAll(".explore").forEach(start);
