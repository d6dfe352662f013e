// The page on which a person draws a digit and the network says which it is. A pixel of
// the bitmap is black or white. The network reads the ink of each cell, which is how many
// of its 4 x 4 pixels are black, as in the data.

const CELLS = 8;
const BLOCK = 4;
const SIDE = CELLS * BLOCK;
const FULL = BLOCK * BLOCK;
// Half of the width of a line, in pixels.
const RADIUS = 2.5;
const pad = document.getElementById("pad");
const bitmap = new Uint8Array(SIDE * SIDE);
// The cell that the arrow keys have reached.
let at = 0;
let shown = 0;

// The pixels of a cell, row by row.
function pixelsOf(cell) {
  const first = Math.floor(cell / CELLS) * BLOCK * SIDE + (cell % CELLS) * BLOCK;
  return Array.from({ length: FULL }, (_, k) => first + Math.floor(k / BLOCK) * SIDE + (k % BLOCK));
}

function inkOf(cell) {
  return pixelsOf(cell).reduce((sum, pixel) => sum + bitmap[pixel], 0);
}

function setInk(cell, ink) {
  pixelsOf(cell).forEach((pixel, k) => (bitmap[pixel] = k < ink ? 1 : 0));
}

const inks = () => Array.from({ length: CELLS * CELLS }, (_, cell) => inkOf(cell));

// The probability of each digit for the ink of 64 cells.
function chancesOf(ink) {
  const values = Float64Array.from(ink, (count) => count / FULL);
  return softmax(network.logits({ size: CELLS, channels: 1, values }));
}

// Makes the pixels black that a round brush touches between two places [x, y].
function brush([x0, y0], [x1, y1]) {
  const steps = Math.ceil(2 * Math.hypot(x1 - x0, y1 - y0)) || 1;
  for (let step = 0; step <= steps; step++) {
    const [x, y] = [x0 + ((x1 - x0) * step) / steps, y0 + ((y1 - y0) * step) / steps];
    for (let pixel = 0; pixel < bitmap.length; pixel++) {
      const [dx, dy] = [(pixel % SIDE) + 0.5 - x, Math.floor(pixel / SIDE) + 0.5 - y];
      if (Math.hypot(dx, dy) <= RADIUS) bitmap[pixel] = 1;
    }
  }
}

const cells = Array.from({ length: CELLS * CELLS }, () => element("div", "", { role: "gridcell" }));
for (let row = 0; row < CELLS; row++) {
  const line = element("div", "", { role: "row" });
  line.append(...cells.slice(row * CELLS, (row + 1) * CELLS));
  pad.append(line);
}

function show() {
  const ink = inks();
  cells.forEach((cell, k) => {
    const place = `row ${Math.floor(k / CELLS) + 1}, column ${(k % CELLS) + 1}`;
    cell.setAttribute("aria-label", `${place}: ink ${ink[k]} of ${FULL}`);
    cell.style.setProperty("--ink", `${(100 * ink[k]) / FULL}%`);
    cell.tabIndex = k === at ? 0 : -1;
  });
  const empty = ink.every((count) => count === 0);
  const chances = chancesOf(ink);
  const rows = chances.map((chance, digit) => chanceRow(String(digit), empty ? 0 : chance));
  const likeliest = chances.indexOf(Math.max(...chances));
  if (!empty) rows[likeliest].classList.add("likeliest");
  document.getElementById("digits").replaceChildren(...rows);
  document.getElementById("said").textContent = empty
    ? "The pad is empty."
    : `The network reads a ${likeliest}, with a probability of ${percent(chances[likeliest])}.`;
}

// The place of the pointer in pixels of the bitmap.
function placeOf(event) {
  const { left, top, width, height } = pad.getBoundingClientRect();
  return [((event.clientX - left) / width) * SIDE, ((event.clientY - top) / height) * SIDE];
}

let last = null;
pad.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  pad.setPointerCapture(event.pointerId);
  last = placeOf(event);
  brush(last, last);
  show();
});
pad.addEventListener("pointermove", (event) => {
  if (!last) return;
  const place = placeOf(event);
  brush(last, place);
  last = place;
  show();
});
for (const name of ["pointerup", "pointercancel"]) {
  pad.addEventListener(name, () => (last = null));
}

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
pad.addEventListener("keydown", (event) => {
  const inside = (place) => Math.min(Math.max(place, 0), CELLS - 1);
  if (event.key in STEPS) {
    const [down, right] = STEPS[event.key];
    at = inside(Math.floor(at / CELLS) + down) * CELLS + inside((at % CELLS) + right);
  } else if (event.key === " ") {
    setInk(at, inkOf(at) ? 0 : FULL);
  } else {
    return;
  }
  event.preventDefault();
  show();
  cells[at].focus();
});
document.getElementById("example").addEventListener("click", () => {
  settings.examples[shown % settings.examples.length].forEach((ink, cell) => setInk(cell, ink));
  shown += 1;
  show();
});
document.getElementById("clear").addEventListener("click", () => {
  bitmap.fill(0);
  show();
});
show();
