// The page on which a person draws and the network continues. A stroke is
// { model, places, joined, lifted }: whether the network drew it; its places [x, y] in
// pixels of the data, whose origin is the middle of the paper; whether it goes on where
// the stroke before ended; and whether the pen is lifted after it, if that is known.

const paper = document.getElementById("paper");
const temperature = document.getElementById("temperature");
const strokes = [];
let frame = 0;
let begun = 0;

// The points [dx, dy, pen] of strokes. The first offset is zero, as in training, and
// the pen is 1 at the end of a stroke that the next one does not go on with.
function pointsOf(found) {
  let before = found[0].places[0];
  return found.flatMap((stroke, number) => {
    const places = stroke.joined ? stroke.places.slice(1) : stroke.places;
    return places.map((place, k) => {
      const last = k === places.length - 1 && !found[number + 1]?.joined;
      const point = [place[0] - before[0], place[1] - before[1], last ? 1 : 0];
      before = place;
      return point;
    });
  });
}

// Returns the state after points, and the outputs for the point that follows them.
function readPoints(points, state = network.start()) {
  let outputs;
  for (const [dx, dy, pen] of points) {
    [state, outputs] = network.step(state, [dx / settings.scale, dy / settings.scale, pen]);
  }
  return [state, outputs];
}

// The mixture in the outputs, as in jaxnets.functional.mixture_density_loss.
function mixtureOf(outputs) {
  const count = (outputs.length - 1) / 6;
  const part = (number) => outputs.slice(number * count, (number + 1) * count);
  const [logits, meansX, meansY, logDeviationsX, logDeviationsY, r] = [0, 1, 2, 3, 4, 5].map(part);
  return { logits, meansX, meansY, logDeviationsX, logDeviationsY, r, lifted: outputs[6 * count] };
}

function standardNormal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

// Draws a point [dx, dy, pen] in pixels, as jaxnets.functional.sample_mixture does: the
// temperature divides the logits and multiplies the variances.
function samplePoint(outputs, heat) {
  const mixture = mixtureOf(outputs);
  const k = choose(softmax(mixture.logits, heat));
  const pen = Math.random() < sigmoid(mixture.lifted / heat) ? 1 : 0;
  const [one, two] = [standardNormal(), standardNormal()];
  const across = Math.tanh(mixture.r[k]) * one + two / Math.cosh(mixture.r[k]);
  const dx = mixture.meansX[k] + Math.sqrt(heat) * Math.exp(mixture.logDeviationsX[k]) * one;
  const dy = mixture.meansY[k] + Math.sqrt(heat) * Math.exp(mixture.logDeviationsY[k]) * across;
  return [dx * settings.scale, dy * settings.scale, pen];
}

function show(stroke) {
  if (!stroke.line) {
    stroke.line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    stroke.line.classList.toggle("model", stroke.model);
    paper.append(stroke.line);
  }
  // A single place is a dot, which a line of length zero draws.
  const places = stroke.places.length > 1 ? stroke.places : [...stroke.places, ...stroke.places];
  stroke.line.setAttribute("points", places.map((place) => place.join(",")).join(" "));
}

function say(remark = "") {
  const count = (model) =>
    strokes.filter((stroke) => stroke.model === model).reduce((sum, { places }) => sum + places.length, 0);
  document.getElementById("said").textContent =
    `${count(false)} points are yours, ${count(true)} are the network's. ${remark}`;
}

function stop() {
  cancelAnimationFrame(frame);
}

function remove(unwanted) {
  stop();
  for (const stroke of strokes.filter(unwanted)) {
    stroke.line?.remove();
    strokes.splice(strokes.indexOf(stroke), 1);
  }
  say();
}

// Whether the pen is lifted at the end of the drawing. A person has to lift it to press
// the button, so there it is drawn from the network, for which the pen of a point depends
// on the points before.
function lifted(points) {
  const { lifted: known } = strokes.at(-1);
  if (known !== undefined) return known;
  if (points.length < 2) return false;
  const [, outputs] = readPoints(points.slice(0, -1));
  return Math.random() < sigmoid(mixtureOf(outputs).lifted / Number(temperature.value));
}

// Whether a point ends the drawing: the pen was lifted, and is lifted again at that place.
function drawingEnds(before, [dx, dy, pen]) {
  return before[2] === 1 && pen === 1 && Math.hypot(dx, dy) < settings.still;
}

// The network draws until it ends the drawing, or until that has the length of those of
// the data, but at least a quarter of that: one point in each frame of the screen.
function continueDrawing() {
  stop();
  if (!strokes.length) takeBeginning();
  const points = pointsOf(strokes);
  points.at(-1)[2] = lifted(points) ? 1 : 0;
  let [state, outputs] = readPoints(points);
  let left = Math.max(settings.length - points.length, Math.ceil(settings.length / 4));
  let before = points.at(-1);
  let place = strokes.at(-1).places.at(-1);
  let joined = !before[2];
  let current = null;
  // Draws one point; returns whether there are more.
  const advance = () => {
    const point = samplePoint(outputs, Number(temperature.value));
    if (drawingEnds(before, point)) {
      say("The network has ended the drawing.");
      return false;
    }
    if (!current) strokes.push((current = { model: true, places: joined ? [place] : [], joined }));
    joined = false;
    place = [place[0] + point[0], place[1] + point[1]];
    current.places.push(place);
    current.lifted = point[2] === 1;
    show(current);
    if (point[2]) current = null;
    [state, outputs] = readPoints([point], state);
    before = point;
    left -= 1;
    say();
    return left > 0;
  };
  if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
    while (advance());
    return;
  }
  const animate = () => {
    if (advance()) frame = requestAnimationFrame(animate);
  };
  frame = requestAnimationFrame(animate);
}

// Puts one of the beginnings of the data into the middle of the paper.
function takeBeginning() {
  remove(() => true);
  const points = settings.beginnings[begun % settings.beginnings.length];
  begun += 1;
  let place = [0, 0];
  const places = points.map(([dx, dy]) => (place = [place[0] + dx, place[1] + dy]));
  const middle = [0, 1].map((axis) => {
    const values = places.map((found) => found[axis]);
    return (Math.min(...values) + Math.max(...values)) / 2;
  });
  let current = null;
  points.forEach(([, , pen], k) => {
    if (!current) strokes.push((current = { model: false, places: [] }));
    current.places.push([places[k][0] - middle[0], places[k][1] - middle[1]]);
    current.lifted = pen === 1;
    if (pen) current = null;
  });
  strokes.forEach(show);
  say();
}

// The place of the pointer in pixels of the data.
function placeOf(event) {
  const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(paper.getScreenCTM().inverse());
  return [x, y];
}

let drawing = null;
paper.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  stop();
  paper.setPointerCapture(event.pointerId);
  drawing = { model: false, places: [placeOf(event)] };
  strokes.push(drawing);
  show(drawing);
});
// A new point is where the pointer is a usual step of the data away from the last one.
paper.addEventListener("pointermove", (event) => {
  if (!drawing) return;
  const place = placeOf(event);
  const last = drawing.places.at(-1);
  if (Math.hypot(place[0] - last[0], place[1] - last[1]) < settings.step) return;
  drawing.places.push(place);
  show(drawing);
});
for (const name of ["pointerup", "pointercancel"]) {
  paper.addEventListener(name, () => {
    drawing = null;
    say();
  });
}

const [width, height] = [(settings.extent * 4) / 3, settings.extent];
paper.setAttribute("viewBox", `${-width / 2} ${-height / 2} ${width} ${height}`);
temperature.addEventListener("input", () => showValue(temperature));
document.getElementById("continue").addEventListener("click", continueDrawing);
document.getElementById("again").addEventListener("click", () => {
  remove((stroke) => stroke.model);
  continueDrawing();
});
document.getElementById("beginning").addEventListener("click", takeBeginning);
document.getElementById("clear").addEventListener("click", () => remove(() => true));
say();
